"""L-BFGS-B and the augmented Lagrangian reach constrained minima that are published or that scipy finds."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import optimize

from optbench.checks import UserError
from optbench.optimizers import LBFGSB, AugmentedLagrangian, Objective
from optbench.surfaces import descend


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def chain(p):
    """Rosenbrock's function of any dimension."""
    return ((1 - p[:-1]) ** 2).sum() + 100 * ((p[1:] - p[:-1] ** 2) ** 2).sum()


def double(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
def test_lbfgsb_solves_what_scipy_solves(seed):
    draw = np.random.default_rng(seed)
    half = draw.normal(size=(30, 30))
    matrix, target = half @ half.T / 30 + 0.1 * np.eye(30), 3 * draw.normal(size=30)
    lo, hi = -draw.uniform(0, 2, size=30), draw.uniform(0, 2, size=30)
    expected = optimize.lsq_linear(
        np.linalg.cholesky(matrix).T, np.linalg.solve(np.linalg.cholesky(matrix), target), (lo, hi), tol=1e-14
    ).x
    assert 5 < sum((expected < lo + 1e-6) | (expected > hi - 1e-6)) < 28

    def f(p):
        return p @ double(matrix) @ p / 2 - double(target) @ p

    factory = partial(LBFGSB, bounds=(lo.tolist(), hi.tolist()), max_iter=1)
    path = descend(f, factory, torch.zeros(30, dtype=torch.float64), 60)
    assert ((path >= double(lo)) & (path <= double(hi))).all()
    np.testing.assert_allclose(path[-1], expected, atol=1e-5)


@pytest.mark.parametrize("bounds", [(-2.0, 0.5), (1.5, 3.0), (-1.0, 2.0)])
def test_lbfgsb_on_rosenbrocks_chain(bounds):
    start = np.linspace(-1.9, 1.9, 8)
    path = descend(chain, partial(LBFGSB, bounds=bounds), double(start), 8)
    kkt = torch.func.grad(chain)(path[-1])
    assert (path[1:] >= bounds[0]).all() and (path[1:] <= bounds[1]).all()
    torch.testing.assert_close((path[-1] - kkt).clamp(*bounds), path[-1], rtol=1e-6, atol=1e-6)
    theirs = optimize.minimize(
        lambda x: float(chain(double(x))),
        path[-1],
        jac=lambda x: torch.func.grad(chain)(double(x)).numpy(),
        bounds=[bounds] * 8,
    )
    np.testing.assert_allclose(path[-1], theirs.x, atol=1e-5)


def test_lbfgsb_without_bounds_finds_the_minimum():
    path = descend(rosenbrock, partial(LBFGSB, max_iter=50), double([-1.2, 1.0]), 1)
    torch.testing.assert_close(path[-1], double([1.0, 1.0]), rtol=1e-6, atol=1e-6)


def test_lbfgsb_keeps_each_group_in_its_box():
    p, q = (torch.nn.Parameter(double(x)) for x in ([5.0, -5.0], [[5.0]]))
    optimizer = LBFGSB([{"params": [p], "bounds": (-1, 2)}, {"params": [q]}])
    optimizer.step(Objective(lambda: ((p - 9) ** 2).sum() + ((q - 9) ** 2).sum() - 30 * p[1], [p, q]))
    torch.testing.assert_close(p.detach(), double([2.0, 2.0]))
    torch.testing.assert_close(q.detach(), double([[9.0]]))


@pytest.mark.parametrize(
    "bounds, message",
    [
        ((2.0, 1.0), "LBFGSB: bounds=(2.0, 1.0) have lo > hi; give (lo, hi) with lo <= hi"),
        (([0.0, 3.0], 1.0), "LBFGSB: bounds=([0.0, 3.0], 1.0) have lo > hi; give (lo, hi) with lo <= hi"),
        ((1.0,), "LBFGSB: bounds=(1.0,) are not two; give (lo, hi)"),
        (([0.0], 1.0), "LBFGSB: bounds has 1 elements, a parameter the shape (2,); give two numbers"),
    ],
)
def test_bounds_that_cannot_be_met(bounds, message):
    with pytest.raises(UserError) as error:
        descend(rosenbrock, partial(LBFGSB, bounds=bounds), double([0.0, 0.0]), 1)
    assert str(error.value) == message


@pytest.mark.parametrize("start", [[-1.0, 0.5], [0.0, 0.0], [2.0, 2.0]])
def test_augmented_lagrangian_finds_rosenbrocks_minimum_in_the_unit_disc(start):
    factory = partial(AugmentedLagrangian, constraints=lambda p: 1 - p @ p)
    path = descend(rosenbrock, factory, double(start), 15)
    torch.testing.assert_close(path[-1], double([0.786415, 0.617698]), rtol=0, atol=1e-6)
    assert float(rosenbrock(path[-1])) == pytest.approx(0.0456748, abs=1e-7)


def test_augmented_lagrangian_with_equalities():
    factory = partial(AugmentedLagrangian, constraints=lambda p: p[1] + 0.5, equalities=lambda p: p @ p - 2)
    path = descend(lambda p: p.sum(), factory, double([0.3, 0.9]), 20)
    torch.testing.assert_close(path[-1], double([-(1.75**0.5), -0.5]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_augmented_lagrangian_solves_what_scipy_solves(seed):
    draw = np.random.default_rng(seed)
    half, A, b = draw.normal(size=(6, 6)), draw.normal(size=(4, 6)), draw.uniform(0.1, 1, size=4)
    matrix, target = half @ half.T + np.eye(6), 5 * draw.normal(size=6)
    theirs = optimize.minimize(
        lambda x: x @ matrix @ x / 2 - target @ x,
        np.zeros(6),
        jac=lambda x: matrix @ x - target,
        constraints={"type": "ineq", "fun": lambda x: b - A @ x},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    assert (b - A @ theirs.x < 1e-6).any()

    def f(p):
        return p @ double(matrix) @ p / 2 - double(target) @ p

    factory = partial(AugmentedLagrangian, constraints=lambda p: double(b) - double(A) @ p)
    path = descend(f, factory, torch.zeros(6, dtype=torch.float64), 25)
    np.testing.assert_allclose(path[-1], theirs.x, atol=1e-5)
