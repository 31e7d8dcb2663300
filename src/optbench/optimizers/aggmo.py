"""Aggregated momentum."""

from typing import Any

from torch import Tensor

from optbench.checks import Decay, Rate, UserError
from optbench.optimizers.base import Hyper, Optimizer, State


class AggMo(Optimizer):
    """The mean of several velocities, each with a damping of its own: fast, and yet not prone to oscillate.

    References:
        Lucas et al., Aggregated Momentum: Stability Through Passive Damping, 2019, https://arxiv.org/abs/1804.00325
    """

    extends = {"Momentum": "several velocities"}
    aliases = {"betas": "dampings"}  # a scheduler that cycles the momentum would write into what is called betas

    lr: Rate = 0.1
    dampings: tuple[Decay, ...] = (0.0, 0.9, 0.99)

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        v = {f"v{i}": beta * s.get(f"v{i}", 0.0) + g for i, beta in enumerate(h["dampings"])}
        total: Any = sum(v.values())
        return total / len(v), v

    def validate(self, group: Hyper) -> None:
        if not group["dampings"]:
            raise UserError("AggMo: dampings=() is empty; give at least one")
