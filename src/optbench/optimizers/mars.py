"""MARS."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, add_scaled
from optbench.optimizers.base import Hyper, State


class MARS(Adam):
    """AdamW on a gradient whose variance is reduced by its difference to the one before, clipped to norm 1 per tensor.

    `first_step` says what the first difference is to: to 0 (the authors' code), or to itself (the paper); `vectors`
    whether these are reduced as well, or go to AdamW with the betas .9 and .95, as the authors' code does by default.

    References:
        Yuan et al., MARS: Unleashing the Power of Variance Reduction for Training Large Models, 2024,
        https://arxiv.org/abs/2411.10438
    """

    extends = {"AdamW": "variance reduction"}
    whole_tensor = True

    lr: Rate = 0.003
    beta1: Decay = 0.95
    beta2: Decay = 0.99
    gamma: Rate = 0.025
    first_step: Literal["authors", "paper"] = "authors"
    vectors: Literal["mars", "adamw"] = "mars"

    @staticmethod
    def init(p: Tensor) -> State:
        return {**Adam.init(p), "g": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        if p.dim() < 2 and h["vectors"] == "adamw":
            direction, moments = Adam.update(g, p, s, t, {**h, "weight_decay": 0, "beta1": 0.9, "beta2": 0.95})
            return add_scaled(direction, h["weight_decay"], p), {**moments, "g": s["g"]}
        known = 1 if h["first_step"] == "authors" else t > 1
        c = add_scaled(g, h["gamma"] * h["beta1"] / (1 - h["beta1"]) * known, g - s["g"])
        c = c / torch.linalg.vector_norm(c).clamp(min=1)
        direction, moments = Adam.update(c, p, s, t, {**h, "weight_decay": 0})
        return add_scaled(direction, h["weight_decay"], p), {**moments, "g": g.clone()}
