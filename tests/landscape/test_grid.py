"""The loss on a grid is that of the model with those weights, one by one."""

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from optbench.landscape.grid import losses, problem
from optbench.landscape.plane import Plane

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


def test_a_loss_that_overflows_is_not_finite_and_no_error():
    made = build(LINE, "linear")
    plane = Plane(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    assert np.isfinite(losses(made, plane, np.array([[0.0, 0.0], [1e30, 0.0]]))).tolist() == [True, False]


def test_it_is_of_the_first_training_examples():
    made = build(DIGITS, "linear")
    assert made.x.shape == (50, 784) and len(made.y) == 50
