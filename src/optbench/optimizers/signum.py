"""Sign descent with momentum."""

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class Signum(Optimizer):
    """Move each coordinate by the learning rate, against the sign of its averaged gradient.

    References:
        Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018,
        https://arxiv.org/abs/1802.04434
    """

    extends = {"SignSGD": "of an average", "Momentum": "signs only"}

    lr: Rate = 0.001
    beta: Decay = 0.9

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        m = s["m"].lerp(g, 1 - h["beta"])
        return m.sign(), {"m": m}
