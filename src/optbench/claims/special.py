"""Claims about methods for problems of their own kind: bounds, constraints, factors, weights that are to be zero."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import SEEDS, Finding, at, claim, first_below, listed, path, verdict
from optbench.optimizers import FTRL, LBFGS, LBFGSB, SGD, Adam, AugmentedLagrangian, Objective, Rprop
from optbench.surfaces.descent import descend
from optbench.surfaces.entry import limits
from optbench.surfaces.problems import Factorization


@claim("004")
def lbfgsb_bounds() -> Finding:
    """L-BFGS-B handles bounds."""
    box = surfaces.get("box")
    walked = path("box", partial(LBFGSB, max_iter=1, **limits(box)), steps=40)
    inside = bool(torch.equal(walked, box.clamp(walked)))
    end = walked[-1].tolist()
    stays = "never leaves the box" if inside else "leaves the box"
    close = abs(end[0] - 0.8) + abs(end[1] - 0.64) < 1e-5
    measured = f"Rosenbrock's function with x at most 0.8: it ends at ({end[0]:.4f}, {end[1]:.4f}) and {stays}"
    return Finding(verdict(inside and close), measured)


@claim("004")
def constraints() -> Finding:
    """L-BFGS-BF, as it is called there, handles nonlinear constraints."""
    disk = surfaces.get("disk")
    end = path("disk", partial(AugmentedLagrangian, **limits(disk)), steps=15)[-1]
    away = float((end - at(*disk.minima[0])).norm())
    measured = f"Rosenbrock's function inside x² + y² = 1.5: {away:.0e} from the solution after 15 steps"
    return Finding(verdict(away < 1e-5), measured)


@claim("004")
def factorization() -> Finding:
    """L-BFGS suits matrix factorization."""
    found: dict[str, list[float]] = {"L-BFGS": [], "Adam": []}
    for seed in range(SEEDS):
        problem = Factorization.draw(seed=seed)
        start = at(*problem.surface.starts[0])
        p = torch.nn.Parameter(start.clone())
        optimizer = LBFGS([p], line_search="strong_wolfe")
        objective = Objective(lambda: problem.loss(p), [p])  # noqa: B023
        for _ in range(15):
            optimizer.step(objective)
        found["L-BFGS"].append(float(problem.error(p.detach())))
        end = descend(problem.loss, partial(Adam, lr=0.05), start, objective.grad_evals)[-1]
        found["Adam"].append(float(problem.error(end)))
    right = {name: sum(error < 0.01 for error in errors) for name, errors in found.items()}
    numbers = listed(right)
    measured = f"hidden entries of {SEEDS} matrices of rank 3 found to a hundredth, for as many gradients: {numbers}"
    return Finding(verdict(right["L-BFGS"] > right["Adam"]), measured)


def useless_features() -> Callable[[Tensor], Tensor]:
    """Return the loss of a regression on fifty features, of which the first five count."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(500, 50, generator=draw, dtype=torch.float64)
    y = x[:, :5].sum(1) + 0.1 * torch.randn(500, generator=draw, dtype=torch.float64)
    return lambda w: ((x @ w - y) ** 2).mean() / 2


@claim("004")
def ftrl_zeros() -> Finding:
    """FTRL-Proximal makes weights that are exactly zero."""
    loss = useless_features()
    start = torch.zeros(50, dtype=torch.float64)
    ftrl = descend(loss, partial(FTRL, lr=0.1, l1=1.0), start, 500)[-1]
    sgd = descend(lambda w: loss(w) + 0.02 * w.abs().sum(), partial(SGD, lr=0.1), start, 500)[-1]
    counts = {"FTRL": int((ftrl == 0).sum()), "SGD with an L1 term": int((sgd == 0).sum())}
    numbers = listed(counts)
    kept = int((ftrl[:5] != 0).sum())
    measured = f"weights that are exactly zero, of 45 useless and 5 useful ones: {numbers}; FTRL keeps {kept} of the 5"
    return Finding(verdict(counts["FTRL"] > 10 and kept == 5 and counts["SGD with an L1 term"] == 0), measured)


@claim("004")
def rprop_plus() -> Finding:
    """Rprop+ converges better than Rprop."""
    told = []
    wins = 0
    for name, start in (("mild_bowl", (6.0, 6.0)), ("ravine", (5.0, 1.0)), ("booth", (-8.0, -6.0))):
        surface = surfaces.get(name)
        steps = {}
        for form in ("minus", "plus", "iplus"):
            values = surface.above(path(name, partial(Rprop, form=form), start, 1000))
            steps[form] = first_below(values, 1e-6)
        wins += (steps["plus"] or 10**9) < (steps["minus"] or 10**9)
        told.append(f"{name} {', '.join('never' if n is None else str(n) for n in steps.values())}")
    measured = f"steps of Rprop-, Rprop+ and iRprop+ to within 1e-6: {'; '.join(told)}"
    return Finding(verdict(wins == 3), measured, "taking a step back costs a step; iRprop+ does so only after a rise")


@claim("004")
def ftrl_tuning() -> Finding:
    """FTRL-Proximal wants careful tuning."""
    loss = useless_features()
    kept = {}
    for l1 in (0.1, 1.0, 10.0, 100.0):
        rule = partial(FTRL, lr=0.1, l1=l1)
        start = torch.zeros(50, dtype=torch.float64)
        end = descend(loss, rule, start, 500)[-1]
        kept[l1] = int((end[:5] != 0).sum()), int((end[5:] != 0).sum())
    numbers = ", ".join(f"{l1:g}: {a} and {b}" for l1, (a, b) in kept.items())
    measured = f"of 5 useful and 45 useless weights are not zero, by l1: {numbers}"
    careful = sum(useful < 5 for useful, _ in kept.values()) > 1
    return Finding(
        verdict(careful), measured, "too little of it keeps useless weights, and none of these costs a useful one"
    )
