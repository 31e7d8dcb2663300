"""RMSprop."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import Direction, Quotient, add_scaled, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class RMSprop(Optimizer):
    """Divide the gradient by the root of a running mean of its square.

    `centered` divides by an estimate of the standard deviation instead; `momentum` sums the scaled gradients, as does
    Graves, who has both, and eps inside the root.

    References:
        Hinton, Neural Networks for Machine Learning, lecture 6e, 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
        Graves, Generating Sequences With Recurrent Neural Networks, 2013, https://arxiv.org/abs/1308.0850
    """

    extends = {"Adagrad": "forgets old squares", "Rprop": "for mini-batches"}

    lr: Rate = 0.01
    alpha: Decay = 0.99
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    momentum: Decay = 0.0
    centered: bool = False
    eps_inside: bool = False

    @staticmethod
    def init(p: Tensor) -> State:
        return {"v": torch.zeros_like(p), "m": 0.0, "b": 0.0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        g = add_scaled(g, h["weight_decay"], p)
        v = mean_square_(s, "v", g, h["alpha"])
        m = s["m"]
        variance = v
        if h["centered"]:
            m = (1 - h["alpha"]) * g + h["alpha"] * m
            variance = (v - m * m).clamp_min_(0)  # rounding may leave it just below
        root = (variance + h["eps"]).sqrt_() if h["eps_inside"] else variance.sqrt().add_(h["eps"])
        b = add_scaled(Quotient(g, root), h["momentum"], s["b"])
        return b, {"v": v, "m": m, "b": b if isinstance(b, Tensor) else s["b"]}
