"""Muon."""

from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, add_scaled, scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class Muon(Optimizer):
    """Momentum of a matrix with all its singular values set to about 1, by a Newton-Schulz iteration.

    `scale` makes up for the shape of an m x n matrix: `spectral` by sqrt(max(1, m / n)), `rms` by 0.2 sqrt(max(m, n)),
    which gives the size of a step of Adam. Vectors go to AdamW, at `vector_scale` times `lr`, with the last three;
    of tensors with more dimensions all but the first are one.

    References:
        Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon
        Liu et al., Muon is Scalable for LLM Training, 2025, https://arxiv.org/abs/2502.16982
    """

    extends = {"Momentum": "orthogonal steps"}
    whole_tensor = True

    lr: Rate = 0.02
    beta: Decay = 0.95
    nesterov: bool = True
    ns_steps: Count = 5
    weight_decay: Rate = 0.0
    scale: Literal["spectral", "rms"] = "spectral"
    vector_scale: Rate = 0.015
    beta1: Decay = 0.9
    beta2: Decay = 0.95
    eps: Positive = 1e-8

    @staticmethod
    def init(p: Tensor) -> State:
        return Adam.init(p) if p.dim() < 2 else {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        if p.dim() < 2:
            direction, s = Adam.update(g, p, s, t, {**h, "weight_decay": 0, "eps_form": "outside"})
            return scaled(h["vector_scale"], add_scaled(direction, h["weight_decay"], p)), s
        x, m = momentum(g, s["m"], h)
        direction = gain(p, h["scale"]) * orthogonal(x.flatten(1), h["ns_steps"]).view_as(p)
        return add_scaled(direction, h["weight_decay"], p), {"m": m}


def momentum(g: Tensor, m: Tensor, h: Hyper) -> tuple[Tensor, Tensor]:
    """Return what is to be made orthogonal, and the next running mean of the gradients."""
    m = m.lerp(g, 1 - h["beta"])
    return g.lerp(m, h["beta"]) if h["nesterov"] else m, m


def gain(p: Tensor, scale: str) -> Any:
    """Return what makes up for the shape of a matrix."""
    rows, columns = p.flatten(1).shape
    return max(1, rows / columns) ** 0.5 if scale == "spectral" else 0.2 * max(rows, columns) ** 0.5


def orthogonal(x: Tensor, steps: int) -> Tensor:
    """Return a matrix with the singular vectors of x and singular values between about 0.7 and 1.2."""
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.mT, steps).mT
    x = x / (torch.linalg.vector_norm(x) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (2.0315 * a @ a - 4.7750 * a) @ x
    return x
