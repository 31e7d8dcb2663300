"""Cautious updates."""

from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.arithmetic import gradient
from optbench.optimizers.base import Hyper, State
from optbench.optimizers.wrapper import Factory, Wrapper


class Cautious(Wrapper):
    """Another optimizer's step, less what goes against the present gradient; the rest grows to make up for it.

    `mask` may be off. `weight_decay` is decoupled, times lr, and acts only on weights that the step shrinks anyway: the
    base's own decay should be 0 then, for it is part of its step.

    References:
        Liang et al., Cautious Optimizers: Improving Training with One Line of Code, 2024,
        https://arxiv.org/abs/2411.16085
        Chen et al., Cautious Weight Decay, 2025, https://arxiv.org/abs/2510.12402
    """

    extends = {"SGD": "only where signs agree"}
    parts = ("base", "mask", "weight_decay")
    compares = True

    base: Factory
    mask: bool = True
    weight_decay: Rate = 0.0

    def end(self, p: Tensor, start: Tensor, s: State, h: Hyper) -> None:
        step = start - p
        kept = (step * gradient(p) > 0).to(p.dtype)
        move = step * kept * (kept.numel() / (kept.sum() + 1)) if self.mask else step
        shrinks = (step * start >= 0).to(p.dtype)
        p.copy_(start - move - h["lr"] * self.weight_decay * shrinks * start)
