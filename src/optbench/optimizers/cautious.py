"""Cautious updates."""

from typing import Any

import torch

from optbench.checks import Rate
from optbench.optimizers.arithmetic import gradient
from optbench.optimizers.objective import Closure
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

    base: Factory
    mask: bool = True
    weight_decay: Rate = 0.0

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None and self._dry():
            return None
        params = [(p, group) for group in self.param_groups for p in group["params"] if p.requires_grad]
        before = [p.clone() for p, _ in params]
        loss = self.inner.step(closure)
        for (p, group), start in zip(params, before, strict=True):
            if p.grad is None:
                continue
            step = start - p
            kept = (step * gradient(p) > 0).to(p.dtype)
            move = step * kept * (kept.numel() / (kept.sum() + 1)) if self.mask else step
            shrinks = (step * start >= 0).to(p.dtype)
            p.copy_(start - move - group["lr"] * self.weight_decay * shrinks * start)
        return loss
