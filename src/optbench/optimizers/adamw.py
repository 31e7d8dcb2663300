"""AdamW."""

from typing import Literal

from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, add_scaled, scaled
from optbench.optimizers.base import Hyper, State


class AdamW(Adam):
    """Adam whose decay shrinks the weights directly, instead of joining the gradient and its moments.

    `decay` says by how much: `lr` multiplies it by the learning rate (torch), `paper` does not.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    """

    extends = {"Adam": "decay apart from moments"}
    whole_step = True

    weight_decay: Rate = 0.01
    decay: Literal["lr", "paper"] = "lr"

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        direction, s = Adam.update(g, p, s, t, {**h, "weight_decay": 0})
        rate = h["weight_decay"] * (h["lr"] if h["decay"] == "lr" else 1)
        return add_scaled(scaled(h["lr"], direction), rate, p), s
