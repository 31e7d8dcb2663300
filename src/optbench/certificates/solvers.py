"""SciPy's solvers and curvlinops, for the methods that move all parameters at once."""

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, RateFactors, Trajectory, constant, version
from optbench.certificates.problems import FUNCTIONS, Problem
from optbench.optimizers.augmented_lagrangian import Ball

BOUNDS = (-2.0, 0.5)
NARROW = (-1.0, 0.5)
RADIUS = 1.0
SCIPY = version("scipy")
CURVLINOPS = f"{version('curvlinops-for-pytorch')} KFAC"
BALL: Hyper = dict(constraints=Ball(RADIUS), tolerance=1e-12)
KFAC: Hyper = dict(lr=0.1, damping=0.1, beta=0.8, interval=3, seed=4)


def cases() -> list[Case]:
    """Return the comparisons: CG and Newton step by step, K-FAC by its factors, the others by where they end."""
    return [*conjugate_gradient(), *ends(), *newton(), *map(kronecker, ("categorical", "gaussian"))]


def conjugate_gradient() -> list[Case]:
    """Return the comparisons of the nonlinear method, on a quadratic with the linear one."""
    forms = ("fr", "pr", "pr+")
    reference = f"{SCIPY} linalg.cg"
    exact = [Case(ours.ConjugateGradient, dict(form=x), reference, linear, ("quadratic",), 6, constant) for x in forms]
    inexact: Hyper = dict(form="pr+", line_search="strong_wolfe", tol=1e-8)
    return [*exact, end(ours.ConjugateGradient, inexact, "BFGS", partial(lowest, method="BFGS"), 200)]


def ends() -> list[Case]:
    """Return the comparisons of methods whose ends are known to a few more digits than their solvers promise."""
    wolfe: Hyper = dict(line_search="strong_wolfe", tolerance=1e-9)
    equal: Hyper = dict(constraints=Ball(10 * RADIUS), equalities=level, tolerance=1e-12)
    return [
        end(ours.LBFGS, wolfe, "BFGS", partial(lowest, method="BFGS")),
        *(
            end(ours.LBFGSB, dict(bounds=bounds, max_iter=iterations), "L-BFGS-B", partial(boxed, bounds=bounds))
            for bounds, iterations in ((BOUNDS, 20), (NARROW, 3))
        ),
        end(ours.AugmentedLagrangian, BALL, "SLSQP and root", on_the_ball),
        end(ours.AugmentedLagrangian, equal, "SLSQP and root", on_the_level),
    ]


def end(cls: type[ours.Optimizer], hyper: Hyper, name: str, path: Trajectory, steps: int = 20) -> Case:
    """Return the comparison of where a method ends.

    Its tolerance is 1e-6: where a gradient is 1e-8, as solvers promise, x may be off by that over the least curvature.
    """
    both = ("coupled", "quadratic")
    return Case(cls, hyper, f"{SCIPY} {name}, the end", path, both, steps, constant, tolerance=1e-6)


def newton() -> list[Case]:
    """Return the comparisons with pytorch-minimize where the Hessian is positive definite, exact and by Lanczos."""
    forms: dict[str, Hyper] = {"plain": {}, "lm": dict(damping=0.1), "saddle_free": dict(damping=0.1)}
    return [
        Case(
            ours.Newton,
            dict(lr=0.5, form=form, exact_size=size, **more),
            f"{version('pytorch-minimize')} newton-exact",
            partial(minimized, **more),
            problems=("elongated_bowl", "coupled"),
            steps=10,
            rate=constant,
        )
        for form, more in forms.items()
        for size in (2000, 1)
    ]


def minimized(problem: Problem, steps: int, rate: RateFactors, damping: float = 0.0) -> Tensor:
    """Return the path of Newton's method with a fixed damping and no line search."""
    options = dict(lr=0.5, line_search="none", tikhonov=damping, max_iter=steps, xtol=0.0, return_all=True)
    found = import_module("torchmin").minimize(
        FUNCTIONS[problem.name], problem.flat(), method="newton-exact", options=options
    )
    return torch.stack(found.allvecs)


def lowest(problem: Problem, steps: int, rate: RateFactors, method: str) -> Tensor:
    """Return the minimum."""
    optimize = import_module("scipy.optimize")
    found = optimize.minimize(numpy(problem), problem.flat().numpy(), jac=True, method=method, options=dict(gtol=1e-10))
    return torch.from_numpy(found.x)[None]


def level(*params: Tensor) -> Tensor:
    """Return the sum of all parameters, less 0.3, which an equality holds at 0."""
    return torch.stack([p.sum() for p in params]).sum()[None] - 0.3


def linear(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
    """Return the path of linear conjugate gradients, which the nonlinear ones all are on a quadratic."""
    start = problem.flat()
    path = [start]
    g = problem.gradient(start, 0)[1]
    cg = import_module("scipy.sparse.linalg").cg
    cg(
        problem.hessian(start, 0).numpy(),
        -g.numpy(),
        **dict(rtol=0, maxiter=steps, callback=lambda x: path.append(start + torch.from_numpy(x.copy()))),
    )
    return torch.stack(path)


def boxed(problem: Problem, steps: int, rate: RateFactors, bounds: tuple[float, float]) -> Tensor:
    """Return the minimum within the bounds."""
    optimize = import_module("scipy.optimize")
    start = problem.flat()
    found = optimize.minimize(
        numpy(problem),
        start.numpy(),
        **dict(jac=True, method="L-BFGS-B", bounds=[bounds] * len(start), options=dict(ftol=0, gtol=0)),
    )
    return torch.from_numpy(found.x)[None]


def on_the_ball(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
    """Return the minimum within the ball, which lies on its surface."""
    optimize = import_module("scipy.optimize")
    f = numpy(problem)
    ball = dict(type="ineq", fun=lambda x: RADIUS**2 - x @ x, jac=lambda x: -2 * x)
    near = optimize.minimize(f, problem.flat().numpy(), jac=True, method="SLSQP", constraints=[ball])

    def conditions(z: Any) -> Any:
        x = z[:-1]
        multiplier = z[-1]
        return [*(f(x)[1] + 2 * multiplier * x), RADIUS**2 - x @ x]

    found = optimize.root(conditions, [*near.x, -f(near.x)[1] @ near.x / 2], tol=1e-15)
    return torch.from_numpy(found.x[:-1])[None]


def on_the_level(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
    """Return the minimum where the parameters add up to 0.3."""
    optimize = import_module("scipy.optimize")
    f = numpy(problem)
    flat = dict(type="eq", fun=lambda x: x.sum() - 0.3, jac=lambda x: x * 0 + 1)
    near = optimize.minimize(f, problem.flat().numpy(), jac=True, method="SLSQP", constraints=[flat])

    def conditions(z: Any) -> Any:
        return [*(f(z[:-1])[1] - z[-1]), z[:-1].sum() - 0.3]

    found = optimize.root(conditions, [*near.x, f(near.x)[1].mean()], tol=1e-15)
    return torch.from_numpy(found.x[:-1])[None]


def numpy(problem: Problem) -> Any:
    """Return a problem as the function from a point to its loss and gradient that SciPy takes."""

    def f(x: Any) -> tuple[float, Any]:
        loss, gradient = problem.gradient(torch.from_numpy(x.copy()), 0)
        return loss, gradient.numpy()

    return f


def kronecker(likelihood: str) -> Case:
    """Return the comparison of K-FAC with curvlinops."""
    return Case(ours.KFAC, KFAC | {"likelihood": likelihood}, CURVLINOPS, partial(kfac, likelihood), ("network",))


def labelled(likelihood: str, outputs: Tensor, t: int) -> tuple[nn.Module, Tensor]:
    """Return a loss of curvlinops' and labels for a network's outputs (examples, n), drawn as ours are.

    Normal labels are so far from the outputs that the covariance of slopes, as curvlinops scales it, is the noise's.
    """
    draw = torch.Generator().manual_seed(1_000_003 * KFAC["seed"] + t)
    noise = torch.empty_like(outputs)
    if likelihood == "gaussian":
        return nn.MSELoss(), outputs - noise.normal_(generator=draw) * outputs.shape[1] ** 0.5 / 2
    return nn.CrossEntropyLoss(), (outputs - noise.exponential_(generator=draw).log()).argmax(1)


def kfac(likelihood: str, problem: Problem, steps: int, rate: RateFactors) -> Tensor:
    """Return the path along curvlinops' damped inverses; labels are drawn as ours are, and factors averaged here."""
    curvlinops = import_module("curvlinops")
    path = [problem.flat()]
    means: list[dict[str, Tensor]] = []
    for t in range(steps):
        x, _ = problem.batches[t]
        if t % KFAC["interval"] == 0:
            loss_of, labels = labelled(likelihood, problem.model(x).detach(), t)
            fisher = curvlinops.KFACLinearOperator(
                problem.model,
                loss_of,
                problem.params,
                [(x, labels)],
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
