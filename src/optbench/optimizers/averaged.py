"""Averages of the weights along the way."""

from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Index
from optbench.optimizers.base import State
from optbench.optimizers.objective import Closure
from optbench.optimizers.wrapper import Factory, Wrapper


class Averaged(Wrapper):
    """Another optimizer, evaluated at a mean of the weights that it has had; it trains on as if nobody looked.

    `form` says which mean: `ema` forgets at the rate `decay`, `swa` is that of all, `lawa` that of the last `window`.
    Weights enter at every `every`-th step after the first `start`. `eval()` puts the parameters at the mean, and
    `train()` back. The state is one number a parameter more than the base's, or `window` + 1.

    References:
        Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992,
        https://doi.org/10.1137/0330046
        Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018,
        https://arxiv.org/abs/1803.05407
        Kaddour, Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging, 2022,
        https://arxiv.org/abs/2209.14981
    """

    extends = {"SGD": "evaluated at a mean"}
    parts = ("base", "form", "decay", "every", "start", "window")
    keeps = ("average", "age", "taken", "last", "gradient_point")

    base: Factory
    form: Literal["ema", "swa", "lawa"] = "ema"
    decay: Decay = 0.99
    every: Count = 1
    start: Index = 0
    window: Count = 10

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None and self._dry():
            return None
        loss = self.inner.step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._take(p, self.state[p])
        return loss

    def _take(self, p: Tensor, s: State) -> None:
        """Let the weights of a parameter enter its mean, where they are due."""
        s["age"] = s.get("age", 0) + 1
        if s["age"] <= self.start or (s["age"] - self.start) % self.every:
            return
        s["taken"] = s.get("taken", 0) + 1
        if self.form == "lawa":
            last = s.get("last", p.new_zeros(0, *p.shape))
            s["last"] = torch.cat([last, p[None]])[-self.window :]
            s["average"] = s["last"].mean(0)
            return
        share = 1 / s["taken"] if self.form == "swa" else 1 - self.decay
        s["average"] = s["average"].lerp(p.to(s["average"].dtype), share) if "average" in s else p.clone()

    @torch.no_grad()
    def eval(self) -> None:
        for p, s in self.state.items():
            if "average" in s and "gradient_point" not in s:
                s["gradient_point"] = p.clone()
                p.copy_(s["average"])

    @torch.no_grad()
    def train(self) -> None:
        for p, s in self.state.items():
            if "gradient_point" in s:
                p.copy_(s.pop("gradient_point"))
