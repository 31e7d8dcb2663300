"""FTRL-Proximal."""

import torch
from torch import Tensor

from optbench.checks import Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class FTRL(Optimizer):
    """The weights that would have done best against all gradients so far, kept sparse by `l1`.

    The closed form starts at zero; `warm_start` lets the first weights stand, without which a network collapses.

    References:
        McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, https://doi.org/10.1145/2487575.2488200
    """

    extends = {"Adagrad": "closed form, sparse weights"}
    whole_step = True

    lr: Positive = 0.1
    beta: Rate = 1.0
    l1: Rate = 0.0
    l2: Rate = 0.0
    initial_accumulator: Rate = 0.0
    warm_start: bool = True

    @staticmethod
    def init(p: Tensor) -> State:
        return {"z": torch.zeros_like(p), "n": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        n_past = s["n"] + (t == 1) * h["initial_accumulator"]
        n = n_past + g * g
        tiny = torch.finfo(p.dtype).tiny  # a coordinate without any gradient yet would be 0 / 0
        strength, past = ((h["beta"] + x.sqrt()) / h["lr"] + h["l2"] + tiny for x in (n, n_past))
        z = s["z"] + g - (strength - past) * p
        z = z - (t == 1) * h["warm_start"] * (past * p + h["l1"] * p.sign())
        w = -(z - z.clamp(-h["l1"], h["l1"])) / strength
        return p - w, {"z": z, "n": n}
