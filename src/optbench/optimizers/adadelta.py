"""Adadelta."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import add_scaled, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class Adadelta(Optimizer):
    """Scale the gradient by the root mean square of recent steps over that of recent gradients.

    References:
        Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012, https://arxiv.org/abs/1212.5701
    """

    extends = {"Adagrad": "forgets, and keeps units"}

    lr: Rate = 1.0
    rho: Decay = 0.9
    eps: Positive = 1e-6
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"E": torch.zeros_like(p), "D": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        g = add_scaled(g, h["weight_decay"], p)
        E = mean_square_(s, "E", g, h["rho"])
        d = (s["D"] + h["eps"]).div_(E + h["eps"]).sqrt_().mul_(g)
        D = mean_square_(s, "D", d, h["rho"])
        return d, {"E": E, "D": D}
