"""L-BFGS-B."""

import math

import torch
from torch import Tensor

from optbench.checks import Count, Rate, UserError
from optbench.optimizers.base import Hyper
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.lbfgs import remember
from optbench.optimizers.line_search import Point, along, strong_wolfe

ROUNDING = 2.2e-16
Bound = float | tuple[float, ...]


class LBFGSB(Flat):
    """L-BFGS between bounds: a generalised Cauchy point, a minimum over the free parameters, and a line search to it.

    `bounds` are two numbers, lo and hi, or two lists of a parameter's length; groups may have their own. A call of
    `step` takes up to `max_iter` iterations on one mini-batch and rests where no projected gradient is above
    `tolerance`. The state is 2 `history_size` numbers per parameter.

    References:
        Byrd et al., A Limited Memory Algorithm for Bound Constrained Optimization, 1995,
        https://doi.org/10.1137/0916069
    """

    extends = {"LBFGS": "bounds"}
    order = 1.5
    shards = False
    keeps = ("pairs",)

    per_group = ("lr", "bounds")

    lr: Rate = 1.0
    bounds: tuple[Bound, ...] = (-math.inf, math.inf)
    history_size: Count = 10
    max_iter: Count = 20
    tolerance: Rate = 1e-8

    def validate(self, group: Hyper) -> None:
        if len(group["bounds"]) != 2:
            raise UserError(f"LBFGSB: bounds={group['bounds']!r} are not two; give (lo, hi)")
        lo, hi = (torch.tensor(bound) for bound in group["bounds"])
        if (lo > hi).any():
            raise UserError(f"LBFGSB: bounds={group['bounds']!r} have lo > hi; give (lo, hi) with lo <= hi")

    def _minimize(self, f: Function) -> None:
        h, lo, hi = self.param_groups[0], self._bound(f, 0), self._bound(f, 1)
        x, loss, g = f.x.double().clamp(lo, hi), f.loss, f.gradient.double()
        if (x != f.x).any():
            loss, g = f(x)
        pairs = list(self._load(f, "pairs", x.new_zeros(0, 2, len(x))).double())
        lr = self._spread(f, "lr").double()
        for _ in range(h["max_iter"]):
            if not (x - (x - g).clamp(lo, hi)).abs().max() > h["tolerance"]:
                break
            d = lr * (subspace_minimum(x, g, lo, hi, pairs) - x)
            start = Point(0.0, loss, float(g @ d), g)
            room = torch.where(d > 0, (hi - x) / d, torch.where(d < 0, (lo - x) / d, math.inf)).min()
            first = 1.0 if pairs else 1 / max(1.0, float(torch.linalg.vector_norm(d)))
            longest = max(1.0, float(room)) if (lr <= 1).all() else float(room)  # 1 leads to the bounds, rounding aside
            search = start.slope < 0
            end = strong_wolfe(along(f, x, d), start, min(first, longest), 0.9, longest) if search else start
            if not end.t and not pairs:
                break
            s, y = end.t * d, end.gradient - g
            pairs = remember(pairs, s, y, h["history_size"], ROUNDING * y @ y) if end.t else []
            x, loss, g = (x + end.t * d).clamp(lo, hi), end.loss, end.gradient
        f.move(x)
        self._store(f, pairs=torch.stack(pairs) if pairs else x.new_zeros(0, 2, len(x)))

    def _bound(self, f: Function, side: int) -> Tensor:
        parts = []
        for p, bounds in self._per_parameter(f, "bounds"):
            bound = torch.tensor(bounds[side], dtype=torch.double, device=p.device)
            if bound.dim() and bound.shape != p.shape:
                raise UserError(
                    f"LBFGSB: bounds has {len(bound)} elements, a parameter the shape {tuple(p.shape)}; give two "
                    "numbers"
                )
            parts.append(bound.expand(p.shape))
        return f.join(parts)


def subspace_minimum(x: Tensor, g: Tensor, lo: Tensor, hi: Tensor, pairs: list[Tensor]) -> Tensor:
    """Return the minimum of the quadratic model over what the Cauchy point leaves free, cut at the bounds.

    The model's Hessian is theta I - W M W'.
    """
    theta, W, M = compact(x, pairs)
    point, c = cauchy_point(x, g, lo, hi, theta, W, M)
    free = (point > lo) & (point < hi)
    r, Z = (g + theta * (point - x) - W @ (M @ c))[free], W[free]
    N = torch.eye(len(M), dtype=M.dtype, device=M.device) - M @ (Z.mT @ Z) / theta
    d = -r / theta - Z @ torch.linalg.solve(N, M @ (Z.mT @ r)) / theta**2
    room = torch.where(d > 0, (hi - point)[free] / d, torch.where(d < 0, (lo - point)[free] / d, math.inf))
    return point.masked_scatter(free, point[free] + d * room.clamp(max=1).min() if len(d) else d)


def compact(x: Tensor, pairs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return theta, W and M of the Hessian theta I - W M W' that the pairs (s, y), oldest first, stand for."""
    if not pairs:
        return x.new_ones(()), x.new_zeros(len(x), 0), x.new_zeros(0, 0)
    S, Y = torch.stack(pairs).unbind(1)
    products = S @ Y.mT
    theta = Y[-1] @ Y[-1] / products[-1, -1]
    below = products.tril(-1)
    M = torch.cat([torch.cat([-products.diag().diag(), below.mT], 1), torch.cat([below, theta * S @ S.mT], 1)])
    return theta, torch.cat([Y, theta * S]).mT, torch.linalg.inv(M)


def cauchy_point(
    x: Tensor, g: Tensor, lo: Tensor, hi: Tensor, theta: Tensor, W: Tensor, M: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the first minimum of the quadratic model along the projected gradient, and W' times the way there."""
    limits = torch.where(g < 0, (x - hi) / g, torch.where(g > 0, (x - lo) / g, math.inf))
    d = torch.where(limits > 0, -g, 0)
    order = limits.argsort()[(limits <= 0).sum() : limits.isfinite().sum()]
    t, gone = torch.cat([g.new_zeros(1), limits[order]]), g[order, None]
    # One row for each stretch between two bounds that are met; the parameters met before it stand still.
    P = W.mT @ d + torch.cat([W[:1] * 0, (gone * W[order]).cumsum(0)])
    square = (d @ d - torch.cat([t[:1], gone[:, 0].square().cumsum(0)])).clamp(min=0)
    width = torch.cat([t.diff(), g.new_full((1,), math.inf)])
    C = torch.cat([W[:1] * 0, (width[:-1, None] * P[:-1]).cumsum(0)])
    slope = square * (theta * t - 1) - (P @ M * C).sum(1)
    curve = theta * square - (P @ M * P).sum(1)
    i = int(((slope >= 0) | (-slope <= width * curve)).int().argmax())
    rest = (-slope[i] / curve[i]).clamp(min=0) if curve[i] > 0 else torch.zeros_like(slope[i])
    return (x + (t[i] + rest) * d).clamp(lo, hi), C[i] + rest * P[i]
