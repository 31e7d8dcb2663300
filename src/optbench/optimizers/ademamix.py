"""AdEMAMix."""

import math
from typing import Any

import torch
from torch import Tensor

from optbench.checks import Decay, Index, Positive, Rate
from optbench.optimizers.arithmetic import Direction, Quotient, add_scaled, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.schedule_free_sgd import Weight


class AdEMAMix(Optimizer):
    """AdamW whose first moment is joined by alpha times a mean of the gradients that forgets very slowly.

    Over the first `warmup` steps alpha grows from 0, and the slow mean's half-life from that of beta1 to that of beta3;
    0 has both at their ends from the start.

    References:
        Pagliardini, Ablin & Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2024,
        https://arxiv.org/abs/2409.03137
    """

    extends = {"AdamW": "a second, slow momentum", "AggMo": "of scaled gradients"}

    lr: Rate = 0.001
    beta1: Weight = 0.9
    beta2: Decay = 0.999
    beta3: Weight = 0.9999
    alpha: Rate = 5.0
    warmup: Index = 0
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {name: torch.zeros_like(p) for name in ("m", "slow", "v")}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        alpha = h["alpha"]
        beta3 = h["beta3"]
        if h["warmup"]:
            done = t / h["warmup"]
            done = 1 - (1 - done) * (done < 1)
            longer = log(beta3) / log(h["beta1"])
            alpha = alpha * done
            beta3 = h["beta1"] ** (longer / ((1 - done) * longer + done))
        m = s["m"].lerp(g, 1 - h["beta1"])
        slow = s["slow"].lerp(g, 1 - beta3)
        v = mean_square_(s, "v", g, h["beta2"])
        c1 = 1 - h["beta1"] ** t
        c2 = (1 - h["beta2"] ** t) ** 0.5
        direction = Quotient(add_scaled(m, alpha * c1, slow), v.sqrt().add_(h["eps"] * c2), c2 / c1)
        return add_scaled(direction, h["weight_decay"], p), {"m": m, "slow": slow, "v": v}


def log(x: Any) -> Any:
    """Return the logarithm of a number or of a tensor."""
    return x.log() if isinstance(x, Tensor) else math.log(x)
