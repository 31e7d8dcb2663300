"""Quasi-hyperbolic momentum."""

import torch
from torch import Tensor

from optbench.checks import Decay, Fraction, Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class QHM(Optimizer):
    """A share `nu` of averaged momentum, and the rest plain gradient.

    References:
        Ma & Yarats, Quasi-hyperbolic momentum and Adam for deep learning, 2019, https://arxiv.org/abs/1810.06801
    """

    extends = {"Momentum": "share of plain gradient"}

    lr: Rate = 0.1
    beta: Decay = 0.999
    nu: Fraction = 0.7

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        m = s["m"].lerp(g, 1 - h["beta"])
        return g.lerp(m, h["nu"]), {"m": m}
