"""What is published of each surface is the oracle."""

import pytest
import torch

from optbench import surfaces
from optbench.checks import UserError
from optbench.surfaces.terrain import gradients, hessians

ALL = [surfaces.get(name) for name in surfaces.names()]
PLOTTED = [s for s in ALL if s.size <= 2]
FREE = [s for s in PLOTTED if not s.constraints and not s.domain]
LOWEST = {
    "rosenbrock": 0.0,
    "beale": 0.0,
    "himmelblau": 0.0,
    "booth": 0.0,
    "three_hump_camel": 0.0,
    "styblinski_tang": -78.3323314075428,
    "rastrigin": 0.0,
    "ackley": 0.0,
    "banana_canal": 0.0,
    "sigmoid_pair": 0.0,
    "sigmoid_plateau": 0.0,
    "wavy_bowl": -0.7945823375615,
    "x2_3x_2": -0.25,
    "x_cos_pi_x": -1.0467211246606,
    "cosh": 1.0,
    "disk": 0.008615650659908,
    "box": 0.04,
}
BY_HAND = {
    "bowl": ([3, 4], 25),
    "mild_bowl": ([3, 4], 5.9),
    "elongated_bowl": ([3, 4], 7.9),
    "shallow_bowl": ([3, 4], 16.9),
    "d2l_bowl": ([3, 4], 41),
    "ravine": ([3, 4], 169),
    "steep_ravine": ([3, 4], 249),
    "saddle": ([3, 4], -7),
    "monkey_saddle": ([3, 4], -117),
    "rosenbrock": ([-1.2, 1], 24.2),
    "beale": ([1, 1], 14.203125),
    "himmelblau": ([0, 0], 170),
    "booth": ([0, 0], 74),
    "three_hump_camel": ([1, 1], 2 - 1.05 + 1 / 6 + 2),
    "styblinski_tang": ([1, 1], -10),
    "rastrigin": ([0.5, 0.5], 40.5),
    "ackley": ([1, 1], 3.6253849384403627),
    "wavy_bowl": ([torch.pi / 2, 0], 1 + 0.1 * torch.pi**2 / 4),
    "sigmoid_pair": ([0, 0], 0.125),
    "sigmoid_plateau": ([0, 0], 0),
    "banana_canal": ([0, 1], 1.5),
    "parabola": ([4], 16),
    "x2_3x_2": ([5], 42),
    "x_cos_pi_x": ([1], -1),
    "tanh": ([4], 0.999329299739067),
    "cosh": ([2], 1.5430806348152437),
    "linear_regression": ([1, 1], 3),
    "reddi": ([0.5], 1 / 3),
    "reddi_online": ([1], 10 / 101),
    "reddi_stochastic": ([1], 0.2),
    "disk": ([0, 0], 1),
    "box": ([0, 0], 1),
}


def at(*coordinates):
    return torch.tensor(coordinates, dtype=torch.float64)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_value_by_hand(name):
    point, value = BY_HAND[name]
    assert surfaces.get(name).f(at(*point)).item() == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("surface", ALL, ids=lambda s: s.name)
def test_a_batch_is_the_same_as_its_points(surface):
    points = torch.randn(2, 3, surface.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one_by_one = torch.stack([surface.f(x) for x in points.reshape(6, -1)]).reshape(2, 3)
    torch.testing.assert_close(surface.f(points), one_by_one, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("surface", ALL, ids=lambda s: s.name)
def test_what_a_surface_says_of_itself(surface):
    assert surface.source and surface.formula and surface.starts
    for point in (*surface.starts, *surface.minima, *surface.saddles, *surface.maxima):
        assert len(point) == surface.size
        assert all(low <= x <= high for x, (low, high) in zip(point, surface.window, strict=True))


@pytest.mark.parametrize("surface", FREE, ids=lambda s: s.name)
def test_published_points_are_what_they_are_called(surface):
    for kind, points in ("minima", surface.minima), ("saddles", surface.saddles), ("maxima", surface.maxima):
        for point in points:
            x = at(*point)[None]
            eigenvalues = torch.linalg.eigvalsh(hessians(surface.f, x))[0]
            assert gradients(surface.f, x).norm() < 1e-4 * max(1, eigenvalues.abs().max())
            if surface.name != "ackley":  # a cusp, which has no Hessian
                signs = {"minima": (True, True), "saddles": (False, True), "maxima": (False, False)}[kind]
                assert (bool(eigenvalues[0] > 0), bool(eigenvalues[-1] > 0)) == signs


@pytest.mark.parametrize("name", LOWEST)
def test_the_published_minimum_is_the_lowest_of_the_window(name):
    surface = surfaces.get(name)
    assert surface.floor == pytest.approx(LOWEST[name], rel=1e-12, abs=1e-12)
    points, values = surface.grid(200)
    for constraint in surface.constraints:
        values = values[constraint(points) <= 0]
        points = points[constraint(points) <= 0]
    assert values.min() >= surface.floor - 1e-12


@pytest.mark.parametrize("surface", PLOTTED, ids=lambda s: s.name)
def test_the_grid_lies_as_a_picture_does(surface):
    points, values = surface.grid(7)
    assert points.shape == (*[7] * surface.size, surface.size)
    assert values.shape == points.shape[:-1]
    last = (0, -1) if surface.size == 2 else (-1,)
    assert points[last].tolist() == [surface.window[0][1], *[low for low, _ in surface.window[1:]]]


def test_linear_regression_is_the_mean_of_its_samples():
    for surface in (surfaces.get("linear_regression"), surfaces.get("sparse_dense"), surfaces.get("reddi")):
        x = torch.full((surface.size,), 0.3, dtype=torch.float64)
        parts = torch.stack([surface.parts(x, torch.tensor([i])) for i in range(surface.samples)])
        torch.testing.assert_close(parts.mean(), surface.f(x))


def test_an_epoch_of_a_stream_shows_every_sample_once():
    surface = surfaces.get("linear_regression")
    loss, x = surface.stream(1, seed=3), at(1, 1)
    alone = sorted(surface.parts(x, torch.tensor([i])).item() for i in range(5))
    epochs = [[loss(x, t).item() for t in range(1 + 5 * e, 6 + 5 * e)] for e in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [alone, alone]
    assert epochs[0] != epochs[1]
    assert [surface.stream(1, seed=3)(x, t).item() for t in range(1, 6)] == epochs[0]


def test_reddi_shows_its_losses_in_the_papers_order():
    loss = surfaces.get("reddi").stream(1)
    assert [loss(at(1), t).item() for t in range(1, 7)] == [4, -1, -1, 4, -1, -1]
    loss = surfaces.get("reddi_online").stream(1)
    assert [t for t in range(1, 304) if loss(at(1), t) > 0] == [1, 102, 203]
    loss = surfaces.get("reddi_stochastic").stream(1)
    assert 60 < sum(loss(at(1), t).item() > 0 for t in range(1, 10_001)) < 140


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="no surface 'rosenbrok'; did you mean 'rosenbrock'"):
        surfaces.get("rosenbrok")


def test_a_stream_of_what_has_no_samples_is_refused():
    with pytest.raises(UserError, match="bowl: batch=1, but it has no samples"):
        surfaces.get("bowl").stream(1)
    with pytest.raises(UserError, match="linear_regression: batch=6, but it has 5 samples"):
        surfaces.get("linear_regression").stream(6)
