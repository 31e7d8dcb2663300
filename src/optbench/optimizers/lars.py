"""LARS."""

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class LARS(Optimizer):
    """Momentum with a learning rate for each layer, in proportion to its weights' norm over its gradient's.

    References:
        You et al., Large Batch Training of Convolutional Networks, 2017, https://arxiv.org/abs/1708.03888
    """

    extends = {"Momentum": "a rate per layer"}
    whole_tensor = True
    aliases = {"trust": "trust_coefficient"}
    whole_step = True

    lr: Rate = 0.1
    beta: Decay = 0.9
    trust_coefficient: Rate = 0.001
    weight_decay: Rate = 1e-4
    eps: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        w = torch.linalg.vector_norm(p)
        slope = torch.linalg.vector_norm(g)
        local = h["trust_coefficient"] * w / (slope + h["weight_decay"] * w + h["eps"])
        local = torch.where((w > 0) & (slope > 0), local, 1)
        v = h["beta"] * s["v"] + h["lr"] * local * add_scaled(g, h["weight_decay"], p)
        return v, {"v": v}
