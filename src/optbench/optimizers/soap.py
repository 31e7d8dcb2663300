"""SOAP."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, add_scaled, scaled, to_tensor
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.kronecker import refuse_too_large, sides
from optbench.optimizers.shampoo import eigh


class SOAP(Optimizer):
    """AdamW of a matrix in the eigenbases of Shampoo's two statistics.

    The first step only finds the bases, largest eigenvalue first: it moves nothing. At every `interval`-th step after
    it they are sorted by the eigenvalues that they estimate, the second moment along with them, and turn by one power
    iteration and QR. A side above `max_precondition_dim` is not rotated. Vectors go to AdamW; of tensors with more
    dimensions all but the first are one. The state of an m x n matrix is 2 (m n + m^2 + n^2) numbers.

    `decay` says when the weights shrink: `after` the step (the authors' code), or together with it, as in `adamw`;
    `eps_form` where eps stands, as in Adam: the authors' code has `hat`.

    References:
        Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, https://arxiv.org/abs/2409.11321
    """

    extends = {"Shampoo": "in its eigenbasis", "Adam": "in its eigenbasis"}
    order = 1.5
    whole_tensor = True

    lr: Rate = 0.003
    beta1: Decay = 0.95
    beta2: Decay = 0.95
    shampoo_beta: Decay = 0.95
    eps: Positive = 1e-8
    eps_form: Literal["hat", "outside", "inside"] = "hat"
    weight_decay: Rate = 0.01
    decay: Literal["after", "adamw"] = "after"
    interval: Count = 10
    max_precondition_dim: Count = 10_000

    @staticmethod
    def init(p: Tensor) -> State:
        if p.dim() < 2:
            return Adam.init(p)
        return {**Adam.init(p.flatten(1)), **{name: p.new_zeros(0, 0) for name in ("L", "R", "QL", "QR")}}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        if p.dim() < 2:
            direction, s = Adam.update(g, p, s, t, {**h, "weight_decay": 0})
            return shrinking(to_tensor(direction), p, h), s
        G = g.flatten(1)
        QL = s["QL"]
        QR = s["QR"]
        rows, columns = sides(p, h["max_precondition_dim"])
        L = mean_outer(s["L"], G, h["shampoo_beta"]) if rows else s["L"]
        R = mean_outer(s["R"], G.mT, h["shampoo_beta"]) if columns else s["R"]
        if t == 1:
            QL, QR = (eigh(x)[1].flip(-1).to(x.dtype) for x in (L, R))
            return torch.zeros_like(p), {**s, "L": L, "R": R, "QL": QL, "QR": QR}
        direction, moments = Adam.update(rotated(G, QL, QR), p, s, t - 1, {**h, "weight_decay": 0})
        step = rotated(to_tensor(direction), QL.mT, QR.mT).view_as(p)
        if (t - 1) % h["interval"] == 0:
            m = rotated(moments["m"], QL.mT, QR.mT)
            QL, moments["v"] = turned(L, QL, moments["v"])
            QR, v = turned(R, QR, moments["v"].mT)
            moments |= {"m": rotated(m, QL, QR), "v": v.mT.contiguous()}
        return shrinking(step, p, h), {**moments, "L": L, "R": R, "QL": QL, "QR": QR}

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        return False  # eigenvectors magnify the rounding in which a stack differs, and cost as much in it

    def validate(self, group: Hyper) -> None:
        refuse_too_large("SOAP", group, copies=2)


def shrinking(step: Tensor, p: Tensor, h: Hyper) -> Direction:
    """Return a direction that also decays the weights, before or after they took the step."""
    done = 1 - h["lr"] * h["weight_decay"] if h["decay"] == "after" else 1.0
    return add_scaled(scaled(done, step), h["weight_decay"], p)


def mean_outer(mean: Tensor, x: Tensor, beta: float) -> Tensor:
    """Return the running mean of x x'; it is empty before the first."""
    new = x @ x.mT
    return mean.lerp(new, 1 - beta) if mean.numel() else (1 - beta) * new


def rotated(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return left' x right, where an empty matrix stands for the identity."""
    x = left.mT @ x if left.numel() else x
    return x @ right if right.numel() else x


def turned(x: Tensor, basis: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return a basis nearer to the eigenvectors of x, by one power iteration, and rows sorted as its columns are.

    Both stay as they are if the basis is empty.
    """
    if not basis.numel():
        return basis, rows
    product = x @ basis
    order = (basis * product).sum(0).argsort(descending=True, stable=True)
    Q, _ = torch.linalg.qr(product[:, order].to(torch.promote_types(x.dtype, torch.float32)))
    return Q.to(x.dtype), rows[order]
