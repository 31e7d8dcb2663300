"""The loss on a grid is that of the model with those weights, one by one."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from optbench.checks import UserError
from optbench.landscape import Plane, accuracy, barrier, interpolation, loss_grid
from optbench.landscape.grid import PlaneLoss, losses
from optbench.landscape.segment import barriers
from optbench.landscape.task import Task, task as problem
from optbench.models import mlp

DIGITS = {"_target_": "optbench.data.MNISTSubset", "train_size": 80, "test_size": 10}
LINE = {"_target_": "optbench.data.LinearRegression"}


def build(data, model, **keywords):
    return problem({"data": data, "model": {"_target_": f"optbench.models.{model}", "_partial_": True, **keywords}}, 50)


@pytest.mark.parametrize(
    ("data", "model", "keywords"),
    [
        (DIGITS, "mlp", {"hidden": [12]}),
        (DIGITS, "mlp", {"hidden": [12, 8], "activation": "tanh", "normalization": "layer"}),
        (DIGITS, "mlp", {"hidden": [12], "normalization": "batch"}),
        (DIGITS, "linear", {}),
        (LINE, "linear", {}),
        (LINE, "mlp", {"hidden": [3]}),
    ],
)
def test_the_grid_holds_the_losses_of_its_weights(data, model, keywords):
    torch.manual_seed(0)
    made = build(data, model, **keywords)
    weights = parameters_to_vector(made.model.parameters()).detach().numpy()
    plane = Plane(weights, np.random.default_rng(0).standard_normal((2, len(weights))).astype(np.float32))
    coordinates = np.array([[0, 0], [0.1, 0], [0, 0.1], [-0.2, 0.3], [1, 1]])
    expected = []
    made.model.train()
    for point in plane.points(coordinates):
        vector_to_parameters(torch.from_numpy(point).float(), made.model.parameters())
        expected.append(made.loss(made.model(made.x), made.y).item())
    np.testing.assert_allclose(losses(made, plane, coordinates), expected, rtol=2e-4)


def test_a_model_that_is_no_stack_of_layers_does_too():
    made = build(DIGITS, "linear")
    weights = parameters_to_vector(made.model.parameters()).detach().numpy()
    plane = Plane(weights, np.eye(2, len(weights), dtype=np.float32))
    coordinates = np.array([[0.0, 0.0], [3.0, -2.0]])
    stacked = losses(made, plane, coordinates)
    wrapped = torch.nn.ModuleList([made.model])
    wrapped.forward = made.model.forward
    np.testing.assert_allclose(
        losses(type(made)(wrapped, made.loss, made.x, made.y), plane, coordinates), stacked, rtol=1e-5
    )


class Branches(nn.Module):
    """No row of layers: two ways through, one of them twice, and a tuple between."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.last = nn.Linear(784, 6), nn.Linear(784, 6, bias=False), nn.Linear(6, 10)

    def parts(self, x):
        return self.left(x), self.right(x).tanh()

    def forward(self, x):
        left, right = self.parts(x)
        return self.last(left * right) + self.last(right)


def rows(*layers):
    return nn.Sequential(*layers)


NETWORKS = {
    "linear": lambda: nn.Linear(784, 10),
    "no_bias": lambda: rows(nn.Linear(784, 5, bias=False), nn.Tanh(), nn.Linear(5, 10, bias=False)),
    "residual": lambda: mlp(784, 10, hidden=(7, 7, 7), residual=True, normalization="batch"),
    "batch_norm_first": lambda: rows(nn.BatchNorm1d(784), nn.Linear(784, 10)),
    "layer_norm_first": lambda: rows(nn.LayerNorm(784), nn.Linear(784, 8), nn.GELU(), nn.Linear(8, 10)),
    "nested": lambda: rows(rows(nn.Linear(784, 8), nn.ReLU()), rows(nn.Identity(), rows(nn.Linear(8, 10)))),
    "images": lambda: rows(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 3, 5, 4),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(108, 10),
    ),
    "branches": Branches,
    "softplus_is_not_known": lambda: rows(nn.Linear(784, 5), nn.Softplus(), nn.Linear(5, 10)),
    "in_double": lambda: mlp(784, 10, hidden=(6,)).double(),
}


def sum_of_squares(output, y):
    return (output.sum(1) - y).square().mean()


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", NETWORKS)
def test_grid_equals_a_loop_over_a_plain_model(name, mode):
    torch.manual_seed(0)
    model = NETWORKS[name]()
    dtype = next(model.parameters()).dtype
    x, y = torch.randn(41, 784, dtype=dtype), torch.randint(10, (41,))
    model(x + 1)  # running statistics that are not those of x
    getattr(model, mode)()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane = Plane.fit(weights[None], kind="random", model=model)
    alphas, betas = np.linspace(-0.5, 0.5, 4), np.linspace(-0.3, 0.6, 3)
    for loss in (F.cross_entropy, accuracy, sum_of_squares):
        grid = loss_grid(model, x, y, plane, alphas, betas, loss)
        assert grid.shape == (3, 4)
        plain = copy.deepcopy(model)
        for i, j in np.ndindex(3, 4):
            point = plane.points(np.array([alphas[j], betas[i]]))
            vector_to_parameters(torch.from_numpy(point).to(dtype), plain.parameters())
            with torch.no_grad():
                assert grid[i, j] == pytest.approx(loss(plain(x), y).item(), rel=1e-5, abs=1e-6)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_little_memory_and_many_examples_change_nothing():
    torch.manual_seed(0)
    model, x, y = mlp(784, 10, hidden=(64,)), torch.randn(5000, 784), torch.randint(10, (5000,))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane, axis = Plane.fit(weights[None], kind="random", model=model), np.linspace(-1, 1, 3)
    whole = loss_grid(model, x, y, plane, axis, axis)
    np.testing.assert_allclose(loss_grid(model, x, y, plane, axis, axis, memory=2**20), whole, rtol=1e-6)
    small = PlaneLoss(Task(model, F.cross_entropy, x, y).frozen(), plane, 2**20)
    assert len(small.blocks) > 4 and small.at_once == 1


def coupled(output, y):
    return F.cross_entropy(output - output.mean(0), y)


def test_examples_that_know_of_each_other_stay_together():
    torch.manual_seed(0)
    model, x, y = nn.Linear(4, 3), torch.randn(3000, 4), torch.randint(3, (3000,))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane = Plane.fit(weights[None], kind="random", model=model)
    found = loss_grid(model, x, y, plane, np.zeros(1), np.zeros(1), coupled, memory=2**14)
    assert found.item() == pytest.approx(coupled(model(x), y).item(), rel=1e-5)


def test_an_interrupted_grid_goes_on_and_a_finished_one_is_found(tmp_path):
    torch.manual_seed(0)
    model, x, y = Branches(), torch.randn(20, 784), torch.randint(10, (20,))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane, axis = Plane.fit(weights[None], kind="random", model=model), np.linspace(-1, 1, 4)
    calls = []

    def stopping(output, y):
        calls.append(0)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return F.cross_entropy(output, y)

    calls_of = lambda: len(calls)  # noqa: E731  (held by no closure of the loss)
    loss = Stopping(calls, stopping)
    with pytest.raises(KeyboardInterrupt):
        loss_grid(model, x, y, plane, axis, axis, loss, cache=tmp_path)
    found = loss_grid(model, x, y, plane, axis, axis, loss, cache=tmp_path)
    assert calls_of() == 10 + 16 - 9
    np.testing.assert_allclose(found, loss_grid(model, x, y, plane, axis, axis), rtol=1e-6)
    assert (loss_grid(model, x, y, plane, axis, axis, loss, cache=tmp_path) == found).all()
    assert calls_of() == 10 + 16 - 9
    with torch.no_grad():
        x[0, 0] += 1
    loss_grid(model, x, y, plane, axis, axis, loss, cache=tmp_path)
    assert calls_of() == 10 + 16 - 9 + 16
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    loss_grid(model, x, y, plane, axis, axis, loss, cache=tmp_path)
    assert calls_of() == 10 + 16 - 9 + 32


class Stopping:
    """A loss that is always the same to the cache, whatever it has counted."""

    def __init__(self, calls, loss):
        self.calls, self.loss = calls, loss

    def __call__(self, output, y):
        return self.loss(output, y)

    def __repr__(self):
        return "Stopping"


def test_two_losses_are_two_grids(tmp_path):
    model, x, y = nn.Linear(4, 3), torch.randn(9, 4), torch.randint(3, (9,))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane, axis = Plane.fit(weights[None], kind="random", model=model), np.zeros(1)
    one, two = (
        loss_grid(model, x, y, plane, axis, axis, lambda o, y, k=k: k * F.cross_entropy(o, y), cache=tmp_path)
        for k in (1, 2)
    )
    assert two == pytest.approx(2 * one)


def test_a_plane_of_another_network_is_refused():
    model, x, y = nn.Linear(4, 3), torch.randn(9, 4), torch.randint(3, (9,))
    with pytest.raises(UserError, match="the plane is of 7 parameters, and the model has 15"):
        loss_grid(model, x, y, Plane(np.zeros(7), np.eye(2, 7)), np.zeros(1), np.zeros(1))


def test_the_segment_between_two_solutions():
    torch.manual_seed(0)
    a, b = mlp(4, 3, hidden=(5,)), mlp(4, 3, hidden=(5,))
    x, y = torch.randn(30, 4), torch.randint(3, (30,))
    between = interpolation(a, b, 3, x=x, y=y)
    middle = copy.deepcopy(a)
    ends = [parameters_to_vector(m.parameters()).detach() for m in (a, b)]
    vector_to_parameters((ends[0] + ends[1]) / 2, middle.parameters())
    expected = [F.cross_entropy(m(x), y).item() for m in (a, middle, b)]
    np.testing.assert_allclose(between, expected, rtol=1e-5)
    assert barrier(a, b, 3, x=x, y=y) == pytest.approx(max(0, expected[1] - (expected[0] + expected[2]) / 2), abs=1e-6)
    assert barrier(a, a, x=x, y=y) == pytest.approx(0, abs=1e-6)
    flat = [end.numpy() for end in ends]
    np.testing.assert_allclose(interpolation(*flat, 3, x=x, y=y, model=a), between)
    with pytest.raises(UserError, match="give model="):
        interpolation(*flat, x=x, y=y)
    table = barriers(Task(a, F.cross_entropy, x, y), flat, 3)
    assert table[0, 1] == table[1, 0] == pytest.approx(barrier(a, b, 3, x=x, y=y)) and table[0, 0] == 0


def test_a_loss_that_overflows_is_not_finite_and_no_error():
    made = build(LINE, "linear")
    plane = Plane(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    assert np.isfinite(losses(made, plane, np.array([[0.0, 0.0], [1e30, 0.0]]))).tolist() == [True, False]


def test_it_is_of_the_first_training_examples():
    made = build(DIGITS, "linear")
    assert made.x.shape == (50, 784) and len(made.y) == 50
