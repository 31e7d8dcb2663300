"""A step of each element-wise optimizer, as it is and compiled, against torch.optim and a plain copy."""

import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from optbench.certificates.twins import TWINS
from optbench.optimizers import CLASSES, Optimizer
from optbench.speed.race import Time, race
from optbench.speed.table import Row, row

SIZES = {
    101_770: ((128, 784), (128,), (10, 128), (10,)),
    1_048_576: ((2**20,),),
    8_400_000: ((8_400_000,),),
}
"""Shapes of the parameters, by their elements in all; the first is 784-128-10."""
COUNTS = {101_770: 50, 1_048_576: 8, 8_400_000: 2}
"""Steps a round."""
SHORT = ("SGD", "NAdam")
FUSED = ("SGD", "Momentum", "NAG", "Adagrad", "Adam", "AdamW", "AMSGrad")
"""Rules that torch has written by hand for a CPU."""


def steps(rounds: int = 7, short: bool = False) -> Iterator[Row]:
    """Yield the steps of every rule that is element-wise, at three sizes."""
    chosen = [name for name in rules() if name in SHORT or not short]
    sizes = [min(SIZES)] if short else list(SIZES)
    for name in chosen:
        for elements in sizes:
            yield from compare(name, elements, rounds)


def rules() -> list[str]:
    """Return the names of the element-wise rules, those that torch has first."""
    names = [name for name, cls in CLASSES.items() if not cls.whole_tensor and cls.stackable(hyper(cls))]
    return sorted(names, key=lambda name: name not in TWINS)


def compare(name: str, elements: int, rounds: int) -> Iterator[Row]:
    """Yield what a step of a rule takes.

    Args:
        name: The rule.
        elements: Of all parameters.
        rounds: Repeats.
    """
    count = COUNTS[elements]
    times = race(contenders(name, elements, count), rounds)
    small = elements == min(SIZES)
    large = elements == max(SIZES)
    what = f"{name}, {elements:,} parameters"
    if name in TWINS:
        best = min("loop", "foreach", key=lambda way: times[way].median)
        target = aim(small, 1.0, large, 1.2)
        yield line(what, times["eager"], f"torch's {best}, its faster", times[best], count, target)
    what += ", compiled"
    if name in FUSED:
        yield line(what, times["compiled"], "torch's fused", times["fused"], count, aim(small, 0.7, large, 1.1))
    yield line(what, times["compiled"], "eager", times["eager"], count, math.nan)
    yield line(what, times["compiled"], "a copy of as many bytes", times["copy"], count, aim(False, 0, large, 2))


def aim(small: bool, at_small: float, large: bool, at_large: float) -> float:
    """Return the ratio that is aimed at: one for the smallest size, one for the largest, and none between them."""
    if small:
        return at_small
    return at_large if large else math.nan


def contenders(name: str, elements: int, count: int) -> dict[str, Callable[[], None]]:
    """Return the ways in which a rule can step, and a copy of as many bytes, each `count` times.

    Args:
        name: The rule.
        elements: Of all parameters.
        count: Steps a round.
    """
    cls = CLASSES[name]
    eager, compiled = (cls(parameters(elements), compile=compile, **hyper(cls)) for compile in (False, True))
    ways: dict[str, Callable[[], None]] = {
        "eager": partial(repeat, eager.step, count),
        "compiled": partial(repeat, compiled.step, count),
    }
    theirs = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    for way, chosen in theirs.items():
        if name in (FUSED if way == "fused" else TWINS):
            ways[way] = partial(repeat, TWINS[name](parameters(elements), hyper(cls), **chosen).step, count)
    for _ in range(2):
        compiled.step()  # the second step compiles
    state = sum(x.numel() for s in compiled.state.values() for x in s.values() if isinstance(x, torch.Tensor))
    moved = torch.ones(2, (3 * elements + 2 * state) // 2)  # reads gradients, reads and writes parameters and state
    ways["copy"] = partial(repeat, partial(moved[0].copy_, moved[1]), count)
    return ways


def line(what: str, ours: Time, against: str, theirs: Time, count: int, target: float) -> Row:
    """Return a row with the quartiles of the ratio."""
    ratio = ours.over(theirs)
    low, high = ratio.quartiles
    plain = row(what, ours.median / count, against, theirs.median / count, target)
    return plain | {"ratio": ratio.median, "low": low, "high": high}


def hyper(cls: type[Optimizer]) -> dict[str, Any]:
    """Return the hyperparameters that a rule cannot do without, and its defaults."""
    return {name: 10**6 if value is inspect.Parameter.empty else value for name, value in cls.hyper.items()}


def parameters(elements: int = min(SIZES)) -> list[nn.Parameter]:
    """Return parameters of so many elements, each with a gradient."""
    torch.manual_seed(0)
    params = [nn.Parameter(0.05 * torch.randn(shape)) for shape in SIZES[elements]]
    for p in params:
        p.grad = 0.01 * torch.randn_like(p)
    return params


def repeat(step: Callable[[], Any], count: int) -> None:
    """Take some steps with the same gradients."""
    for _ in range(count):
        step()
