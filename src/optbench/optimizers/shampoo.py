"""Shampoo."""

import torch
from torch import Tensor

from optbench.checks import Count, Positive, Rate
from optbench.optimizers.adam import Adam
from optbench.optimizers.arithmetic import Direction, scaled
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.kronecker import refuse_too_large, sides


class Shampoo(Optimizer):
    """Gradient of a matrix between inverse fourth roots of the sums of its G G' and G' G.

    The roots are renewed at every `interval`-th step, and at each of the first, whose sums are still small. A side
    above `max_precondition_dim` has none, and the root of the other is then the inverse square one. Vectors go to
    Adam, whose learning rate is `vector_scale` times `lr`; of tensors with more dimensions all but the first are one.
    The state of an m x n matrix is 2 (m^2 + n^2) numbers.

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
    max_precondition_dim: Count = 10_000

    @staticmethod
    def init(p: Tensor) -> State:
        return Adam.init(p) if p.dim() < 2 else {name: p.new_zeros(0, 0) for name in ("L", "R", "L_root", "R_root")}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        if p.dim() < 2:
            direction, s = Adam.update(g, p, s, t, Adam.hyper)
            return scaled(h["vector_scale"], direction), s
        step = g.flatten(1)
        state = dict(s)
        kept = sides(p, h["max_precondition_dim"])
        renew = t <= h["interval"] or t % h["interval"] == 0
        for side, few, G in zip("LR", kept, (step, step.mT), strict=True):
            if few:
                state[side] = G @ G.mT + (s[side] if s[side].numel() else 0)
                if renew:
                    state[f"{side}_root"] = inverse_root(state[side], 2 * sum(kept), h["eps"])
        for side, few in zip("LR", kept, strict=True):
            if few:
                root = state[f"{side}_root"]
                step = root @ step if side == "L" else step @ root
        return step.view_as(p), state

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        return False  # eigenvectors magnify the rounding in which a stack differs, and cost as much in it

    def validate(self, group: Hyper) -> None:
        refuse_too_large("Shampoo", group, copies=2)


def inverse_root(x: Tensor, degree: int, eps: float) -> Tensor:
    """Return (x + eps I)^(-1/degree) of a positive semi-definite matrix."""
    values, Q = eigh(x)
    return (Q * (values.clamp(min=0) + eps) ** (-1 / degree) @ Q.mT).to(x.dtype)


def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, ascending, and eigenvectors of a symmetric matrix, in float32 at least.

    Where x is not finite, 0 stands in: a run that diverges should end in a loss that is not finite, not in LAPACK.
    """
    precise = x.to(torch.promote_types(x.dtype, torch.float32)).nan_to_num(0, 0, 0)
    values, vectors = torch.linalg.eigh(precise)
    return values, vectors
