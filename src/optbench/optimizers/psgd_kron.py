"""PSGD with Kronecker factors."""

import math
from typing import Any

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Fraction, Index, Rate
from optbench.optimizers.arithmetic import Direction, add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.kronecker import refuse_too_large, sides


class PSGDKron(Optimizer):
    """Momentum of a matrix between two factors that are fitted online until what they give is white.

    The factors are triangular, or diagonal for a vector, a side of one and a side above `max_precondition_dim`. They
    descend at `fit_lr` on a criterion that takes random normal matrices, drawn from `seed` and the step: at each of
    the first `flat` steps, then ever more rarely, at the rate `anneal`, down to a share of `least`. A share `balance`
    of these times both get the same largest element first. The root mean square of a direction is kept below 1.1. The
    decay acts on matrices only; of tensors with more dimensions all but the first are one. The state of an m x n
    matrix is m n + m^2 + n^2 numbers.

    References:
        Pooladzandi & Li, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, 2024,
        https://arxiv.org/abs/2402.04553
        Li, Preconditioned Stochastic Gradient Descent, 2015, https://arxiv.org/abs/1512.04202
    """

    extends = {"Shampoo": "fits the factors online", "Momentum": "whitened"}
    order = 1.5
    whole_tensor = True
    shards = False

    lr: Rate = 0.001
    beta: Decay = 0.9
    weight_decay: Rate = 0.0
    fit_lr: Rate = 0.1
    flat: Index = 500
    anneal: Rate = 0.001
    least: Fraction = 0.03
    balance: Fraction = 0.01
    max_precondition_dim: Count = 8192
    seed: Index = 0

    @staticmethod
    def init(p: Tensor) -> State:
        empty = {name: p.new_zeros(0) for name in ("QL", "QR")}  # made at the first step
        return {"m": torch.zeros_like(p), **empty, "since": 0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        m = s["m"].lerp(g, 1 - h["beta"])
        G = (m / (1 - h["beta"] ** t)).reshape(len(m) if m.dim() else 1, -1)
        QL, QR = factors(p, h["max_precondition_dim"]) if t == 1 else (s["QL"], s["QR"])
        often = min(max(math.exp(-h["anneal"] * (t - 1 - h["flat"])), h["least"]), 1.0)
        since = s["since"] + 1
        if since * often >= 1:
            since = 0
            QL, QR = renewed(QL, QR, G, t, h)
        white = twice(QL, twice(QR, G.mT).mT).view_as(p)
        white = white * (1.1 / (white.square().mean().sqrt() + 1e-6)).clamp(max=1)
        decay = h["weight_decay"] if p.dim() > 1 else 0
        return add_scaled(white, decay, p), {"m": m, "QL": QL, "QR": QR, "since": since}

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        return False  # whether a factor is fitted is decided by the step

    def validate(self, group: Hyper) -> None:
        refuse_too_large("PSGDKron", group, copies=1)


def factors(p: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Return the factors that leave a parameter as it is; that of the columns of a vector stays empty."""
    if p.dim() < 2:
        return p.new_ones(p.numel()), p.new_zeros(0)
    shape = p.flatten(1).shape
    triangular = [few and side > 1 for few, side in zip(sides(p, limit), shape, strict=True)]
    identity = [p.new_ones(side) for side in shape]
    left, right = (one.diag() if full else one for one, full in zip(identity, triangular, strict=True))
    return left, right


def renewed(QL: Tensor, QR: Tensor, G: Tensor, t: int, h: Hyper) -> tuple[Tensor, Tensor]:
    """Return both factors after a step of their own, on the gradient and on noise, at times balanced first.

    Args:
        QL: Factor of the rows.
        QR: Factor of the columns; empty for a vector.
        G: The gradient's running mean, shape (rows, columns).
        t: The step, which chooses the noise.
        h: Hyperparameters.
    """
    draw = torch.Generator().manual_seed((1_000_003 * h["seed"] + t) % 2**32)  # alike on every device
    chosen = torch.rand((), generator=draw, dtype=torch.float32, device="cpu") < h["balance"]
    if chosen and QR.numel():
        QL, QR = balanced(QL, QR)
    V = torch.empty(G.shape, dtype=G.dtype, device="cpu").normal_(generator=draw).to(G.device)
    A = times(QL, times(QR, G.mT).mT)
    B = over(QL, over(QR, V.mT).mT)
    return fitted(QL, A, B, h["fit_lr"]), fitted(QR, A.mT, B.mT, h["fit_lr"])


def times(Q: Tensor, x: Tensor) -> Tensor:
    """Return Q x of a triangular, diagonal or empty factor, the last of which stands for the identity."""
    if not Q.numel():
        return x
    return torch.mm(Q, x) if Q.dim() > 1 else torch.mul(Q[:, None], x)


def twice(Q: Tensor, x: Tensor) -> Tensor:
    """Return Q' Q x."""
    return times(Q.mT, times(Q, x)) if Q.dim() > 1 else times(Q, times(Q, x))


def over(Q: Tensor, x: Tensor) -> Tensor:
    """Return Q'^-1 x."""
    if Q.dim() < 2:
        return times(1 / Q, x)
    precise = torch.promote_types(Q.dtype, torch.float32)
    solved: Tensor = torch.linalg.solve_triangular(Q.mT.to(precise), x.to(precise), upper=False)
    return solved.to(x.dtype)


def fitted(Q: Tensor, A: Tensor, B: Tensor, lr: Any) -> Tensor:
    """Return a factor after one step of its own, from its whitened gradient A and the inversely whitened noise B."""
    if not Q.numel():
        return Q
    tiny = torch.finfo(torch.bfloat16).tiny
    if Q.dim() < 2:
        a = A.square().sum(1)
        b = B.square().sum(1)
        return torch.sub(Q, lr * (a - b) * Q / ((a + b).abs().max() + tiny))
    a = A @ A.mT
    b = B @ B.mT
    return torch.sub(Q, (lr * (a - b)).triu() / (norm_bound(a + b) + tiny) @ Q)


def balanced(QL: Tensor, QR: Tensor) -> tuple[Tensor, Tensor]:
    """Return both factors with the same largest element, and the same product."""
    left = QL.abs().max()
    right = QR.abs().max()
    even = (left * right).sqrt()
    return QL * (even / left), QR * (even / right)


def norm_bound(x: Tensor) -> Tensor:
    """Return a lower bound of the largest eigenvalue of a positive semi-definite matrix: one power iteration."""
    largest = x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)
    x = x / largest
    start = x.index_select(0, x.square().sum(1).argmax()[None]).squeeze(0) @ x
    return torch.mul(largest, torch.linalg.vector_norm(x @ (start / torch.linalg.vector_norm(start))))
