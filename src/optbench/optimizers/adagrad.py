"""Adagrad."""

import torch
from torch import Tensor

from optbench.checks import Positive, Rate
from optbench.optimizers.arithmetic import Quotient, add_scaled, sum_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class Adagrad(Optimizer):
    """Divide each coordinate's gradient by the root of the sum of its squares so far.

    References:
        Duchi, Hazan & Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, 2011,
        https://jmlr.org/papers/v12/duchi11a.html
    """

    extends = {"SGD": "divides by past squares"}

    lr: Rate = 0.01
    eps: Positive = 1e-10
    weight_decay: Rate = 0.0
    eps_inside: bool = False

    @staticmethod
    def init(p: Tensor) -> State:
        return {"G": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Quotient, State]:
        g = add_scaled(g, h["weight_decay"], p)
        G = sum_square_(s, "G", g)
        root = (G + h["eps"]).sqrt_() if h["eps_inside"] else G.sqrt().add_(h["eps"])
        return Quotient(g, root), {"G": G}
