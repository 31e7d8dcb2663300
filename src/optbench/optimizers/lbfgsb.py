"""L-BFGS-B."""

import math

import torch
from torch import Tensor

from optbench.checks import Count, Rate, UserError
from optbench.optimizers.base import Hyper
from optbench.optimizers.flat import Function
from optbench.optimizers.lbfgs import Pairs, remember
from optbench.optimizers.line_search import along, origin, strong_wolfe

ROUNDING = 2.2e-16
"""What a pair's s'y has to exceed, as a share of y'y."""

Bound = float | tuple[float, ...]


class LBFGSB(Pairs):
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

    per_group = ("lr", "bounds")

    lr: Rate = 1.0
    bounds: tuple[Bound, ...] = (-math.inf, math.inf)
    history_size: Count = 10
    max_iter: Count = 20
    tolerance: Rate = 1e-8

    def validate(self, group: Hyper) -> None:
        if len(group["bounds"]) != 2:
            raise UserError(f"LBFGSB: bounds={group['bounds']!r} are not two; give (lo, hi)")
        lo, hi = (torch.tensor(bound, device="cpu") for bound in group["bounds"])
        if (lo > hi).any():
            raise UserError(f"LBFGSB: bounds={group['bounds']!r} have lo > hi; give (lo, hi) with lo <= hi")

    def _minimize(self, f: Function) -> None:
        h = self.param_groups[0]
        lo = self._bound(f, 0)
        hi = self._bound(f, 1)
        x = f.x.double().clamp(lo, hi)
        loss = f.loss
        g = f.gradient.double()
        if (x != f.x).any():
            loss, g = f(x)
        pairs = [pair.double() for pair in self._recall(f)]
        lr = self._spread(f, "lr").double()
        for _ in range(h["max_iter"]):
            if not projected_gradient(x, g, lo, hi).abs().max() > h["tolerance"]:
                break
            d = lr * (subspace_minimum(x, g, lo, hi, pairs) - x)
            line = along(f, x, d)
            start = origin(loss, g, d)
            first = 1.0 if pairs else 1 / max(1.0, float(torch.linalg.vector_norm(d)))
            to_bounds = float(room(x, d, lo, hi).min())
            # With an lr of at most 1 a step of 1 ends between the bounds, even where rounding makes the room less.
            longest = max(1.0, to_bounds) if (lr <= 1).all() else to_bounds
            end = strong_wolfe(line, start, min(first, longest), 0.9, longest) if start.slope < 0 else start
            if not end.t and not pairs:
                break
            s = end.t * d
            y = end.gradient - g
            # A line search that finds nothing forgets the pairs, so that the next step is along the gradient.
            pairs = remember(pairs, s, y, h["history_size"], ROUNDING * y @ y) if end.t else []
            x = (x + s).clamp(lo, hi)
            loss = end.loss
            g = end.gradient
        f.move(x)
        self._retain(f, pairs)

    def _bound(self, f: Function, side: int) -> Tensor:
        """Return the lower bounds of all parameters for side 0, the upper ones for side 1, shape (n,)."""
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


def projected_gradient(x: Tensor, g: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Return the step against the gradient that the bounds leave, its sign turned, all of shape (n,)."""
    return x - (x - g).clamp(lo, hi)


def room(x: Tensor, d: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Return how many times the direction d each parameter may go until its bound, all of shape (n,).

    A parameter that stands still never meets one: infinity.
    """
    upwards = (hi - x) / d
    downwards = (lo - x) / d
    return torch.where(d > 0, upwards, torch.where(d < 0, downwards, math.inf))


def subspace_minimum(x: Tensor, g: Tensor, lo: Tensor, hi: Tensor, pairs: list[Tensor]) -> Tensor:
    """Return the minimum of the quadratic model over what the Cauchy point leaves free, cut at the bounds.

    The model's Hessian is theta I - W M W'. This is the direct primal method, section 5.1 of the paper.

    Args:
        x: Where the model is made, shape (n,).
        g: The gradient there, shape (n,).
        lo: The lower bounds, shape (n,).
        hi: The upper bounds, shape (n,).
        pairs: The m pairs (s, y), each of shape (2, n), oldest first.
    """
    theta, W, M = compact(x, pairs)
    cauchy, c = cauchy_point(x, g, lo, hi, theta, W, M)
    free = (cauchy > lo) & (cauchy < hi)
    start = cauchy[free]
    slope = g + theta * (cauchy - x) - W @ (M @ c)
    d = newton_step(slope[free], theta, W[free], M)
    ways = room(start, d, lo[free], hi[free])
    whole = x.new_ones(1)
    share = torch.cat([ways, whole]).min()
    return cauchy.masked_scatter(free, start + share * d)


def newton_step(r: Tensor, theta: Tensor, Z: Tensor, M: Tensor) -> Tensor:
    """Return the step to the minimum of the model over k free parameters, by the Sherman-Morrison-Woodbury formula.

    Args:
        r: The model's gradient by the free parameters, shape (k,).
        theta: The scale of the Hessian, shape ().
        Z: Their rows of W, shape (k, 2 m).
        M: The matrix in the middle, shape (2 m, 2 m).
    """
    identity = torch.eye(len(M), dtype=M.dtype, device=M.device)
    N = identity - M @ (Z.mT @ Z) / theta
    correction: Tensor = Z @ torch.linalg.solve(N, M @ (Z.mT @ r)) / theta**2
    return -r / theta - correction


def compact(x: Tensor, pairs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the Hessian theta I - W M W' that the pairs stand for: equation (7.29) of Nocedal & Wright.

    Args:
        x: The parameters, shape (n,).
        pairs: The m pairs (s, y), each of shape (2, n), oldest first.

    Returns:
        theta, shape (); W, shape (n, 2 m); and M, shape (2 m, 2 m).
    """
    if not pairs:
        return x.new_ones(()), x.new_zeros(len(x), 0), x.new_zeros(0, 0)
    S, Y = torch.stack(pairs).unbind(1)
    products = S @ Y.mT
    theta = Y[-1] @ Y[-1] / products[-1, -1]
    scaled = theta * S
    D = products.diag().diag()
    L = products.tril(-1)
    above = torch.cat([-D, L.mT], 1)
    below = torch.cat([L, scaled @ S.mT], 1)
    M = torch.linalg.inv(torch.cat([above, below]))
    return theta, torch.cat([Y, scaled]).mT, M


def cauchy_point(
    x: Tensor, g: Tensor, lo: Tensor, hi: Tensor, theta: Tensor, W: Tensor, M: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the first minimum of the quadratic model along the projected gradient: algorithm CP of the paper.

    The path bends where a parameter meets its bound and stands still from there. Its k + 1 stretches, between the k
    bounds that are met, are worked out at once, and the first that has a minimum is taken.

    Args:
        x: Where the model is made, shape (n,).
        g: The gradient there, shape (n,).
        lo: The lower bounds, shape (n,).
        hi: The upper bounds, shape (n,).
        theta: The scale of the model's Hessian, shape ().
        W: The Hessian's outer factor, shape (n, 2 m).
        M: Its factor in the middle, shape (2 m, 2 m).

    Returns:
        The point, shape (n,), and W' times the way there, shape (2 m,).
    """
    limits = room(x, -g, lo, hi)
    d = torch.where(limits > 0, -g, 0)
    met = met_in_turn(limits)
    # One row for each stretch: where it begins, its width, and of its direction d and of the way to it W'd (P), d'd
    # and W' times the way (C). What still moves is summed from the last stretch back: where all have stopped, nothing
    # is left of it, not even a rounding.
    t = torch.cat([g.new_zeros(1), limits[met]])
    width = torch.cat([t.diff(), g.new_full((1,), math.inf)])
    on = torch.where(limits.isinf(), d, 0)
    moving = d[met, None].flip(0)
    P = running(on @ W, moving * W[met].flip(0)).flip(0)
    C = running(W[0] * 0, width[:-1, None] * P[:-1])
    square = running(on @ on, moving[:, 0].square()).flip(0)
    slope = square * (theta * t - 1) - (P @ M * C).sum(1)
    curve = theta * square - (P @ M * P).sum(1)
    i, rest = first_minimum(slope, curve, width)
    point = (x + (t[i] + rest) * d).clamp(lo, hi)
    return point, C[i] + rest * P[i]


def met_in_turn(limits: Tensor) -> Tensor:
    """Return the k of n parameters that meet a bound on the way, as indices in the order in which they do.

    Args:
        limits: How far along each meets its bound, shape (n,): 0 for one that is there, infinity for one that never is.
    """
    there = (limits <= 0).sum()
    ever = limits.isfinite().sum()
    return limits.argsort()[there:ever]


def running(first: Tensor, rows: Tensor) -> Tensor:
    """Return the sums of the k rows, shape (k, ...), before each of them and after the last, shape (k + 1, ...).

    Args:
        first: The sum before all of them, shape (...).
        rows: The rows.
    """
    return torch.cat([first[None], rows]).cumsum(0)


def first_minimum(slope: Tensor, curve: Tensor, width: Tensor) -> tuple[int, Tensor]:
    """Return the first stretch of a path that has a minimum, and how far into it the minimum is.

    Args:
        slope: The model's slope where each stretch begins, shape (k + 1,).
        curve: Its second derivative along each, shape (k + 1,).
        width: How long each is, shape (k + 1,).
    """
    rises = slope >= 0
    turns = -slope <= width * curve
    i = int((rises | turns).int().argmax())
    rest = (-slope[i] / curve[i]).clamp(min=0) if curve[i] > 0 else torch.zeros_like(slope[i])
    return i, rest
