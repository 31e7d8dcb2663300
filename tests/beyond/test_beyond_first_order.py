"""Newton, L-BFGS, conjugate gradients and K-FAC beside independent references, and on networks."""

from functools import partial

import numpy as np
import pytest
import torch

from optbench.checks import UserError
from optbench.optimizers import KFAC, LBFGS, ConjugateGradient, Newton, Objective, Sophia
from optbench.surfaces import descend


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def double(values):
    return torch.tensor(values, dtype=torch.float64)


class Network:
    """A network with tanh units, on the same examples at every step."""

    def __init__(self, *sizes, examples=40, dtype=torch.float64):
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(examples, sizes[0], generator=draw, dtype=dtype)
        self.y = torch.randint(sizes[-1], (examples,), generator=draw)
        layers = []
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            layers += [torch.nn.Linear(inputs, outputs, dtype=dtype), torch.nn.Tanh()]
        self.model = torch.nn.Sequential(*layers[:-1])
        for p in self.model.parameters():
            p.data = torch.randn(p.shape, generator=draw, dtype=dtype) / 2
        self.params = list(self.model.parameters())
        self.objective = Objective(self.loss, self.params)

    def loss(self):
        return torch.nn.functional.cross_entropy(self.model(self.x), self.y)

    def flat(self):
        return torch.cat([p.detach().flatten() for p in self.params])

    def derivatives(self):
        """Return the gradient and the Hessian, by torch.autograd.functional."""
        shapes = {name: p.shape for name, p in self.model.named_parameters()}

        def loss(flat):
            parts = flat.split([shape.numel() for shape in shapes.values()])
            weights = {name: x.view(shape) for (name, shape), x in zip(shapes.items(), parts, strict=True)}
            return torch.nn.functional.cross_entropy(torch.func.functional_call(self.model, weights, self.x), self.y)

        g = torch.autograd.functional.jacobian(loss, self.flat())
        return g.numpy(), torch.autograd.functional.hessian(loss, self.flat()).numpy()


# Newton --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["lm", "saddle_free"])
def test_newton_solves_the_exact_system(form):
    network = Network(3, 4, 2)
    start, (g, hessian) = network.flat().numpy(), network.derivatives()
    values, Q = np.linalg.eigh(hessian)
    assert values[0] < -1e-3 and values[-1] > 1e-3
    shift = 0.02 + max(0, -values[0])
    matrix = hessian + shift * np.eye(len(g)) if form == "lm" else Q @ np.diag(abs(values) + 0.02) @ Q.T
    Newton(network.params, lr=0.7, damping=0.02, form=form).step(network.objective)
    np.testing.assert_allclose(network.flat(), start - 0.7 * np.linalg.solve(matrix, g), rtol=1e-8)
    assert network.objective.hvp_evals == len(g)


@pytest.mark.parametrize("form", ["plain", "lm", "saddle_free"])
def test_newton_cg_on_the_whole_krylov_space_is_the_exact_step(form):
    half = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hessian = half @ half.T - (0.0 if form == "plain" else 2.0) * torch.eye(6, dtype=torch.float64)
    ends = []
    for hyper in {}, {"exact_size": 1, "krylov": 6}:
        p = torch.nn.Parameter(torch.ones(2, 3, dtype=torch.float64))
        objective = Objective(lambda p=p: p.flatten() @ hessian @ p.flatten() / 2, [p])
        damped = {} if form == "plain" else {"damping": 0.1}
        Newton([p], form=form, **damped, **hyper).step(objective)
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-8, atol=1e-8)


def test_newton_cg_is_conjugate_gradients():
    """k products give the k-th iterate of the linear method on H x = g, here written out."""
    half = np.random.default_rng(0).normal(size=(30, 30))
    hessian = half @ half.T / 30 + np.eye(30)
    g = hessian @ np.ones(30)
    x, r = np.zeros(30), g
    d = r
    for _ in range(7):
        share = r @ r / (d @ hessian @ d)
        x, last, r = x + share * d, r, r - share * hessian @ d
        d = r + r @ r / (last @ last) * d
    p = torch.nn.Parameter(double(np.ones(30)))
    objective = Objective(lambda: p @ double(hessian) @ p / 2, [p])
    Newton([p], exact_size=1, krylov=7).step(objective)
    np.testing.assert_allclose(p.detach(), 1 - x, rtol=1e-9, atol=1e-12)
    assert objective.hvp_evals == 7


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("rest", "products"), [(1.0, 6), (1e-10, 2)])
def test_newton_cg_stops_where_its_space_ends(scale, rest, products):
    curvature = scale * torch.arange(1, 7, dtype=torch.float64)
    p = torch.nn.Parameter(torch.tensor([1.0, 1.0, rest, rest, rest, rest], dtype=torch.float64))
    objective = Objective(lambda: curvature @ p.square() / 2, [p])
    Newton([p], exact_size=1, krylov=6).step(objective)
    assert objective.hvp_evals == products
    assert p.abs().max() < 1e-8


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        *(((1.0, 2.0, 3.0), True), ((-3.0, -2.0, -1.0), True), ((-2.0, 1.0, 3.0), False)),
        *(((-3.0, -1.0, 2.0), False), ((0.0, 1.0, 2.0), False), ((-2.0, -1.0, 0.0), False)),
    ],
)
def test_newton_takes_definite_hessians_of_either_sign_and_no_others(values, fits):
    def loss(p):
        return double(values) @ p.square() / 2

    if not fits:
        with pytest.raises(UserError, match="met an indefinite Hessian"):
            descend(loss, Newton, double([1.0, 1.0, 1.0]), 1)
        return
    torch.testing.assert_close(descend(loss, Newton, double([1.0, 1.0, 1.0]), 1)[-1], torch.zeros(3).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_newton_trains_a_larger_network_on_a_few_products(dtype):
    network = Network(40, 50, 10, dtype=dtype)
    assert network.flat().numel() > 2000
    first = network.loss().item()
    optimizer = Newton(network.params, form="saddle_free", damping=0.1, krylov=8)
    for _ in range(4):
        optimizer.step(network.objective)
    assert network.loss().item() < 0.7 * first
    assert (network.objective.grad_evals, network.objective.hvp_evals) == (8, 32)


def test_newton_refuses_an_indefinite_hessian_and_one_that_is_not_finite():
    with pytest.raises(UserError) as error:
        descend(lambda p: p[0] ** 2 - p[1] ** 2, Newton, double([1.0, 1.0]), 1)
    expected = "form='plain' met an indefinite Hessian, eigenvalues from -2 to 2; use form=lm or form=saddle_free"
    assert str(error.value) == f"Newton: {expected}"
    with pytest.raises(UserError, match=r"^Newton: the Hessian is not finite where the loss is 1; .*$"):
        descend(lambda p: p[0] ** 1.5 + p[1], partial(Newton, form="lm"), double([0.0, 1.0]), 1)


@pytest.mark.parametrize("cls", [Newton, Sophia, KFAC])
def test_says_what_the_closure_lacks(cls):
    network = Network(3, 2)
    optimizer = cls(network.params, **({"model": network.model} if cls is KFAC else {}))
    with pytest.raises(UserError, match=rf"^{cls.__name__}: step\(\) has no closure; call step\(Objective.*\)$"):
        optimizer.step()
    with pytest.raises(UserError, match=rf"^{cls.__name__}: step\(\) has a closure without its loss; call .*$"):
        optimizer.step(lambda: network.objective())


# L-BFGS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_iter", [1, 7])
@pytest.mark.parametrize("search", ["none", "strong_wolfe"])
@pytest.mark.parametrize("f, start", [(rosenbrock, [-1.2, 1.0]), (lambda p: (p**4).sum() + p[0] * p[1], [2.0, -1.5])])
def test_lbfgs_takes_the_steps_of_torch(f, start, search, max_iter):
    lr = 1.0 if search == "strong_wolfe" else 0.02
    p = torch.nn.Parameter(double(start))
    theirs = torch.optim.LBFGS(
        [p],
        lr=lr,
        history_size=4,
        max_iter=max_iter,
        max_eval=1000,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe" if search == "strong_wolfe" else None,
    )

    def closure():
        theirs.zero_grad()
        loss = f(p)
        loss.backward()
        return loss

    path = [p.detach().clone()]
    for _ in range(24 // max_iter):
        theirs.step(closure)
        path.append(p.detach().clone())
    factory = partial(LBFGS, lr=lr, history_size=4, max_iter=max_iter, line_search=search)
    ours = descend(f, factory, double(start), 24 // max_iter)
    torch.testing.assert_close(ours, torch.stack(path), rtol=1e-6, atol=1e-6)


def test_lbfgs_pairs_two_gradients_of_one_mini_batch():
    hessians = [double([[2.0, 0.5], [0.5, 1.0]]), double([[1.0, -0.3], [-0.3, 3.0]])]
    p = torch.nn.Parameter(double([1.0, 2.0]))
    optimizer = LBFGS([p], lr=0.5, max_iter=2)
    for t in range(6):
        hessian = hessians[t % 2]
        optimizer.step(Objective(lambda hessian=hessian: p @ hessian @ p / 2, [p]))
        for s, y in optimizer.state[p]["pairs"][-2:]:
            torch.testing.assert_close(y, hessian @ s)


# Conjugate gradients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fr", "pr", "pr+"])
def test_conjugate_gradients_solve_n_equations_in_n_steps(form):
    half = np.random.default_rng(0).normal(size=(8, 8))
    matrix, target = half @ half.T + np.eye(8), np.arange(8.0)
    x, r = np.zeros(8), target
    d, expected = r, [np.zeros(8)]
    for _ in range(8):
        share = r @ r / (d @ matrix @ d)
        x, last, r = x + share * d, r, r - share * matrix @ d
        d = r + r @ r / (last @ last) * d
        expected.append(x)

    def f(p):
        return p @ double(matrix) @ p / 2 - double(target) @ p

    path = descend(f, partial(ConjugateGradient, form=form), torch.zeros(8, dtype=torch.float64), 8)
    np.testing.assert_allclose(path, np.stack(expected), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(path[-1], np.linalg.solve(matrix, target), rtol=1e-6)


@pytest.mark.parametrize("search", ["exact", "strong_wolfe"])
def test_conjugate_gradients_reach_the_end_of_a_curved_valley(search):
    factory = partial(ConjugateGradient, form="pr+", line_search=search)
    path = descend(rosenbrock, factory, double([-1.2, 1.0]), 60)
    torch.testing.assert_close(path[-1], double([1.0, 1.0]), rtol=1e-6, atol=1e-6)
    losses = [float(rosenbrock(p)) for p in path]
    assert losses == sorted(losses, reverse=True)


# K-FAC ---------------------------------------------------------------------------------------------------------------


def test_kfac_solves_with_both_factors():
    network = Network(5, 4, 3)
    optimizer = KFAC(network.params, model=network.model, lr=0.1, damping=0.04)
    start = [p.detach().numpy().copy() for p in network.params]
    optimizer.step(network.objective)
    inputs = network.x, torch.tanh(network.x @ torch.tensor(start[0]).T + torch.tensor(start[1]))
    for i, a in enumerate(inputs):
        weight, bias = network.params[2 * i : 2 * i + 2]
        a = np.hstack([a, np.ones((40, 1))])
        A, S = a.T @ a / 40, optimizer.state[weight]["S"].numpy()
        pi = np.sqrt((np.trace(A) / len(A)) / (np.trace(S) / len(S)))
        G = np.hstack([weight.grad, bias.grad[:, None]]).T
        V = np.linalg.inv(A + pi * 0.2 * np.eye(len(A))) @ G @ np.linalg.inv(S + 0.2 / pi * np.eye(len(S)))
        np.testing.assert_allclose(weight.detach(), start[2 * i] - 0.1 * V[:-1].T, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bias.detach(), start[2 * i + 1] - 0.1 * V[-1], rtol=1e-9, atol=1e-12)
    assert network.objective.grad_evals == 2


@pytest.mark.parametrize("likelihood", ["categorical", "gaussian"])
def test_kfac_draws_labels_from_the_predictions(likelihood):
    """On average S is the Hessian of the negative log-likelihood in the outputs."""
    network = Network(5, 3)
    P = network.model(network.x).softmax(1).detach().numpy()
    exact = (np.diag(P.sum(0)) - P.T @ P) / 40 if likelihood == "categorical" else np.eye(3)
    drawn = []
    for seed in range(100):
        optimizer = KFAC(network.params, model=network.model, lr=0.0, likelihood=likelihood, seed=seed)
        optimizer.step(network.objective)
        drawn.append(optimizer.state[network.params[0]]["S"].numpy())
    error, spread = np.mean(drawn, 0) - exact, np.std(drawn, 0)
    assert (spread > 0).all()
    assert (abs(error) < 5 * spread / 10).all()


def test_kfac_averages_its_factors_and_renews_them_at_every_interval():
    network = Network(5, 3)
    optimizer, weight = KFAC(network.params, model=network.model, lr=0.0, beta=0.9, interval=2), network.params[0]
    first, moments = network.x.clone(), []
    for t in range(4):
        network.x = first * (t + 1)
        optimizer.step(network.objective)
        moments.append(optimizer.state[weight]["A"][:5, :5])
    A = first.T @ first / 40
    torch.testing.assert_close(moments, [A, A, (A + 9 * A) / 2, (A + 9 * A) / 2])
    assert network.objective.grad_evals == 6


def test_kfac_leaves_no_hook_behind():
    network = Network(5, 3)
    calls = []

    def loss():
        calls.append(network.model[0]._forward_hooks.copy())
        if len(calls) == 4:
            raise RuntimeError("no loss")
        return network.loss()

    for _ in range(2):
        try:
            KFAC(network.params, model=network.model).step(Objective(loss, network.params))
        except RuntimeError:
            assert len(calls) == 4
        assert not any(m._forward_hooks or m._backward_hooks for m in network.model.modules())
    assert [len(hooks) for hooks in calls] == [0, 1, 0, 1]


def test_kfac_moves_other_parameters_along_their_gradient_and_refuses_a_model_without_layers():
    model = torch.nn.Sequential(torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))
    x, y = torch.randn(8, 5), torch.arange(8) % 3
    objective = Objective(lambda: torch.nn.functional.cross_entropy(model(x), y), model.parameters())
    start = model[0].weight.detach().clone()
    KFAC(model.parameters(), model=model, lr=0.1).step(objective)
    torch.testing.assert_close(model[0].weight.detach(), start - 0.1 * model[0].weight.grad)
    with pytest.raises(UserError, match=r"^KFAC: the model has no Linear layer whose weights are given to it; .*$"):
        KFAC(model[0].parameters(), model=model).step(objective)


def test_only_the_learning_rate_may_differ_between_groups():
    network = Network(3, 2)
    weight, bias = network.params
    start = bias.detach().clone()
    optimizer = LBFGS([{"params": [weight]}, {"params": [bias], "lr": 0.0}])
    optimizer.step(network.objective)
    assert torch.equal(bias, start)
    with pytest.raises(UserError) as error:
        LBFGS([{"params": [weight]}, {"params": [bias], "max_iter": 3}])
    assert str(error.value) == "LBFGS: max_iter=3 differs from the first group's 20; give one for all"
