"""LAMB."""

import torch
from torch import Tensor

from optbench.checks import Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import add_scaled, to_tensor
from optbench.optimizers.base import Hyper, State


class LAMB(Adam):
    """Adam with decoupled decay, each layer's step as long as its weights' norm times the learning rate.

    Nothing is clipped: neither the gradient's global norm nor a layer's ratio.

    References:
        You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2020,
        https://arxiv.org/abs/1904.00962
    """

    extends = {"AdamW": "a rate per layer", "LARS": "of scaled gradients"}
    whole_tensor = True

    eps: Positive = 1e-6
    weight_decay: Rate = 0.01

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        r, s = Adam.update(g, p, s, t, {**h, "weight_decay": 0})
        r = add_scaled(to_tensor(r), h["weight_decay"], p)
        w = torch.linalg.vector_norm(p)
        length = torch.linalg.vector_norm(r)
        return torch.where((w > 0) & (length > 0), w / length, 1) * r, s
