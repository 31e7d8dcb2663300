"""Nonlinear conjugate gradients."""

from typing import Literal

import torch

from optbench.checks import Rate
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.line_search import Point, along, exact, strong_wolfe


class ConjugateGradient(Flat):
    """One line search a step, along the gradient and a share of the last direction.

    The share is |g|^2 / |g'|^2 (`fr`), g (g - g') / |g'|^2 (`pr`), or that if positive (`pr+`), where g' is the last
    gradient; a direction that does not descend starts anew. It rests where the gradient's norm is at most `tolerance`,
    which is also the share of the first slope at which the exact search ends. `lr` is the share of the way to the
    line's minimum that is taken. The state is 2 numbers per parameter.

    References:
        Fletcher & Reeves, Function minimization by conjugate gradients, 1964, https://doi.org/10.1093/comjnl/7.2.149
        Polak & Ribiere, Note sur la convergence de methodes de directions conjuguees, 1969,
        http://www.numdam.org/item/M2AN_1969__3_1_35_0
    """

    extends = {"Momentum": "conjugate directions"}
    order = 1.5
    keeps = ("g", "d")
    aliases = {"tol": "tolerance"}

    lr: Rate = 1.0
    form: Literal["fr", "pr", "pr+"] = "fr"
    line_search: Literal["exact", "strong_wolfe"] = "exact"
    tolerance: Rate = 1e-12

    def _minimize(self, f: Function) -> None:
        h, g, zero = self.param_groups[0], f.gradient, torch.zeros_like(f.gradient)
        if not torch.linalg.vector_norm(g) > h["tolerance"]:
            return
        last_g, last_d = self._load(f, "g", zero), self._load(f, "d", zero)
        square = float(last_g @ last_g)
        share = float(g @ (g if h["form"] == "fr" else g - last_g)) / square if square else 0.0
        d = (max(share, 0) if h["form"] == "pr+" else share) * last_d - g
        d = d if g @ d < 0 else -g
        line, start, t = along(f, f.x, d), Point(0.0, f.loss, float(g @ d), g), 1 / max(1, float(g.abs().sum()))
        exactly = h["line_search"] == "exact"
        end = exact(line, start, t, h["tolerance"]) if exactly else strong_wolfe(line, start, t, 0.1)
        f.move(f.x + self._spread(f, "lr") * end.t * d)
        self._store(f, g=g, d=d if end.t else zero)
