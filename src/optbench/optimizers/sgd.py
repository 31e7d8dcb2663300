"""Gradient descent."""

from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class SGD(Optimizer):
    """Move against the gradient; batch, stochastic and mini-batch descent differ only in the data's batch size.

    References:
        Robbins & Monro, A Stochastic Approximation Method, 1951, https://doi.org/10.1214/aoms/1177729586
    """

    extends = {}

    lr: Rate = 0.01
    weight_decay: Rate = 0.0

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        return add_scaled(g, h["weight_decay"], p), {}
