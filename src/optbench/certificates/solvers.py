"""SciPy's solvers and curvlinops, for the methods that move all parameters at once."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, Rate, constant, version
from optbench.certificates.problems import Problem
from optbench.optimizers.augmented_lagrangian import Ball

BOUNDS, RADIUS = (-2.0, 0.5), 1.0
BALL: Hyper = dict(constraints=Ball(RADIUS), tolerance=1e-12)
KFAC: Hyper = dict(lr=0.1, damping=0.1, beta=0.8, interval=3, seed=4)


def cases() -> list[Case]:
    """Return the comparisons: CG step by step, the constrained methods by where they end, K-FAC by its factors."""
    scipy, both = version("scipy"), ("coupled", "quadratic")
    cg = [dict(form=form) for form in ("fr", "pr", "pr+")]
    return [
        *(Case(ours.ConjugateGradient, h, f"{scipy} linalg.cg", linear, both[1:], 6, constant) for h in cg),
        Case(ours.LBFGSB, dict(bounds=BOUNDS), f"{scipy} L-BFGS-B, the end", boxed, both, 20, constant),
        Case(
            *(ours.AugmentedLagrangian, BALL, f"{scipy} SLSQP and root, the end", on_the_ball, both, 20, constant),
            tolerance=1e-7,  # of an end that rests where the gradient is below 1e-12 and the penalty at 1e6
        ),
        Case(ours.KFAC, KFAC, f"{version('curvlinops-for-pytorch')} KFAC", kfac, ("network",)),
    ]


def linear(problem: Problem, steps: int, rate: Rate) -> Tensor:
    """Return the path of linear conjugate gradients, which the nonlinear ones all are on a quadratic."""
    start = problem.flat()
    path, g = [start], problem.gradient(start, 0)[1]
    cg = import_module("scipy.sparse.linalg").cg
    cg(
        *(problem.hessian(start, 0).numpy(), -g.numpy()),
        **dict(rtol=0, maxiter=steps, callback=lambda x: path.append(start + torch.from_numpy(x.copy()))),
    )
    return torch.stack(path)


def boxed(problem: Problem, steps: int, rate: Rate) -> Tensor:
    """Return the minimum within the bounds."""
    optimize, start = import_module("scipy.optimize"), problem.flat()
    end = optimize.minimize(
        *(numpy(problem), start.numpy()),
        **dict(jac=True, method="L-BFGS-B", bounds=[BOUNDS] * len(start), options=dict(ftol=0, gtol=0)),
    )
    return torch.from_numpy(end.x)[None]


def on_the_ball(problem: Problem, steps: int, rate: Rate) -> Tensor:
    """Return the minimum within the ball, which lies on its surface."""
    optimize, f = import_module("scipy.optimize"), numpy(problem)
    ball = dict(type="ineq", fun=lambda x: RADIUS**2 - x @ x, jac=lambda x: -2 * x)
    near = optimize.minimize(f, problem.flat().numpy(), jac=True, method="SLSQP", constraints=[ball])

    def conditions(z: Any) -> Any:
        x, multiplier = z[:-1], z[-1]
        return [*(f(x)[1] + 2 * multiplier * x), RADIUS**2 - x @ x]

    end = optimize.root(conditions, [*near.x, -f(near.x)[1] @ near.x / 2], tol=1e-15)
    return torch.from_numpy(end.x[:-1])[None]


def numpy(problem: Problem) -> Any:
    """Return a problem as the function from a point to its loss and gradient that SciPy takes."""

    def f(x: Any) -> tuple[float, Any]:
        loss, gradient = problem.gradient(torch.from_numpy(x.copy()), 0)
        return loss, gradient.numpy()

    return f


def kfac(problem: Problem, steps: int, rate: Rate) -> Tensor:
    """Return the path along curvlinops' damped inverses; labels are drawn as ours are, and factors averaged here."""
    curvlinops, path = import_module("curvlinops"), [problem.flat()]
    means: list[dict[str, Tensor]] = []
    for t in range(steps):
        x, y = problem.batches[t]
        if t % KFAC["interval"] == 0:
            draw = torch.Generator().manual_seed(1_000_003 * KFAC["seed"] + t)
            logits = problem.model(x).detach()
            drawn = (logits - torch.empty_like(logits).exponential_(generator=draw).log()).argmax(1)
            fisher = curvlinops.KFACLinearOperator(
                *(problem.model, nn.CrossEntropyLoss(), problem.params, [(x, drawn)]),
                **dict(fisher_type="empirical", separate_weight_and_bias=False, check_deterministic=False),
            )
            fisher.compute_kronecker_factors()
            share = max(1 / (1 + t // KFAC["interval"]), 1 - KFAC["beta"])
            new = [fisher._input_covariances, fisher._gradient_covariances]
            if means:
                for old, kind in zip(means, new, strict=True):
                    kind.update({layer: old[layer].lerp(kind[layer], share) for layer in kind})
            means = new
            inverse = curvlinops.KFACInverseLinearOperator(fisher, KFAC["damping"], use_heuristic_damping=True)
        loss = problem.loss(t)
        steps_down = inverse @ list(torch.autograd.grad(loss, problem.params))
        with torch.no_grad():
            for p, step in zip(problem.params, steps_down, strict=True):
                p.sub_(KFAC["lr"] * rate(t) * step)
        path.append(problem.flat())
    return torch.stack(path)
