"""AdamW with generalised primal averaging."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Fraction, Interval, Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import to_tensor
from optbench.optimizers.base import Hyper, Optimizer, State


class GPAAdamW(Optimizer):
    """AdamW on z, with the gradient taken at y = mu_y x + (1 - mu_y) z, where x forgets older z at the rate mu_x.

    During training the parameters are at y; `eval()` puts them at x, the method's iterate, and `train()` back. `decay`
    says what shrinks: z before its step (the authors' code by now), or `y` as part of the step (their first release).

    References:
        Defazio et al., Smoothing DiLoCo with Primal Averaging for Faster Training of LLMs, 2025,
        https://arxiv.org/abs/2512.17131
    """

    extends = {"ScheduleFreeAdamW": "averages at a fixed rate", "AdamW": "averages the path"}
    whole_step = True

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    mu_y: Annotated[float, Interval("(0, 1]")] = 0.7
    mu_x: Fraction = 0.9967
    decay: Literal["z", "y"] = "z"

    @staticmethod
    def init(p: Tensor) -> State:
        return {**Adam.init(p), "z": p.clone()}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        direction, moments = Adam.update(g, p, s, t, {**h, "weight_decay": 0, "eps_form": "outside"})
        z = s["z"]
        shrink = h["lr"] * h["weight_decay"]
        step = h["lr"] * to_tensor(direction)
        if h["decay"] == "z":
            z = z * (1 - shrink)
        else:
            step = step + shrink * p
        change = (1 - h["mu_y"] * h["mu_x"]) * step + (1 - h["mu_x"]) * (p - z)
        return change, {**moments, "z": z - step}

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        return torch.lerp(s["z"], p, 1 / h["mu_y"])
