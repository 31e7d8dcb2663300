"""Claims about methods for problems of their own kind: bounds, constraints, factors, weights that are to be zero."""

from functools import partial

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import SEEDS, Claim, Finding, first_below, path, verdict
from optbench.optimizers import FTRL, LBFGS, LBFGSB, SGD, Adam, AugmentedLagrangian, Objective, Rprop
from optbench.surfaces.descent import descend
from optbench.surfaces.entry import limits
from optbench.surfaces.problems import Factorization


def bounds_are_kept() -> Finding:
    """Run L-BFGS-B on Rosenbrock's function in a box whose edge has the minimum."""
    box = surfaces.get("box")
    walked = path("box", partial(LBFGSB, max_iter=1, **limits(box)), steps=40)
    inside = bool(torch.equal(walked, box.clamp(walked)))
    end = walked[-1].tolist()
    stays = "never leaves the box" if inside else "leaves the box"
    close = abs(end[0] - 0.8) + abs(end[1] - 0.64) < 1e-5
    measured = f"Rosenbrock's function with x at most 0.8: it ends at ({end[0]:.4f}, {end[1]:.4f}) and {stays}"
    return Finding(verdict(inside and close), measured)


def constraints_are_kept() -> Finding:
    """Run the augmented Lagrangian on Rosenbrock's function in a disk."""
    disk = surfaces.get("disk")
    end = path("disk", partial(AugmentedLagrangian, **limits(disk)), steps=15)[-1]
    away = float((end - torch.tensor(disk.minima[0], dtype=torch.float64)).norm())
    measured = f"Rosenbrock's function inside x² + y² = 1.5: {away:.0e} from the solution after 15 steps"
    return Finding(verdict(away < 1e-5), measured)


def factors_are_found() -> Finding:
    """Complete matrices of low rank with L-BFGS, and with Adam for as many gradients."""
    found: dict[str, list[float]] = {"L-BFGS": [], "Adam": []}
    for seed in range(SEEDS):
        problem = Factorization.draw(seed=seed)
        start = torch.tensor(problem.surface.starts[0], dtype=torch.float64)
        p = torch.nn.Parameter(start.clone())
        optimizer = LBFGS([p], line_search="strong_wolfe")
        objective = Objective(lambda: problem.loss(p), [p])  # noqa: B023
        for _ in range(15):
            optimizer.step(objective)
        found["L-BFGS"].append(float(problem.error(p.detach())))
        end = descend(problem.loss, partial(Adam, lr=0.05), start, objective.grad_evals)[-1]
        found["Adam"].append(float(problem.error(end)))
    right = {name: sum(error < 0.01 for error in errors) for name, errors in found.items()}
    numbers = ", ".join(f"{name} {count}" for name, count in right.items())
    measured = f"hidden entries of {SEEDS} matrices of rank 3 found to a hundredth, for as many gradients: {numbers}"
    return Finding(verdict(right["L-BFGS"] > right["Adam"]), measured)


def weights_become_zero() -> Finding:
    """Fit a regression most of whose features are useless, with an L1 term."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(500, 50, generator=draw, dtype=torch.float64)
    true = torch.zeros(50, dtype=torch.float64)
    true[:5] = 1.0
    y = x @ true + 0.1 * torch.randn(500, generator=draw, dtype=torch.float64)

    def loss(w: Tensor) -> Tensor:
        return ((x @ w - y) ** 2).mean() / 2

    start = torch.zeros(50, dtype=torch.float64)
    ftrl = descend(loss, partial(FTRL, lr=0.1, l1=1.0), start, 500)[-1]
    sgd = descend(lambda w: loss(w) + 0.02 * w.abs().sum(), partial(SGD, lr=0.1), start, 500)[-1]
    counts = {"FTRL": int((ftrl == 0).sum()), "SGD with an L1 term": int((sgd == 0).sum())}
    numbers = ", ".join(f"{name} {count}" for name, count in counts.items())
    kept = int((ftrl[:5] != 0).sum())
    measured = f"weights that are exactly zero, of 45 useless and 5 useful ones: {numbers}; FTRL keeps {kept} of the 5"
    return Finding(verdict(counts["FTRL"] > 10 and kept == 5 and counts["SGD with an L1 term"] == 0), measured)


def rprop_plus() -> Finding:
    """Count the steps of Rprop's forms."""
    told = []
    wins = 0
    for name, start in (("mild_bowl", (6.0, 6.0)), ("ravine", (5.0, 1.0)), ("booth", (-8.0, -6.0))):
        surface = surfaces.get(name)
        steps = {}
        for form in ("minus", "plus", "iplus"):
            values = surface.f(path(name, partial(Rprop, form=form), start, 1000)) - (surface.floor or 0.0)
            steps[form] = first_below(values, 1e-6)
        wins += (steps["plus"] or 10**9) < (steps["minus"] or 10**9)
        told.append(f"{name} {', '.join('never' if n is None else str(n) for n in steps.values())}")
    measured = f"steps of Rprop-, Rprop+ and iRprop+ to within 1e-6: {'; '.join(told)}"
    return Finding(verdict(wins == 3), measured, "taking a step back costs a step; iRprop+ does so only after a rise")


def ftrl_tuning() -> Finding:
    """Count what FTRL keeps by the strength of its L1 term."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(500, 50, generator=draw, dtype=torch.float64)
    y = x[:, :5].sum(1) + 0.1 * torch.randn(500, generator=draw, dtype=torch.float64)
    kept = {}
    for l1 in (0.1, 1.0, 10.0, 100.0):
        rule = partial(FTRL, lr=0.1, l1=l1)
        start = torch.zeros(50, dtype=torch.float64)
        end = descend(lambda w: ((x @ w - y) ** 2).mean() / 2, rule, start, 500)[-1]
        kept[l1] = int((end[:5] != 0).sum()), int((end[5:] != 0).sum())
    numbers = ", ".join(f"{l1:g}: {a} and {b}" for l1, (a, b) in kept.items())
    measured = f"of 5 useful and 45 useless weights are not zero, by l1: {numbers}"
    careful = sum(useful < 5 for useful, _ in kept.values()) > 1
    return Finding(
        verdict(careful), measured, "too little of it keeps useless weights, and none of these costs a useful one"
    )


CLAIMS = (
    Claim("lbfgsb_bounds", "004", "L-BFGS-B handles bounds.", bounds_are_kept),
    Claim(
        "constraints", "004", "L-BFGS-BF, as it is called there, handles nonlinear constraints.", constraints_are_kept
    ),
    Claim("factorization", "004", "L-BFGS suits matrix factorization.", factors_are_found),
    Claim("ftrl_zeros", "004", "FTRL-Proximal makes weights that are exactly zero.", weights_become_zero),
    Claim("ftrl_tuning", "004", "FTRL-Proximal wants careful tuning.", ftrl_tuning),
    Claim("rprop_plus", "004", "Rprop+ converges better than Rprop.", rprop_plus),
)
