"""NAdamW."""

from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.arithmetic import Direction, add_scaled
from optbench.optimizers.base import Hyper, State
from optbench.optimizers.nadam import NAdam


class NAdamW(NAdam):
    """NAdam whose decay shrinks the weights directly, instead of joining the gradient and its moments.

    The baseline of the AlgoPerf benchmark, whose own form is `simple`; `dozat` is torch's with decoupled decay.

    References:
        Dahl et al., Benchmarking Neural Network Training Algorithms, 2023, https://arxiv.org/abs/2306.07179
        Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    extends = {"NAdam": "decay apart from moments", "AdamW": "gradient from ahead"}

    weight_decay: Rate = 0.01

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        direction, s = NAdam.update(g, p, s, t, {**h, "weight_decay": 0})
        return add_scaled(direction, h["weight_decay"], p), s
