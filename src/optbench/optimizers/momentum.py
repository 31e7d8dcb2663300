"""Momentum."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import add_scaled, add_scaled_, decayed_
from optbench.optimizers.base import Hyper, Optimizer, State


class Momentum(Optimizer):
    """Move along a velocity that sums, or averages, the gradients so far.

    `sum` has the learning rate inside the velocity, `torch` outside it; the two part only when it changes.

    References:
        Polyak, Some methods of speeding up the convergence of iteration methods, 1964,
        https://doi.org/10.1016/0041-5553(64)90137-5
    """

    extends = {"SGD": "velocity"}
    whole_step = True
    only = {"dampening": ("form", ("torch",))}

    lr: Rate = 0.01
    beta: Decay = 0.9
    dampening: Decay = 0.0
    weight_decay: Rate = 0.0
    form: Literal["sum", "ema", "torch"] = "sum"

    @staticmethod
    def init(p: Tensor) -> State:
        return {"v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        g = add_scaled(g, h["weight_decay"], p)
        if h["form"] == "sum":
            v = add_scaled_(decayed_(s, "v", h["beta"]), h["lr"], g)
            return v, {"v": v}
        gain = 1 - h["beta"] if h["form"] == "ema" else 1 - h["dampening"] * (t > 1)
        v = add_scaled_(decayed_(s, "v", h["beta"]), gain, g)
        return h["lr"] * v, {"v": v}
