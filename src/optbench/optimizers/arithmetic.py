"""What rules compute with: directions that are yet to be divided, and what may be written in place."""

from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor


@dataclass(slots=True)
class Quotient:
    """A direction `scale top / bottom` that is yet to be divided: to move along it takes one kernel instead of three.

    Attributes:
        top: Numerator.
        bottom: Denominator.
        scale: A number, or a tensor that broadcasts.
    """

    top: Tensor
    bottom: Tensor
    scale: Any = 1.0


Direction = Tensor | Quotient


def to_tensor(x: Direction) -> Tensor:
    """Return a direction as a tensor, divided."""
    return x if isinstance(x, Tensor) else (x.top / x.bottom).mul_(x.scale)


def scaled(a: Any, x: Direction) -> Direction:
    """Return `a x`."""
    return a * x if isinstance(x, Tensor) else Quotient(x.top, x.bottom, a * x.scale)


@overload
def add_scaled(x: Tensor, a: Any, y: Tensor) -> Tensor: ...
@overload
def add_scaled(x: Quotient, a: Any, y: Tensor) -> Direction: ...
def add_scaled(x: Direction, a: Any, y: Tensor) -> Direction:
    """Return `x + a y`, in one kernel where the factors are numbers, and `x` itself where `a` is the number 0."""
    if isinstance(a, Tensor):
        return to_tensor(x) + a * y
    if not a:
        return x
    if isinstance(x, Tensor):
        return torch.add(x, y, alpha=a)
    if isinstance(x.scale, Tensor) or not isinstance(y, Tensor):
        return to_tensor(x).add_(y, alpha=a)
    step: Tensor = a * y
    return step.addcdiv_(x.top, x.bottom, value=x.scale)


def add_scaled_(x: Tensor, a: Any, y: Tensor) -> Tensor:
    """Return `x + a y` in the memory of x, which has to be the caller's own temporary."""
    return x.add_(a * y) if isinstance(a, Tensor) else x.add_(y, alpha=a)


def subtract_(p: Tensor, rate: Any, x: Direction) -> None:
    """Move p in place to `p - rate x`."""
    if isinstance(x, Tensor):
        p.add_(rate * -x) if isinstance(rate, Tensor) else p.add_(x, alpha=-rate)
    elif isinstance(rate, Tensor) or isinstance(x.scale, Tensor):
        p.addcdiv_(-rate * x.scale * x.top, x.bottom)
    else:
        p.addcdiv_(x.top, x.bottom, value=-rate * x.scale)


def working(x: Tensor) -> Tensor:
    """Return a tensor in a type that has room for a rule's small numbers: float16 as float32, others as they are.

    In float16 an eps of 1e-8 is 0, and so is the square of a gradient of 1e-4.
    """
    return x.float() if x.dtype is torch.float16 else x


def gradient(p: Tensor) -> Tensor:
    """Return the gradient of a parameter that has one, in that type."""
    assert p.grad is not None
    return working(p.grad)


class Spent(dict[str, Any]):
    """A state that nobody else needs: the three functions below may write what they return into its memory.

    At 100,000 parameters, what no longer fits into the cache costs more than the arithmetic.
    """


def decayed_(s: dict[str, Any], name: str, beta: Any) -> Tensor:
    """Return `beta s[name]`, in the memory of `s[name]` if the state is `Spent`: nobody may read that afterwards."""
    x: Tensor = s[name]
    return x.mul_(beta) if isinstance(s, Spent) and not isinstance(beta, Tensor) else beta * x


def sum_square_(s: dict[str, Any], name: str, g: Tensor) -> Tensor:
    """Return `s[name] + g g`, in the memory of `s[name]` if the state is `Spent`: nobody may read that afterwards."""
    x: Tensor = s[name]
    return x.addcmul_(g, g) if isinstance(s, Spent) else x.addcmul(g, g)


def mean_square_(s: dict[str, Any], name: str, g: Tensor, beta: Any) -> Tensor:
    """Return the running mean `beta s[name] + (1 - beta) g g`.

    It is in the memory of `s[name]` if the state is `Spent`: nobody may read that afterwards.
    """
    if isinstance(beta, Tensor):
        return s[name].lerp(g * g, 1 - beta)  # type: ignore[no-any-return]
    return decayed_(s, name, beta).addcmul_(g, g, value=1 - beta)
