"""Adan."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class Adan(Optimizer):
    """Adam with Nesterov's lookahead, estimated from how the gradient changes from step to step.

    The betas are what is kept at each step, as in the authors' code; the paper's are 1 minus that. Decay is proximal.

    References:
        Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models, 2022,
        https://arxiv.org/abs/2208.06677
    """

    extends = {"NAdam": "gradient differences"}
    whole_step = True

    lr: Rate = 0.001
    beta1: Decay = 0.98
    beta2: Decay = 0.92
    beta3: Decay = 0.99
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {name: torch.zeros_like(p) for name in ("m", "d", "n", "g")}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        change = (g - s["g"]).mul_(t > 1)
        ahead = g + h["beta2"] * change
        m = s["m"].lerp(g, 1 - h["beta1"])
        d = s["d"].lerp(change, 1 - h["beta2"])
        n = s["n"].lerp(ahead.mul_(ahead), 1 - h["beta3"])
        c1, c2, c3 = (1 - h[beta] ** t for beta in ("beta1", "beta2", "beta3"))
        step = (m / c1 + h["beta2"] / c2 * d).div_((n / c3).sqrt_().add_(h["eps"]))
        shrunk = (step + h["weight_decay"] * p) * (h["lr"] / (1 + h["lr"] * h["weight_decay"]))
        return shrunk, {"m": m, "d": d, "n": n, "g": g.clone()}
