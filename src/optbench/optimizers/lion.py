"""Lion."""

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class Lion(Optimizer):
    """Sign of an interpolated momentum.

    References:
        Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, https://arxiv.org/abs/2302.06675
    """

    extends = {"Signum": "two averages"}

    lr: Rate = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        sign = s["m"].lerp(g, 1 - h["beta1"]).sign_()
        return add_scaled(sign, h["weight_decay"], p), {"m": s["m"].lerp(g, 1 - h["beta2"])}
