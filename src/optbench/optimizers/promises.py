"""A look at a rule of one's own: what its `init` and `update` promise, and what no step by itself would show."""

from typing import Any

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.arithmetic import Quotient, Spent, to_tensor
from optbench.optimizers.base import Hyper, Optimizer, State


def check_rule(cls: type[Optimizer], h: Hyper, p: Tensor) -> None:
    """Raise where the rule of a class does not keep what `Optimizer` says of it, in two steps of a parameter.

    Args:
        cls: The class, whose step is `update` alone.
        h: Its hyperparameters.
        p: The parameter, which is left alone.

    Raises:
        UserError: It changes what is not its own, reads what an in-place helper has spent, leaves out a part of its
            state, keeps what is neither a tensor nor a number, or returns something else than a step.
    """
    p = p.detach().clone()
    name = cls.__name__
    g = p.sin() + 0.1
    try:
        cls.rate(h)
        s = cls.init(p.clone())
        _check_state(name, "init", s)
        _check_rate(cls, g, p, s, h)
        for t in (1, 2):
            s = _step(cls, g, p, s, t, h)
    except KeyError as error:
        key = error.args[0]
        raise UserError(
            f"{name}: '{key}' is neither a hyperparameter nor in the state; annotate it in the class, as "
            f"`{key}: Rate = 0.1`, or let init return it"
        ) from None


def _step(cls: type[Optimizer], g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> State:
    """Return the state after a step, taken twice: with a state that is still needed, and with one that is spent."""
    name = cls.__name__
    given = {"g": g, "p": p, **s}
    before = _copied(given)
    change, new = _updated(cls, g, p, dict(s), t, h)
    for key, value in before.items():
        if isinstance(value, Tensor) and not torch.equal(value, given[key]):
            what = key if key in ("g", "p") else f"s['{key}']"
            raise UserError(f"{name}: update changes {what} in place; compute out of place, as in `{what} * 2`")
    if change.shape != p.shape:
        raise UserError(f"{name}: update returns a direction of shape {tuple(change.shape)} for {tuple(p.shape)}")
    if cls.elementwise():
        _check_elementwise(cls, g, p, s, t, h, change)
    for key in s:
        if key not in new:
            raise UserError(f"{name}: update returns no '{key}', which init makes; return all of the next state")
    spent, other = _updated(cls, g, p, Spent(_copied(s)), t, h)
    pairs = {"direction": (change, spent), **{key: (new[key], other[key]) for key in new}}
    for key, (one, two) in pairs.items():
        if isinstance(one, Tensor) and not torch.allclose(one, two, rtol=1e-4, atol=1e-6, equal_nan=True):
            raise UserError(
                f"{name}: update reads a part of s after a helper that ends in an underscore has spent it ({key} "
                "differs); read it before, or give the helper's result its place"
            )
    return new


def _check_rate(cls: type[Optimizer], g: Tensor, p: Tensor, s: State, h: Hyper) -> None:
    """Raise where a rule multiplies its direction by the learning rate, which the step does too."""
    if cls.whole_step:
        return
    once, twice = (_updated(cls, g, p, _copied(s), 1, {**h, "lr": rate})[0] for rate in (0.1, 0.2))
    if once.any() and once.isfinite().all() and torch.allclose(2 * once, twice):
        raise UserError(
            f"{cls.__name__}: update multiplies by lr, and so does the step; return the direction alone, or write "
            "`whole_step = True` in the class"
        )


def _check_elementwise(cls: type[Optimizer], g: Tensor, p: Tensor, s: State, t: int, h: Hyper, change: Tensor) -> None:
    """Raise where a part of a tensor would move otherwise than within the whole, as it has to in stacks."""
    half = p.numel() // 2
    halved = {k: x.flatten()[:half] if isinstance(x, Tensor) and x.shape == p.shape else x for k, x in s.items()}
    alone, _ = _updated(cls, g.flatten()[:half], p.flatten()[:half], halved, t, h)
    if not torch.allclose(alone, change.flatten()[:half], rtol=1e-4, atol=1e-6, equal_nan=True):
        raise UserError(
            f"{cls.__name__}: update moves a part of a tensor otherwise than within the whole; write "
            "`whole_tensor = True` in the class"
        )


def _updated(cls: type[Optimizer], g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
    """Return what a rule returns, its direction as a tensor; random numbers are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        returned: Any = cls.update(g, p, s, t, h)
    pair = isinstance(returned, tuple) and len(returned) == 2
    if not pair or not isinstance(returned[0], Tensor | Quotient):
        raise UserError(f"{cls.__name__}: update returns {_kind(returned)}; return a direction and the next state")
    _check_state(cls.__name__, "update", returned[1])
    return to_tensor(returned[0]).clone(), returned[1]


def _check_state(name: str, maker: str, s: Any) -> None:
    if not isinstance(s, dict):
        raise UserError(f"{name}: {maker} returns {_kind(s)} for the state; return a dictionary of tensors and numbers")
    for key, value in s.items():
        if not isinstance(value, Tensor | int | float):
            raise UserError(f"{name}: {maker} returns '{key}' of {_kind(value)}; a state holds tensors and numbers")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"the type {type(value).__name__}"


def _copied(s: State) -> State:
    return {key: value.clone() if isinstance(value, Tensor) else value for key, value in s.items()}
