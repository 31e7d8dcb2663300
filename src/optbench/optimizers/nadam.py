"""NAdam."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import Direction, Quotient, add_scaled, add_scaled_, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class NAdam(Optimizer):
    """Adam with Nesterov's lookahead: the first moment is already what the next step will make of it.

    `dozat` lets the momentum grow towards beta1 at the pace of `momentum_decay`, `constant` has it at beta1 from the
    start, and `simple` also corrects both terms of the lookahead alike. `text` takes the last corrected moment in place
    of the present one: that is Adam but for the correction.

    References:
        Dozat, Incorporating Nesterov Momentum into Adam, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    extends = {"Adam": "gradient from ahead", "NAG": "of scaled gradients"}
    only = {"momentum_decay": ("form", ("dozat",))}

    lr: Rate = 0.002
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    momentum_decay: Rate = 0.004
    form: Literal["dozat", "constant", "simple", "text"] = "dozat"

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "v": torch.zeros_like(p), "product": 1.0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        g = add_scaled(g, h["weight_decay"], p)
        m = s["m"].lerp(g, 1 - h["beta1"])
        v = mean_square_(s, "v", g, h["beta2"])
        c = (1 - h["beta2"] ** t) ** 0.5
        root = v.sqrt().add_(h["eps"] * c)
        if h["form"] == "text":
            last = h["beta1"] / (1 - h["beta1"] ** (t - 1) + (t == 1)) * s["m"]
            now = (1 - h["beta1"]) / (1 - h["beta1"] ** t)
            return Quotient(add_scaled(last, now, g), root, c), {"m": m, "v": v, "product": s["product"]}
        mu = mu_next = h["beta1"]
        if h["form"] == "dozat":
            mu, mu_next = (h["beta1"] * (1 - 0.5 * 0.96 ** (k * h["momentum_decay"])) for k in (t, t + 1))
        product = s["product"] * mu
        product_next = product if h["form"] == "simple" else product * mu_next
        ahead = add_scaled_((c * (1 - mu) / (1 - product)) * g, c * mu_next / (1 - product_next), m)
        return Quotient(ahead, root), {"m": m, "v": v, "product": product}
