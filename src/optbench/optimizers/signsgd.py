"""Sign descent."""

from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class SignSGD(Optimizer):
    """Move each coordinate by the learning rate, against the sign of its gradient.

    References:
        Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018,
        https://arxiv.org/abs/1802.04434
    """

    extends = {"SGD": "signs only"}

    lr: Rate = 0.001

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        return g.sign(), {}
