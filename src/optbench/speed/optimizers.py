"""A step of each element-wise optimizer, against torch.optim's implementations of the same rule."""

import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial

import torch

from optbench.optimizers import CLASSES, Optimizer
from optbench.optimizers.base import Hyper
from optbench.speed.race import race
from optbench.speed.training import Row, row

SHAPES = (128, 784), (128,), (10, 128), (10,)
NAMESAKES = ("Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Rprop")
SAME: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": partial(torch.optim.SGD, lr=0.01),
    "Momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "NAG": partial(torch.optim.SGD, lr=0.01, momentum=0.9, nesterov=True),
    "AMSGrad": partial(torch.optim.Adam, amsgrad=True),
    **{name: getattr(torch.optim, name) for name in NAMESAKES},
}
"""Torch's name for a rule of ours."""


def steps(rounds: int = 7, count: int = 100) -> Iterator[Row]:
    """Yield a step at 784-128-10, 101,770 parameters in four tensors, for every rule that steps without a closure.

    A rule that torch has not is shown against torch's Adam, without an aim.

    Args:
        rounds: Repeats.
        count: Steps a repeat.
    """
    for name in sorted(CLASSES, key=lambda name: name not in SAME):
        if CLASSES[name].whole_tensor or inspect.unwrap(CLASSES[name].step) is not inspect.unwrap(Optimizer.step):
            continue
        same = SAME.get(name, torch.optim.Adam)
        hyper: Hyper = {"total_steps": 10**6} if "total_steps" in CLASSES[name].hyper else {}
        contenders = {"ours": CLASSES[name](parameters(), **hyper), "loop": same(parameters(), foreach=False)}
        if name in SAME:
            contenders["foreach"] = same(parameters(), foreach=True)
        times = race({k: partial(repeat, optimizer, count) for k, optimizer in contenders.items()}, rounds)
        target = math.nan if name not in SAME else 1.5 if name in ("SGD", "Momentum", "NAG") else 1.0
        for way in list(contenders)[1:]:
            against = f"torch.optim, {way}" if name in SAME else "torch.optim's Adam, loop"
            what, seconds = f"optimizer step, {name}", times["ours"].median / count
            yield row(what, seconds, against, times[way].median / count, target)


def parameters() -> list[torch.nn.Parameter]:
    """Return the parameters of the network, each with a gradient."""
    torch.manual_seed(0)
    params = [torch.nn.Parameter(0.05 * torch.randn(shape)) for shape in SHAPES]
    for p in params:
        p.grad = 0.01 * torch.randn_like(p)
    return params


def repeat(optimizer: torch.optim.Optimizer, count: int) -> None:
    """Take some steps with the same gradients."""
    for _ in range(count):
        optimizer.step()
