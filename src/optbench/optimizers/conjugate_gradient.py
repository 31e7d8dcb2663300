"""Nonlinear conjugate gradients."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Rate
from optbench.optimizers.base import State
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.line_search import along, exact, origin, strong_wolfe


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
    aliases = {"tol": "tolerance"}

    lr: Rate = 1.0
    form: Literal["fr", "pr", "pr+"] = "fr"
    line_search: Literal["exact", "strong_wolfe"] = "exact"
    tolerance: Rate = 1e-12

    @staticmethod
    def init(p: Tensor) -> State:
        return {"g": torch.zeros_like(p), "d": torch.zeros_like(p)}

    def _minimize(self, f: Function) -> None:
        h = self.param_groups[0]
        g = f.gradient
        if not torch.linalg.vector_norm(g) > h["tolerance"]:
            return
        zero = torch.zeros_like(g)
        last_g = self._load(f, "g", zero)
        last_d = self._load(f, "d", zero)
        square = float(last_g @ last_g)
        change = g if h["form"] == "fr" else g - last_g
        share = float(g @ change) / square if square else 0.0
        if h["form"] == "pr+":
            share = max(share, 0)
        d = share * last_d - g
        d = d if g @ d < 0 else -g
        line = along(f, f.x, d)
        start = origin(f.loss, g, d)
        t = 1 / max(1, float(g.abs().sum()))
        if h["line_search"] == "exact":
            end = exact(line, start, t, h["tolerance"])
        else:
            end = strong_wolfe(line, start, t, 0.1)
        f.move(f.x + self._spread(f, "lr") * end.t * d)
        self._store(f, g=g, d=d if end.t else zero)
