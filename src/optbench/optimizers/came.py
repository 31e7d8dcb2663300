"""CAME."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.adafactor import average, inverse_root, rms, zeros
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class CAME(Optimizer):
    """Adafactor with momentum, each element scaled down by how far the updates have strayed from that momentum.

    The state of an m x n matrix is m n + 2 (m + n) numbers. Vectors are not factored and get no such confidence.

    References:
        Luo et al., CAME: Confidence-guided Adaptive Memory Efficient Optimization, 2023,
        https://arxiv.org/abs/2307.02047
    """

    extends = {"Adafactor": "confidence"}
    whole_tensor = True

    lr: Rate = 2e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    beta3: Decay = 0.9999
    eps1: Positive = 1e-30
    eps2: Positive = 1e-16
    d: Positive = 1.0
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), **zeros(p, "v"), **(zeros(p, "u") if p.dim() > 1 else {})}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        v = average(s, "v", g * g + h["eps1"], 1 - h["beta2"])
        step = g * inverse_root(v, "v")
        step = step / (rms(step) / h["d"]).clamp(min=1)
        m = s["m"].lerp(step, 1 - h["beta1"])
        if p.dim() < 2:
            return add_scaled(m, h["weight_decay"], p), {"m": m, **v}
        u = average(s, "u", (step - m) ** 2 + h["eps2"], 1 - h["beta3"])
        return add_scaled(m * inverse_root(u, "u"), h["weight_decay"], p), {"m": m, **v, **u}
