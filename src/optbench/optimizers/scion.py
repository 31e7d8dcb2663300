"""Scion."""

import math
from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.muon import orthogonal


class Scion(Optimizer):
    """Step to where a ball of some norm is lowest along the momentum: a linear minimisation, of length lr and radius.

    `norm` is that of matrices, and groups may have their own: `spectral` for hidden layers, also of convolutions,
    `sign` (the largest element) for the last, `column` or `row` for embeddings. Vectors have the root mean square.
    If `constrained` the weights shrink by lr, and so stay in the ball of that radius: Frank-Wolfe.

    References:
        Pethick et al., Training Deep Learning Models with Norm-Constrained LMOs, 2025,
        https://arxiv.org/abs/2502.07529
    """

    extends = {"Muon": "a norm for each kind of layer", "Signum": "in other norms"}
    whole_tensor = True
    only = {"ns_steps": ("norm", ("spectral",))}

    lr: Rate = 0.001
    beta: Decay = 0.9
    radius: Positive = 10.0
    norm: Literal["spectral", "sign", "column", "row"] = "spectral"
    constrained: bool = True
    ns_steps: Count = 5

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        m = s["m"].lerp(g, 1 - h["beta"])
        corner = h["radius"] * (root_mean_square(m) if m.dim() < 2 else LOWEST[h["norm"]](m, h["ns_steps"]))
        return corner + h["constrained"] * p, {"m": m}


def root_mean_square(m: Tensor) -> Tensor:
    """Return a vector or a number over the root of its mean square."""
    return torch.div(m, m.square().mean().sqrt() + TINY)


def spectral(m: Tensor, steps: int) -> Tensor:
    """Return the lowest corner, negated, of the matrices that take no input to a larger root mean square."""
    outputs, inputs, *window = m.shape
    size = (outputs / inputs) ** 0.5 / math.prod(window)
    return torch.mul(orthogonal(m.flatten(1), steps).view_as(m), size)


def sign(m: Tensor, steps: int) -> Tensor:
    """Return the signs over the number of inputs."""
    return m.sign() / m[0].numel()


def column(m: Tensor, steps: int) -> Tensor:
    """Return each column over the root of its mean square."""
    return torch.div(m, m.square().mean(0, keepdim=True).sqrt() + TINY)


def row(m: Tensor, steps: int) -> Tensor:
    """Return each row over its length and the root of the number of inputs."""
    x = m.flatten(1)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True) * x.shape[1] ** 0.5
    return torch.div(x, length + TINY).view_as(m)


LOWEST = {"spectral": spectral, "sign": sign, "column": column, "row": row}
TINY = 1e-8
