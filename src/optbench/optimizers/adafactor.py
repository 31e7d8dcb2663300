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

    whole_tensor = True
    whole_step = True

    lr: Rate = 0.01
    beta2_decay: Annotated[float, Interval("(-inf, 0]")] = -0.8
    eps1: Positive = 1e-30
    eps2: Rate = 1e-3
    d: Positive = 1.0

    @staticmethod
    def init(p: Tensor) -> State:
        if p.dim() < 2:
            return {"v": torch.zeros_like(p)}
        return {"rows": torch.zeros_like(p[..., 0]), "columns": torch.zeros_like(p[..., 0, :])}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        s = average(s, g * g + h["eps1"], t ** h["beta2_decay"])
        u = g * inverse_root(s)
        u = u / (rms(u) / h["d"]).clamp(min=1)
        size = rms(p).clamp(min=h["eps2"])
        return torch.minimum(size * h["lr"], size * t**-0.5) * u, s


def average(s: State, square: Tensor, weight: float) -> State:
    """Return the moving averages of a square's elements or, of a matrix, of its rows and columns."""
    if "v" in s:
        return {"v": s["v"].lerp(square, weight)}
    return {"rows": s["rows"].lerp(square.mean(-1), weight), "columns": s["columns"].lerp(square.mean(-2), weight)}


def inverse_root(s: State) -> Tensor:
    """Return 1 / sqrt(v), where the v of a matrix is the outer product of its rows and columns over their mean."""
    if "v" in s:
        return s["v"].rsqrt()  # type: ignore[no-any-return]
    rows = s["rows"] / s["rows"].mean(-1, keepdim=True)
    return rows.rsqrt().unsqueeze(-1) * s["columns"].rsqrt().unsqueeze(-2)  # type: ignore[no-any-return]


def rms(x: Tensor) -> Tensor:
    """Return the root of the mean square."""
    return (x * x).mean().sqrt_()
