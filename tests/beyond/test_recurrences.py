"""Rules about whole tensors follow their papers' recurrences on matrices and vectors, with decay and fast averages."""

import numpy as np
import pytest
import recurrences
import torch

from optbench import optimizers
from optbench.optimizers import Objective
from optbench.optimizers.base import to_tensor

STEPS = 25
DRAW = np.random.default_rng(0)
A, B, C = DRAW.normal(size=(5, 4)), DRAW.normal(size=(3, 3)), DRAW.normal(size=(STEPS + 1, 5, 3))
STARTS = {"matrix": DRAW.normal(size=(4, 3)), "wide": DRAW.normal(size=(3, 4)), "vector": DRAW.normal(size=12)}

ADAM = dict(beta1=0.8, beta2=0.6, eps=0.02)

# class, recurrence, hyperparameters of both
RULES = {
    "lars": ("LARS", recurrences.lars, dict(lr=0.1, beta=0.8, trust=0.3, weight_decay=0.2, eps=0.1)),
    "larc": ("LARC", recurrences.larc, dict(lr=0.1, beta=0.8, trust=0.3, weight_decay=0.2, eps=0.1)),
    "larc_clipped": ("LARC", recurrences.larc, dict(lr=0.001, beta=0.8, trust=0.3, weight_decay=0.2, eps=0.1)),
    "lamb": ("LAMB", recurrences.lamb, dict(lr=0.05, **ADAM, weight_decay=0.3)),
    "adafactor": ("Adafactor", recurrences.adafactor, dict(lr=0.3, beta2_decay=-0.5, eps1=0.01, eps2=0.1, d=0.5)),
    "mars": ("MARS", recurrences.mars, dict(lr=0.05, **ADAM, gamma=0.1, weight_decay=0.3, first_step="authors")),
    "mars_paper": ("MARS", recurrences.mars, dict(lr=0.05, **ADAM, gamma=0.1, weight_decay=0.3, first_step="paper")),
    "came": (
        *("CAME", recurrences.came),
        dict(lr=0.02, beta1=0.8, beta2=0.6, beta3=0.7, eps1=0.01, eps2=0.02, d=0.5, weight_decay=0.3),
    ),
    "muon": (
        *("Muon", recurrences.muon),
        dict(
            lr=0.03, beta=0.8, nesterov=True, ns_steps=5, weight_decay=0.3, scale="spectral", vector_scale=0.5, **ADAM
        ),
    ),
    "muon_rms": (
        *("Muon", recurrences.muon),
        dict(lr=0.03, beta=0.8, nesterov=False, ns_steps=3, weight_decay=0.3, scale="rms", vector_scale=0.5, **ADAM),
    ),
    "shampoo": ("Shampoo", recurrences.shampoo, dict(lr=0.3, eps=0.1, interval=1, vector_scale=0.5)),
    "shampoo_interval": ("Shampoo", recurrences.shampoo, dict(lr=0.3, eps=0.1, interval=4, vector_scale=0.5)),
    "soap": ("SOAP", recurrences.soap, dict(lr=0.03, **ADAM, shampoo_beta=0.7, weight_decay=0.3, interval=3)),
    "prodigy": ("Prodigy", recurrences.prodigy, dict(lr=0.5, **ADAM, d0=1e-3, weight_decay=0.3)),
}


def gradient(w, t):
    """Return the gradient of half the squared distance from A W B to a target of its own at every step."""
    return (A.T @ (A @ w.reshape(4, 3) @ B - C[t]) @ B.T).reshape(w.shape)


def ours(name, start, hyper):
    """Return the path of our class."""
    p = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(optimizers, name)([p], **hyper)
    path = [start]
    for t in range(1, STEPS + 1):
        p.grad = torch.from_numpy(gradient(p.detach().numpy(), t))
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return np.stack(path)


@pytest.mark.parametrize("shape", STARTS)
@pytest.mark.parametrize("rule", RULES)
def test_follows_its_paper(rule, shape):
    name, recurrence, hyper = RULES[rule]
    expected = recurrences.run(recurrence, STARTS[shape], gradient, STEPS, **hyper)
    np.testing.assert_allclose(ours(name, STARTS[shape], hyper), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name, hyper, reference",
    [
        ("ScheduleFreeSGD", dict(lr=0.02, beta=0.7, weight_decay=0.3), dict(lr=0.02, beta=0.7, weight_decay=0.3)),
        (
            *("ScheduleFreeAdamW", dict(lr=0.1, beta1=0.7, beta2=0.6, eps=0.02, weight_decay=0.3)),
            dict(lr=0.1, beta=0.7, second=0.6, eps=0.02, weight_decay=0.3),
        ),
    ],
)
def test_schedule_free_is_at_y_in_training_and_at_x_in_evaluation(name, hyper, reference):
    walk = recurrences.schedule_free(STARTS["matrix"], **reference)
    y, x = next(walk)
    p = torch.nn.Parameter(torch.tensor(y))
    optimizer = getattr(optimizers, name)([p], **hyper)
    for t in range(1, STEPS + 1):
        p.grad = torch.from_numpy(gradient(p.detach().numpy(), t))
        optimizer.step()
        y, x = walk.send(gradient(y, t))
        np.testing.assert_allclose(p.detach().numpy(), y, rtol=1e-9, atol=1e-9)
        exact = p.detach().clone()
        optimizer.eval()
        optimizer.eval()
        np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-9, atol=1e-9)
        optimizer.train()
        optimizer.train()
        assert torch.equal(p, exact)


@pytest.mark.parametrize(
    "name, hyper", [("Prodigy", dict(d0=1e-3, weight_decay=0.1)), ("YellowFin", dict(lr=0.01, beta=0.9, window=3))]
)
def test_numbers_for_all_parameters_do_not_depend_on_how_these_are_cut(name, hyper):
    start = torch.tensor(STARTS["vector"])
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


def test_sophia_renews_the_diagonal_of_the_hessian_and_clips():
    hyper = dict(lr=0.05, beta1=0.8, beta2=0.6, gamma=0.3, eps=0.02, weight_decay=0.3, interval=4)
    diagonal = np.outer(np.diag(A.T @ A), np.diag(B @ B.T))
    expected = recurrences.run(recurrences.sophia, STARTS["matrix"], gradient, STEPS, **hyper, diagonal=diagonal)
    parts = [torch.nn.Parameter(torch.tensor(x)) for x in np.split(STARTS["matrix"], [1])]
    t = 0

    def loss():
        return (torch.tensor(A) @ torch.cat(parts) @ torch.tensor(B) - torch.tensor(C[t])).square().sum() / 2

    objective = Objective(loss, parts)
    optimizer = optimizers.Sophia(parts, **hyper, estimator="exact")
    for t in range(1, STEPS + 1):  # noqa: B007
        optimizer.step(objective)
        np.testing.assert_allclose(torch.cat(parts).detach(), expected[t], rtol=1e-9, atol=1e-9)
    assert (objective.grad_evals, objective.hvp_evals) == (STEPS + 7, 12 * 7)


def test_hutchinsons_estimate_is_right_on_average():
    p = torch.nn.Parameter(torch.tensor(STARTS["vector"]))
    half = torch.tensor(DRAW.normal(size=(12, 12)))
    hessian = half @ half.T
    objective = Objective(lambda: p @ hessian @ p / 2, [p])
    estimates = []
    for seed in range(500):
        optimizer = optimizers.Sophia([p], lr=0.0, beta2=0.0, seed=seed)
        optimizer.step(objective)
        estimates.append(optimizer.state[p]["h"])
    estimates = torch.stack(estimates)
    error = estimates.mean(0) - hessian.diag()
    assert (error.abs() < 5 * estimates.std(0) / 500**0.5).all()
    assert (estimates.std(0) > 1).all()
    assert objective.hvp_evals == 500


@pytest.mark.filterwarnings("error")  # an operation that vmap has to loop over
@pytest.mark.parametrize("shape", [(4, 3), (5,)])
@pytest.mark.parametrize("name", ["LARS", "LARC", "LAMB", "Adafactor", "MARS", "Muon", "CAME"])
def test_replicas_step_as_one(name, shape):
    cls, factors = getattr(optimizers, name), torch.tensor([1.0, 0.9, 0.7], dtype=torch.float64)
    numbers = {k: v * factors for k, v in cls.hyper.items() if isinstance(v, float)}
    rest = {k: v for k, v in cls.hyper.items() if k not in numbers}
    draw = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(4, 3, *shape, generator=draw, dtype=torch.float64)

    def rule(g, p, s, t, h):
        change, state = cls.update(g, p, s, t, rest | h)
        return to_tensor(change), state

    together, alone = start, list(start)
    states = [cls.init(p) for p in start]
    state = {k: torch.stack([s[k] for s in states]) for k in states[0]}
    for t, g in enumerate(gradients, 1):
        time = torch.tensor(t, dtype=torch.float64)
        change, state = torch.func.vmap(rule, in_dims=(0, 0, 0, None, 0))(g, together, state, time, numbers)
        together = together - change
        for i in range(3):
            own, states[i] = rule(g[i], alone[i], states[i], t, {k: float(v[i]) for k, v in numbers.items()})
            alone[i] = alone[i] - own
        torch.testing.assert_close(together, torch.stack(alone), rtol=1e-11, atol=1e-13)
