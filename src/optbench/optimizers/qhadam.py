"""Quasi-hyperbolic Adam."""

import torch
from torch import Tensor

from optbench.checks import Decay, Fraction, Positive, Rate
from optbench.optimizers.arithmetic import Quotient
from optbench.optimizers.base import Hyper, Optimizer, State


class QHAdam(Optimizer):
    """Adam with shares `nu1` and `nu2` of its averaged moments, and the rest of each taken from this gradient alone.

    References:
        Ma & Yarats, Quasi-hyperbolic momentum and Adam for deep learning, 2019, https://arxiv.org/abs/1810.06801
    """

    extends = {"Adam": "shares of plain moments", "QHM": "of scaled gradients"}

    lr: Rate = 0.001
    beta1: Decay = 0.995
    beta2: Decay = 0.999
    nu1: Fraction = 0.7
    nu2: Fraction = 1.0
    eps: Positive = 1e-8

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Quotient, State]:
        square = g * g
        m = s["m"].lerp(g, 1 - h["beta1"])
        v = s["v"].lerp(square, 1 - h["beta2"])
        c1 = 1 - h["beta1"] ** t
        c2 = 1 - h["beta2"] ** t
        root = square.lerp(v / c2, h["nu2"]).sqrt_().add_(h["eps"])
        return Quotient(g.lerp(m / c1, h["nu1"]), root), {"m": m, "v": v}
