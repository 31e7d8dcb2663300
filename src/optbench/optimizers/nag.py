"""Nesterov's accelerated gradient."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import add_scaled, add_scaled_, decayed_
from optbench.optimizers.base import Hyper, Optimizer, State


class NAG(Optimizer):
    """Momentum whose gradient is taken where the velocity is about to lead.

    During training the parameters are at that lookahead point, so that one gradient a step is enough; `eval()` puts
    them at the method's own iterate. `fista` has Nesterov's weights, which grow towards 1, in place of beta. In `torch`
    the lookahead point is the iterate, and the learning rate outside the velocity.

    References:
        Nesterov, A method for solving the convex programming problem with convergence rate O(1/k^2), 1983,
        https://www.mathnet.ru/eng/dan46009
        Sutskever et al., On the importance of initialization and momentum in deep learning, 2013,
        https://proceedings.mlr.press/v28/sutskever13.html
    """

    extends = {"Momentum": "gradient from ahead"}
    whole_step = True
    only = {"beta": ("form", ("lookahead", "torch"))}

    lr: Rate = 0.01
    beta: Decay = 0.9
    weight_decay: Rate = 0.0
    form: Literal["lookahead", "torch", "fista"] = "lookahead"

    @staticmethod
    def init(p: Tensor) -> State:
        return {"ahead": torch.zeros_like(p), "a": 1.0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        g = add_scaled(g, h["weight_decay"], p)
        a = s["a"]
        beta = h["beta"]
        if h["form"] == "fista":
            a = (1 + (1 + 4 * s["a"] ** 2) ** 0.5) / 2
            beta = (s["a"] - 1) / a
        rate = 1.0 if h["form"] == "torch" else h["lr"]
        ahead = add_scaled_(decayed_(s, "ahead", beta), beta * rate, g)
        step = add_scaled(ahead, rate, g)
        return h["lr"] * step if h["form"] == "torch" else step, {"ahead": ahead, "a": a}

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        return p if h["form"] == "torch" else p + s["ahead"]
