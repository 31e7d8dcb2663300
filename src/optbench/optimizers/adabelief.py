"""AdaBelief."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import Quotient
from optbench.optimizers.base import Hyper, Optimizer, State


class AdaBelief(Optimizer):
    """Adam that trusts a gradient by how near it is to its average: far steps where they agree, short ones else.

    References:
        Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients, 2020,
        https://arxiv.org/abs/2010.07468
    """

    extends = {"Adam": "divides by surprise"}

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-16

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "s": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Quotient, State]:
        m = s["m"].lerp(g, 1 - h["beta1"])
        surprise = g - m
        variance = s["s"].lerp(surprise.mul_(surprise), 1 - h["beta2"]).add_(h["eps"])
        c1 = 1 - h["beta1"] ** t
        c2 = 1 - h["beta2"] ** t
        root = variance.sqrt().add_(h["eps"] * c2**0.5)
        return Quotient(m, root, c2**0.5 / c1), {"m": m, "s": variance}
