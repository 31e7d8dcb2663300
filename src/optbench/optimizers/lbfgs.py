"""L-BFGS."""

from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Rate
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.line_search import Point, along, strong_wolfe


class LBFGS(Flat):
    """Quasi-Newton steps from the last changes of the point and of the gradient.

    A call of `step` takes up to `max_iter` of them on one mini-batch, and rests where no gradient is above `tolerance`.
    Both gradients of a pair are of the same mini-batch; one with s'y of at most `curvature` is skipped. The very first
    step is along the gradient, of length `lr` at most. The state is 2 `history_size` numbers per parameter.

    References:
        Nocedal, Updating Quasi-Newton Matrices with Limited Storage, 1980,
        https://doi.org/10.1090/S0025-5718-1980-0572855-7
    """

    extends = {"Newton": "curvature from gradients"}
    order = 1.5
    keeps = ("pairs",)

    lr: Rate = 1.0
    history_size: Count = 10
    max_iter: Count = 20
    line_search: Literal["none", "strong_wolfe"] = "none"
    tolerance: Rate = 1e-12
    curvature: Rate = 1e-10

    def _minimize(self, f: Function) -> None:
        h, x, loss, g = self.param_groups[0], f.x, f.loss, f.gradient
        pairs = list(self._load(f, "pairs", x.new_zeros(0, 2, len(x))))
        rate = lr = self._spread(f, "lr")
        if not self.state[f.params[0]]["step"]:
            rate = lr / g.abs().sum().clamp(min=1)
        for _ in range(h["max_iter"]):
            d = -rate * two_loops(g, pairs)
            start = Point(0.0, loss, float(g @ d), g)
            if not (g.abs().max() > h["tolerance"] and start.slope < 0):
                break
            line = along(f, x, d)
            end = line(1.0) if h["line_search"] == "none" else strong_wolfe(line, start, 1.0, 0.9)
            if not (end.t or pairs):
                break
            s, y = end.t * d, end.gradient - g
            pairs = remember(pairs, s, y, h["history_size"], h["curvature"]) if end.t else []
            x, loss, g, rate = x + s, end.loss, end.gradient, lr
        f.move(x)
        self._store(f, pairs=torch.stack(pairs) if pairs else x.new_zeros(0, 2, len(x)))


def two_loops(g: Tensor, pairs: list[Tensor]) -> Tensor:
    """Return the gradient times the inverse Hessian that the pairs (s, y), oldest first, stand for."""
    q, shares = g, []
    for s, y in reversed(pairs):
        shares.append(s @ q / (s @ y))
        q = q - shares[-1] * y
    if pairs:
        s, y = pairs[-1]
        q = s @ y / (y @ y) * q
    for s, y in pairs:
        q = q + (shares.pop() - y @ q / (s @ y)) * s
    return q


def remember(pairs: list[Tensor], s: Tensor, y: Tensor, size: int, curvature: Any) -> list[Tensor]:
    """Return the last pairs, with another one if the loss curves up along it by more than `curvature`."""
    return [*pairs, torch.stack([s, y])][-size:] if s @ y > curvature else pairs
