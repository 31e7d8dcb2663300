"""Adamax."""

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import Quotient, add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class Adamax(Optimizer):
    """Adam with the largest recent gradient, exponentially forgotten, in place of the root of the second moment.

    The paper's own rule has eps 0.

    References:
        Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """

    extends = {"Adam": "largest gradient"}

    lr: Rate = 0.002
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "u": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Quotient, State]:
        g = add_scaled(g, h["weight_decay"], p)
        eps = h["eps"] + torch.finfo(p.dtype).tiny  # a coordinate without any gradient yet would be 0 / 0
        u = (h["beta2"] * s["u"]).clamp_min_(g.abs().add_(eps))
        m = s["m"].lerp(g, 1 - h["beta1"])
        return Quotient(m, u, 1 / (1 - h["beta1"] ** t)), {"m": m, "u": u}
