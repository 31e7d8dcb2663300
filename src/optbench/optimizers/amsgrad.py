"""AMSGrad."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import Quotient, add_scaled, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class AMSGrad(Optimizer):
    """Adam over the largest second moment so far, so that no step size ever grows.

    `paper` has no bias correction; `torch` keeps the maximum of the raw moment and then corrects both, `corrected`
    keeps the maximum of the corrected one, `first` corrects the first moment only, whose first steps are long.

    References:
        Reddi, Kale & Kumar, On the Convergence of Adam and Beyond, 2018, https://arxiv.org/abs/1904.09237
    """

    extends = {"Adam": "largest second moment"}

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    form: Literal["paper", "torch", "corrected", "first"] = "paper"

    @staticmethod
    def init(p: Tensor) -> State:
        return {name: torch.zeros_like(p) for name in ("m", "v", "v_max")}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Quotient, State]:
        g = add_scaled(g, h["weight_decay"], p)
        m = s["m"].lerp(g, 1 - h["beta1"])
        v = mean_square_(s, "v", g, h["beta2"])
        c1 = 1 - h["beta1"] ** t
        c2 = 1 - h["beta2"] ** t
        v_max = torch.maximum(s["v_max"], v / c2 if h["form"] == "corrected" else v)
        state = {"m": m, "v": v, "v_max": v_max}
        match h["form"]:
            case "paper":
                return Quotient(m, v_max.sqrt().add_(h["eps"])), state
            case "torch":
                return Quotient(m, v_max.sqrt().add_(h["eps"] * c2**0.5), c2**0.5 / c1), state
            case _:
                return Quotient(m, v_max.sqrt().add_(h["eps"]), 1 / c1), state
