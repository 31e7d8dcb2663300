"""Averages of the weights along the way."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Index
from optbench.optimizers.arithmetic import working
from optbench.optimizers.base import Hyper, Optimizer, State
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
    keeps = ("average", "age", "taken", "last")
    only = {"decay": ("form", ("ema",)), "window": ("form", ("lawa",))}

    base: Factory
    form: Literal["ema", "swa", "lawa"] = "ema"
    decay: Decay = 0.95
    every: Count = 1
    start: Index = 0
    window: Count = 10

    eval = Optimizer.eval

    def begin(self, p: Tensor) -> State:
        mean = {"average": p.clone(), "age": 0, "taken": 0}
        return {**mean, "last": p.new_zeros(self.window, *p.shape)} if self.form == "lawa" else mean

    def end(self, p: Tensor, start: Tensor, s: State, h: Hyper) -> None:
        s["age"] += 1
        if s["age"] <= self.start or (s["age"] - self.start) % self.every:
            return
        s["taken"] += 1
        if self.form == "lawa":
            s["last"] = torch.cat([s["last"], p[None]])[-self.window :]
            s["average"] = s["last"][-s["taken"] :].mean(0)
            return
        share = 1 / s["taken"] if self.form == "swa" else 1 - self.decay
        s["average"] = s["average"].lerp(p.to(s["average"].dtype), share) if s["taken"] > 1 else working(p).clone()

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        return s["average"] if s["taken"] else p
