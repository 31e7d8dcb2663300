"""Sophia."""

from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Index, Positive, Rate
from optbench.optimizers.arithmetic import add_scaled, working
from optbench.optimizers.base import Hyper, Moving, Optimizer, State
from optbench.optimizers.objective import LOSS, Closure, Objective


class Sophia(Optimizer):
    """Momentum over an estimate of the Hessian's diagonal, clipped to 1 in each coordinate.

    The estimate is renewed at every `interval`-th step: `hutchinson` takes one Hessian-vector product with random
    signs, drawn from `seed` and the step, and `exact` one for each coordinate.

    References:
        Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training, 2023,
        https://arxiv.org/abs/2305.14342
    """

    extends = {"Newton": "diagonal, clipped", "Signum": "where the clip binds"}
    order = 2
    common = ("estimator", "seed")
    only = {"seed": ("estimator", ("hutchinson",))}

    lr: Rate = 1e-3
    beta1: Decay = 0.96
    beta2: Decay = 0.99
    gamma: Positive = 0.01
    eps: Positive = 1e-12
    weight_decay: Rate = 0.1
    interval: Count = 10
    estimator: Literal["hutchinson", "exact"] = "hutchinson"
    seed: Index = 0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "h": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        m = s["m"].lerp(g, 1 - h["beta1"])
        direction = (m / (h["gamma"] * s["h"]).clamp_(min=h["eps"])).clamp_(-1, 1)
        return add_scaled(direction, h["weight_decay"], p), {"m": m, "h": s["h"]}

    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            return self._without_closure(LOSS)
        self._objective = Objective.of(closure, self)
        return super().step(self._objective)

    def _move(self, moving: Moving) -> None:
        due = [(p, s, h) for p, _, s, h in moving if s["step"] % h["interval"] == 0]
        if due:
            params = [p for p, _, _ in due]
            _, s, h = due[0]
            diagonal = self._diagonal(params, s["step"], h)
            for (_, s, h), estimate in zip(due, diagonal, strict=True):
                s["h"] = s["h"].lerp(working(estimate), 1 - h["beta2"])
        super()._move(moving)

    def _diagonal(self, params: list[Tensor], t: int, h: Hyper) -> list[Tensor]:
        product = self._objective.expand(params)[2]
        if h["estimator"] == "hutchinson":
            draw = torch.Generator(params[0].device).manual_seed((1_000_003 * h["seed"] + t) % 2**32)
            signs = [p.new_empty(p.shape).bernoulli_(generator=draw).mul_(2).sub_(1) for p in params]
            return [v * x for v, x in zip(signs, product(signs), strict=True)]
        diagonal = [p.new_zeros(p.shape) for p in params]
        for i, p in enumerate(params):
            for j in range(p.numel()):
                units = [p.new_zeros(p.shape) for p in params]
                units[i].view(-1)[j] = 1
                diagonal[i].view(-1)[j] = product(units)[i].reshape(-1)[j]
        return diagonal
