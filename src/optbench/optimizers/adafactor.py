"""Adafactor."""

from typing import Annotated

import torch
from torch import Tensor

from optbench.checks import Interval, Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State


class Adafactor(Optimizer):
    """Second moments of a matrix from the means of its rows and columns, and steps relative to the parameter's size.

    The state of an m x n matrix is m + n numbers; `lr` bounds the relative step, which decays as 1 / sqrt(t).

    References:
        Shazeer & Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018,
        https://arxiv.org/abs/1804.04235
    """

    extends = {"Adam": "rows and columns"}
    whole_tensor = True
    whole_step = True

    lr: Rate = 0.01
    beta2_decay: Annotated[float, Interval("(-inf, 0]")] = -0.8
    eps1: Positive = 1e-30
    eps2: Rate = 1e-3
    d: Positive = 1.0

    @staticmethod
    def init(p: Tensor) -> State:
        return zeros(p, "v")

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        s = average(s, "v", g * g + h["eps1"], t ** h["beta2_decay"])
        u = g * inverse_root(s, "v")
        u = u / (rms(u) / h["d"]).clamp(min=1)
        size = rms(p).clamp(min=h["eps2"])
        return torch.minimum(size * h["lr"], size * t**-0.5) * u, s


def zeros(p: Tensor, name: str) -> State:
    """Return the averages of a square before the first step: its elements or, of a matrix, its rows and columns."""
    if p.dim() < 2:
        return {name: torch.zeros_like(p)}
    return {f"{name}_rows": torch.zeros_like(p[..., 0]), f"{name}_columns": torch.zeros_like(p[..., 0, :])}


def average(s: State, name: str, square: Tensor, weight: float) -> State:
    """Return these averages after they have moved towards a square."""
    parts = {name: square} if name in s else {f"{name}_rows": square.mean(-1), f"{name}_columns": square.mean(-2)}
    return {key: s[key].lerp(part, weight) for key, part in parts.items()}


def inverse_root(s: State, name: str) -> Tensor:
    """Return 1 / sqrt(v), where the v of a matrix is the outer product of its rows and columns over their mean."""
    if name in s:
        return torch.rsqrt(s[name])
    rows = s[f"{name}_rows"]
    columns = s[f"{name}_columns"]
    return torch.rsqrt((rows / rows.mean(-1, keepdim=True)).unsqueeze(-1)) * torch.rsqrt(columns.unsqueeze(-2))


def rms(x: Tensor) -> Tensor:
    """Return the root of the mean square."""
    return (x * x).mean().sqrt()
