"""L-BFGS."""

from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Rate
from optbench.optimizers.base import Hyper, State
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.line_search import along, origin, strong_wolfe


class Pairs(Flat):
    """A method that remembers the last changes of the point and of the gradient.

    Its state has room for `history_size` pairs from the first step on, as distributed files want: those of zeros are
    none.
    """

    keeps = ("pairs",)

    def _recall(self, f: Function) -> list[Tensor]:
        """Return the pairs (s, y), each of shape (2, n), oldest first."""
        pairs = self._load(f, "pairs", f.x.new_zeros(0, 2, len(f.x)))
        return [pair for pair in pairs[-self.param_groups[0]["history_size"] :] if pair.any()]

    def _retain(self, f: Function, pairs: list[Tensor]) -> None:
        """Keep the pairs, and count the step."""
        room = f.x.new_zeros(self.param_groups[0]["history_size"] - len(pairs), 2, len(f.x))
        self._store(f, pairs=torch.cat([room, *(pair[None] for pair in pairs)]))

    def _after(self, p: Tensor, like: Tensor, h: Hyper) -> State:
        return {"pairs": like.new_zeros(h["history_size"], 2, *p.shape)}


class LBFGS(Pairs):
    """Quasi-Newton steps from the last changes of the point and of the gradient.

    A call of `step` takes up to `max_iter` of them on one mini-batch, and rests where no gradient is above `tolerance`.
    Both gradients of a pair are of the same mini-batch; one with s'y of at most `curvature` is skipped. The very first
    step is along the gradient, of length `lr` at most. The state is 2 `history_size` numbers per parameter.

    References:
        Nocedal, Updating Quasi-Newton Matrices with Limited Storage, 1980,
        https://doi.org/10.1090/S0025-5718-1980-0572855-7
        Nocedal & Wright, Numerical Optimization, 2006, algorithm 7.5, https://doi.org/10.1007/978-0-387-40065-5
    """

    extends = {"Newton": "curvature from gradients"}
    order = 1.5

    lr: Rate = 1.0
    history_size: Count = 10
    max_iter: Count = 20
    line_search: Literal["none", "strong_wolfe"] = "none"
    tolerance: Rate = 1e-12
    curvature: Rate = 1e-10

    def _minimize(self, f: Function) -> None:
        h = self.param_groups[0]
        x = f.x
        loss = f.loss
        g = f.gradient
        pairs = self._recall(f)
        lr = self._spread(f, "lr")
        rate = lr
        if not self._steps(f):
            rate = lr / g.abs().sum().clamp(min=1)
        for _ in range(h["max_iter"]):
            d = -rate * two_loops(g, pairs)
            start = origin(loss, g, d)
            if not (g.abs().max() > h["tolerance"] and start.slope < 0):
                break
            line = along(f, x, d)
            end = line(1.0) if h["line_search"] == "none" else strong_wolfe(line, start, 1.0, 0.9)
            if not (end.t or pairs):
                break
            s = end.t * d
            y = end.gradient - g
            # A line search that finds nothing forgets the pairs, so that the next step is along the gradient.
            pairs = remember(pairs, s, y, h["history_size"], h["curvature"]) if end.t else []
            x = x + s
            loss = end.loss
            g = end.gradient
            rate = lr
        f.move(x)
        self._retain(f, pairs)


def two_loops(g: Tensor, pairs: list[Tensor]) -> Tensor:
    """Return the gradient times the inverse Hessian that the pairs stand for: algorithm 7.4 of Nocedal & Wright.

    Args:
        g: The gradient, shape (n,).
        pairs: The pairs (s, y), each of shape (2, n), oldest first. The last one scales the first Hessian, as (7.20).
    """
    q = g
    shares = []
    for s, y in reversed(pairs):
        share = s @ q / (s @ y)
        q = q - share * y
        shares.append(share)
    if pairs:
        s, y = pairs[-1]
        q = s @ y / (y @ y) * q
    for s, y in pairs:
        q = q + (shares.pop() - y @ q / (s @ y)) * s
    return q


def remember(pairs: list[Tensor], s: Tensor, y: Tensor, size: int, curvature: Any) -> list[Tensor]:
    """Return the last pairs, with another one if the loss curves up along it.

    Args:
        pairs: The pairs (s, y), each of shape (2, n), oldest first.
        s: The last change of the point, shape (n,).
        y: The change of the gradient that came with it, shape (n,).
        size: How many pairs to keep.
        curvature: What s'y has to exceed.
    """
    if s @ y > curvature:
        return [*pairs, torch.stack([s, y])][-size:]
    return pairs
