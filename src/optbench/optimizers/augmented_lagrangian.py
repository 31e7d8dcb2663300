"""The augmented Lagrangian method."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from optbench.checks import Count, Positive, Rate
from optbench.optimizers.arithmetic import working
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.lbfgs import LBFGS
from optbench.optimizers.objective import number

Constraint = Callable[..., Tensor]


class AugmentedLagrangian(Flat):
    """Minimum under constraints: L-BFGS on the loss with multipliers and a penalty, which every step then renews.

    `constraints` and `equalities` are functions of the parameters that the loss depends on, one after the other; they
    return tensors: what has to be at least 0, and what has to be 0. A call of `step` takes up to `max_iter` iterations
    of L-BFGS on one mini-batch, or until no gradient is above `tolerance`. The penalty grows, up to `max_penalty`,
    where the largest violation is above `tolerance` too and has not fallen to a quarter. The state is one number for
    each constraint.

    References:
        Nocedal & Wright, Numerical Optimization, 2006, chapter 17, https://doi.org/10.1007/978-0-387-40065-5
    """

    extends = {"LBFGS": "constraints"}
    order = 1.5
    keeps = ("multipliers", "penalty", "violation")
    parts = ("constraints", "equalities")
    per_group = ("lr",)

    constraints: Constraint
    equalities: Constraint | None = None
    lr: Rate = 1.0
    history_size: Count = 10
    max_iter: Count = 20
    penalty: Positive = 10.0
    growth: Positive = 10.0
    max_penalty: Positive = 1e6
    tolerance: Rate = 1e-8

    def _minimize(self, f: Function) -> None:
        h = self.param_groups[0]
        params = f.params
        c, lowest = self._values(params)
        initial = {"multipliers": torch.zeros_like(c), "penalty": h["penalty"], "violation": math.inf}
        newest = max((self.state[p] for p in params), key=lambda s: s["step"])  # any may have been frozen
        s = newest if "multipliers" in newest else initial
        multipliers = s["multipliers"]
        penalty = s["penalty"]

        def lagrangian() -> float:
            loss = number(f.closure())
            c, lowest = self._values(params)
            shifted = torch.maximum(multipliers - penalty * c, lowest)
            term = (shifted.square() - multipliers.square()).sum() / (2 * penalty)
            for p, g in zip(f.params, torch.autograd.grad(term, f.params, materialize_grads=True), strict=True):
                p.grad = g if p.grad is None else p.grad + g
            return loss + number(term)

        groups = [{"params": [p], "lr": lr} for p, lr in self._per_parameter(f, "lr")]
        inner = {key: h[key] for key in ("history_size", "max_iter", "tolerance")}
        LBFGS(groups, line_search="strong_wolfe", curvature=1e-20, **inner).step(lagrangian)
        c, _ = self._values(params)
        violation = torch.where(lowest == 0, (-c).clamp(min=0), c.abs()).max().item()
        if violation > max(h["tolerance"], s["violation"] / 4):
            penalty = max(penalty, min(penalty * h["growth"], h["max_penalty"]))
        multipliers = torch.maximum(multipliers - s["penalty"] * c, lowest)
        for p in params:
            self.state[p].update(multipliers=multipliers.clone(), penalty=penalty, violation=violation)
        self._store(f)

    def _dry(self) -> bool:
        dry = super()._dry()
        if dry:
            c, _ = self._values(list(self.state))
            for s in self.state.values():
                s.update(multipliers=torch.zeros_like(c), penalty=self.param_groups[0]["penalty"], violation=math.inf)
        return dry

    def _values(self, params: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return what the constraints are, and the lowest value of the multiplier of each."""
        values = [(working(self.constraints(*params)).reshape(-1), 0.0)]
        if self.equalities is not None:
            values.append((working(self.equalities(*params)).reshape(-1), -math.inf))
        return torch.cat([c for c, _ in values]), torch.cat([torch.full_like(c, low) for c, low in values])


class Ball:
    """The constraint that all parameters together lie within a distance of 0.

    Args:
        radius: That distance.
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def __call__(self, *params: Tensor) -> Tensor:
        """Return by how much the square of the distance stays below that of the radius."""
        return self.radius**2 - torch.stack([p.square().sum() for p in params]).sum()
