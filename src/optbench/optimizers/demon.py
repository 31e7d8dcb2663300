"""Momentum that decays to nothing by the end of the run."""

from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.arithmetic import Quotient, add_scaled_, decayed_, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


def demon(beta: Any, t: Any, total: Any) -> Any:
    """Return the momentum of step t, from 1: beta at first, and 0 once all steps are done."""
    left = 1 - (t - 1) / total
    left = left * (left > 0)
    return beta * left / (1 - beta + beta * left)


class DemonSGD(Optimizer):
    """Momentum whose beta decays to 0 over `total_steps`, so that each gradient contributes ever less to later steps.

    References:
        Chen, Wolfe, Li & Kyrillidis, Demon: Improved Neural Network Training with Momentum Decay, 2019,
        https://arxiv.org/abs/1910.04952
    """

    extends = {"Momentum": "momentum decays"}
    whole_step = True

    lr: Rate = 0.01
    beta: Decay = 0.9
    total_steps: Count

    @staticmethod
    def init(p: Tensor) -> State:
        return {"v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        v = add_scaled_(decayed_(s, "v", demon(h["beta"], t, h["total_steps"])), h["lr"], g)
        return v, {"v": v}


class DemonAdam(Optimizer):
    """Adam whose beta1 decays to 0 over `total_steps`.

    `paper` sums the gradients and does not correct the first moment; `ema` averages and corrects them as Adam does.

    References:
        Chen, Wolfe, Li & Kyrillidis, Demon: Improved Neural Network Training with Momentum Decay, 2019,
        https://arxiv.org/abs/1910.04952
    """

    extends = {"Adam": "momentum decays", "DemonSGD": "of scaled gradients"}

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    total_steps: Count
    form: Literal["paper", "ema"] = "paper"

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "v": torch.zeros_like(p), "product": 1.0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Quotient, State]:
        beta = demon(h["beta1"], t, h["total_steps"])
        v = mean_square_(s, "v", g, h["beta2"])
        c = (1 - h["beta2"] ** t) ** 0.5
        root = v.sqrt().add_(h["eps"] * c)
        product = s["product"] * beta
        if h["form"] == "ema":
            m = s["m"].lerp(g, 1 - beta)
            return Quotient(m, root, c / (1 - product)), {"m": m, "v": v, "product": product}
        m = beta * s["m"] + g
        return Quotient(m, root, c), {"m": m, "v": v, "product": product}
