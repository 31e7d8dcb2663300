"""FTRL-Proximal."""

import torch
from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class FTRL(Optimizer):
    """The weights that would have done best against all gradients so far, kept sparse by `l1`.

    Each past gradient keeps the learning rate of its own step, so that a schedule moves no weight by itself. What is
    kept of the sum z is `pull`, z without its quadratic part: the slope that holds a weight at 0, or against `l2`.
    The closed form starts at zero; `warm_start` lets the first weights stand, without which a network collapses.

    References:
        McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, https://doi.org/10.1145/2487575.2488200
    """

    extends = {"Adagrad": "closed form, sparse weights"}
    whole_step = True

    lr: Rate = 0.1
    beta: Rate = 1.0
    l1: Rate = 0.0
    l2: Rate = 0.0
    initial_accumulator: Rate = 0.0
    warm_start: bool = True

    @staticmethod
    def init(p: Tensor) -> State:
        return {"pull": torch.zeros_like(p), "n": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        lr = h["lr"]
        l1 = h["l1"]
        l2 = h["l2"]
        tiny = torch.finfo(p.dtype).tiny
        first = t == 1
        warm = h["warm_start"]
        n_past = s["n"] + first * h["initial_accumulator"]
        n = n_past + g * g
        strength, past = (h["beta"] + x.sqrt() + tiny for x in (n, n_past))  # 0 / 0 without any gradient yet
        pull = s["pull"] - (first * warm) * (l2 * p + l1 * p.sign())
        scaled_z = lr * (pull + g) - (strength - first * (not warm) * past) * p  # a rate of 0 leaves it finite
        w = (scaled_z.clamp(-lr * l1, lr * l1) - scaled_z) / (strength + lr * l2)
        held = (scaled_z / (lr + tiny)).clamp(-l1, l1)
        return p - w, {"pull": held - l2 * w, "n": n}
