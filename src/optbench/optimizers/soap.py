"""SOAP."""

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, add_scaled, to_tensor
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.shampoo import eigh


class SOAP(Optimizer):
    """AdamW of a matrix in the eigenbases of Shampoo's two statistics.

    The bases turn by one power iteration and QR at every `interval`-th step. The first step only finds them: it moves
    nothing. Vectors go to AdamW; of tensors with more dimensions all but the first are one. The state of an m x n
    matrix is 2 (m n + m^2 + n^2) numbers.

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
    weight_decay: Rate = 0.01
    interval: Count = 10

    @staticmethod
    def init(p: Tensor) -> State:
        if p.dim() < 2:
            return Adam.init(p)
        m, n = p.flatten(1).shape
        sides = {"L": p.new_zeros(m, m), "R": p.new_zeros(n, n), "QL": p.new_zeros(m, m), "QR": p.new_zeros(n, n)}
        return {**Adam.init(p.flatten(1)), **sides}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        adam = {**h, "eps_form": "outside", "weight_decay": 0}
        if p.dim() < 2:
            direction, s = Adam.update(g, p, s, t, adam)
            return add_scaled(direction, h["weight_decay"], p), s
        G, QL, QR = g.flatten(1), s["QL"], s["QR"]
        L, R = (s[k].lerp(x, 1 - h["shampoo_beta"]) for k, x in (("L", G @ G.mT), ("R", G.mT @ G)))
        if t == 1:
            QL, QR = (eigh(x)[1].to(x.dtype) for x in (L, R))
            return torch.zeros_like(p), {**s, "L": L, "R": R, "QL": QL, "QR": QR}
        rotated, moments = Adam.update(QL.mT @ G @ QR, p, s, t - 1, adam)
        direction = add_scaled((QL @ to_tensor(rotated) @ QR.mT).view_as(p), h["weight_decay"], p)
        if (t - 1) % h["interval"] == 0:
            m, (QL, QR) = QL @ moments["m"] @ QR.mT, (turn(L, QL), turn(R, QR))
            moments["m"] = QL.mT @ m @ QR
        return direction, {**moments, "L": L, "R": R, "QL": QL, "QR": QR}

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        return False  # eigenvectors magnify the rounding in which a stack differs, and cost as much in it


def turn(x: Tensor, basis: Tensor) -> Tensor:
    """Return an orthogonal basis nearer to the eigenvectors of x, by one power iteration."""
    Q, _ = torch.linalg.qr((x @ basis).to(torch.promote_types(x.dtype, torch.float32)))
    return Q.to(x.dtype)  # type: ignore[no-any-return]
