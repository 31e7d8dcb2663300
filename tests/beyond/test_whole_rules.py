"""What the rules promise that a path beside a reference does not show."""

import numpy as np
import pytest
import torch

from optbench import optimizers
from optbench.optimizers import Objective

STEPS = 25
DRAW = np.random.default_rng(0)
A, B, C = DRAW.normal(size=(5, 4)), DRAW.normal(size=(3, 3)), DRAW.normal(size=(STEPS + 1, 5, 3))
START = DRAW.normal(size=12)


def gradient(w, t):
    """Return the gradient of half the squared distance from A W B to a target of its own at every step."""
    return (A.T @ (A @ w.reshape(4, 3) @ B - C[t]) @ B.T).reshape(w.shape)


@pytest.mark.parametrize(
    "name, hyper", [("Prodigy", dict(d0=1e-3, weight_decay=0.1)), ("YellowFin", dict(lr=0.01, beta=0.9, window=3))]
)
def test_numbers_for_all_parameters_do_not_depend_on_how_these_are_cut(name, hyper):
    start = torch.tensor(START)
    whole = torch.nn.Parameter(start.clone())
    parts = [torch.nn.Parameter(x.clone()) for x in start.split([5, 3, 4])]
    one = getattr(optimizers, name)([whole], **hyper)
    many = getattr(optimizers, name)([{"params": parts[:2]}, {"params": parts[2:]}], **hyper)
    for t in range(1, STEPS + 1):
        whole.grad = torch.from_numpy(gradient(whole.detach().numpy(), t))
        for p, g in zip(parts, whole.grad.split([5, 3, 4]), strict=True):
            p.grad = g.clone()
        one.step()
        many.step()
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(whole, start, atol=1e-3)


@pytest.mark.parametrize(("estimator", "products"), [("exact", 12), ("hutchinson", 1)])
def test_sophia_renews_its_estimate_at_every_interval(estimator, products):
    p = torch.nn.Parameter(torch.tensor(START))
    objective = Objective(lambda: p.square().square().sum(), [p])
    optimizer = optimizers.Sophia([p], interval=4, estimator=estimator)
    for _ in range(STEPS):
        optimizer.step(objective)
    assert (objective.grad_evals, objective.hvp_evals) == (STEPS + 7, 7 * products)


@pytest.mark.slow
def test_hutchinsons_estimate_is_right_on_average():
    p = torch.nn.Parameter(torch.tensor(START))
    half = torch.tensor(DRAW.normal(size=(12, 12)))
    hessian = half @ half.T
    objective = Objective(lambda: p @ hessian @ p / 2, [p])
    estimates = []
    for seed in range(4000):
        optimizer = optimizers.Sophia([p], lr=0.0, beta2=0.0, seed=seed)
        optimizer.step(objective)
        estimates.append(optimizer.state[p]["h"])
    estimates = torch.stack(estimates)
    error = estimates.mean(0) - hessian.diag()
    assert (error.abs() < 5 * estimates.std(0) / 4000**0.5).all()
    assert (estimates.std(0) > 1).all()
    assert objective.hvp_evals == 4000
