"""ADOPT."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class ADOPT(Optimizer):
    """Adam that scales each gradient by the second moment of those before it, so that any beta2 converges.

    The first step only measures. `clip` bounds the scaled gradient of step t by (t - 1)^(1/4).

    References:
        Taniguchi et al., ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate, 2024,
        https://arxiv.org/abs/2411.02853
    """

    extends = {"Adam": "divides before averaging"}

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.9999
    eps: Positive = 1e-6
    clip: bool = True

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        u = g / s["v"].sqrt().clamp(min=h["eps"])
        if h["clip"]:
            u = u.clamp(-((t - 1) ** 0.25), (t - 1) ** 0.25)
        m = s["m"].lerp(u.mul_(t > 1), 1 - h["beta1"])
        v = s["v"].lerp(g * g, 1 - h["beta2"] * (t > 1))
        return m, {"m": m, "v": v}
