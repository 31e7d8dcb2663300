"""Shampoo."""

import torch
from torch import Tensor

from optbench.checks import Count, Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, scaled
from optbench.optimizers.base import Hyper, Optimizer, State


class Shampoo(Optimizer):
    """Gradient of a matrix between inverse fourth roots of the sums of its G G' and G' G.

    The roots are renewed at every `interval`-th step, and at each of the first, whose sums are still small. Vectors go
    to Adam, whose learning rate is `vector_scale` times `lr`; of tensors with more dimensions all but the first are
    one. The state of an m x n matrix is 2 (m^2 + n^2) numbers.

    References:
        Gupta et al., Shampoo: Preconditioned Stochastic Tensor Optimization, 2018, https://arxiv.org/abs/1802.09568
    """

    extends = {"Adagrad": "matrices of squares"}
    order = 1.5
    whole_tensor = True

    lr: Rate = 0.1
    eps: Positive = 1e-4
    interval: Count = 1
    vector_scale: Rate = 0.01

    @staticmethod
    def init(p: Tensor) -> State:
        if p.dim() < 2:
            return Adam.init(p)
        m, n = p.flatten(1).shape
        left, right = p.new_zeros(m, m), p.new_zeros(n, n)
        return {"L": left, "R": right, "L_root": left, "R_root": right}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        if p.dim() < 2:
            direction, s = Adam.update(g, p, s, t, Adam.hyper)
            return scaled(h["vector_scale"], direction), s
        G = g.flatten(1)
        L, R, roots = s["L"] + G @ G.mT, s["R"] + G.mT @ G, (s["L_root"], s["R_root"])
        if t <= h["interval"] or t % h["interval"] == 0:
            roots = inverse_fourth_root(L, h["eps"]), inverse_fourth_root(R, h["eps"])
        direction = (roots[0] @ G @ roots[1]).view_as(p)
        return direction, {"L": L, "R": R, "L_root": roots[0], "R_root": roots[1]}

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        return False  # eigenvectors magnify the rounding in which a stack differs, and cost as much in it


def inverse_fourth_root(x: Tensor, eps: float) -> Tensor:
    """Return (x + eps I)^(-1/4) of a positive semi-definite matrix."""
    values, Q = eigh(x)
    return (Q * (values.clamp(min=0) + eps) ** -0.25 @ Q.mT).to(x.dtype)


def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, ascending, and eigenvectors of a symmetric matrix, in float32 at least.

    Where x is not finite, 0 stands in: a run that diverges should end in a loss that is not finite, not in LAPACK.
    """
    precise = x.to(torch.promote_types(x.dtype, torch.float32)).nan_to_num(0, 0, 0)
    values, vectors = torch.linalg.eigh(precise)
    return values, vectors
