"""LARC."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class LARC(Optimizer):
    """LARS whose layer-wise learning rate is at most `lr`.

    References:
        You et al., Large Batch Training of Convolutional Networks, 2017, https://arxiv.org/abs/1708.03888
        NVIDIA, apex.parallel.LARC, https://github.com/NVIDIA/apex
    """

    extends = {"LARS": "clipped"}
    whole_tensor = True
    aliases = {"trust": "trust_coefficient"}

    lr: Rate = 0.1
    beta: Decay = 0.9
    trust_coefficient: Rate = 0.02
    weight_decay: Rate = 1e-4
    eps: Positive = 1e-8

    @staticmethod
    def init(p: Tensor) -> State:
        return {"v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        w = torch.linalg.vector_norm(p)
        slope = torch.linalg.vector_norm(g)
        local = h["trust_coefficient"] * w / (slope + h["weight_decay"] * w + h["eps"])
        scale = torch.where((w > 0) & (slope > 0), local / h["lr"], 1).clamp(max=1)
        v = h["beta"] * s["v"] + scale * add_scaled(g, h["weight_decay"], p)
        return v, {"v": v}
