"""Rectified Adam."""

from typing import Annotated

import torch
from torch import Tensor

from optbench.checks import Decay, Interval, Positive, Rate
from optbench.optimizers.arithmetic import add_scaled, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class RAdam(Optimizer):
    """Adam that scales its steps by how well the second moment is known, and does without it while it is not.

    The second moment counts once the length of its average exceeds `threshold`: 4 in the paper, 5 in torch.

    References:
        Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265
    """

    extends = {"Adam": "rectifies the start"}

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Annotated[float, Interval("(0.6, 1)")] = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    threshold: Annotated[float, Interval("[4, inf)")] = 5.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        g = add_scaled(g, h["weight_decay"], p)
        m = s["m"].lerp(g, 1 - h["beta1"])
        v = mean_square_(s, "v", g, h["beta2"])
        c1 = 1 - h["beta1"] ** t
        c2 = 1 - h["beta2"] ** t
        longest = 2 / (1 - h["beta2"]) - 1
        rho = longest - 2 * t * h["beta2"] ** t / c2
        known = rho > h["threshold"]
        unknown = rho <= h["threshold"]
        share = (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
        scale = ((share * known) * c2) ** 0.5 / v.sqrt().add_(h["eps"])
        return scale.add_(unknown).mul_(m).div_(c1), {"m": m, "v": v}
