"""A plane through weight space: exact coordinates, and the one that is nearest to the paths."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from optbench.checks import UserError
from optbench.landscape.plane import KINDS, Plane, nearest

RNG = np.random.default_rng(0)


def paths(*lengths, parameters=50, points=8):
    """Random walks from one start, each scaled to a length."""
    start = RNG.standard_normal(parameters)
    walks = [RNG.standard_normal((points, parameters)).cumsum(0) for _ in lengths]
    return [
        np.concatenate([start[None], start + length * walk / np.linalg.norm(walk, axis=1).max()])
        for length, walk in zip(lengths, walks, strict=True)
    ]


def test_coordinates_along_any_two_directions_are_least_squares():
    start, middle, end = RNG.standard_normal((3, 20))
    plane = Plane(end, np.stack([start - end, middle - end]))
    np.testing.assert_allclose(plane.coordinates(np.stack([start, middle, end])), [[1, 0], [0, 1], [0, 0]], atol=1e-12)
    point = RNG.standard_normal(20)
    solution = np.linalg.lstsq(plane.basis.T, point - end)[0]
    np.testing.assert_allclose(plane.coordinates(point), solution)
    np.testing.assert_allclose(plane.distance(point), np.linalg.norm(point - end - solution @ plane.basis))


def test_points_and_coordinates_are_inverse():
    plane, _ = nearest(paths(1, 2, 3))
    coordinates = RNG.standard_normal((4, 5, 2))
    np.testing.assert_allclose(plane.coordinates(plane.points(coordinates)), coordinates, atol=1e-12)
    np.testing.assert_allclose(plane.distance(plane.points(coordinates)), 0, atol=1e-12)


def test_the_nearest_plane_passes_through_the_start_and_is_orthonormal():
    walks = paths(1, 2, 3)
    plane, shares = nearest(walks)
    np.testing.assert_array_equal(plane.origin, walks[0][0])
    np.testing.assert_allclose(plane.basis @ plane.basis.T, np.eye(2), atol=1e-12)
    assert shares[0] >= shares[1] > 0 and shares.sum() < 1


def test_no_other_plane_is_nearer():
    walks = paths(1, 1, 1)
    plane, shares = nearest(walks)
    points = np.concatenate(walks)
    best = np.square(plane.distance(points)).sum()
    assert shares.sum() == pytest.approx(plane.share(points))
    for size in (0.01, 0.1, 10):
        basis = plane.basis + size * RNG.standard_normal(plane.basis.shape) / 50
        assert np.square(Plane(plane.origin, basis).distance(points)).sum() > best


def test_paths_in_a_plane_lie_in_it():
    inside = Plane(RNG.standard_normal(30), RNG.standard_normal((2, 30)))
    corners = RNG.standard_normal((3, 6, 2))
    corners[:, 0] = 0
    plane, shares = nearest(list(inside.points(corners)))
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(plane.distance(inside.points(corners)), 0, atol=1e-10)


def test_a_long_path_does_not_take_the_plane_from_the_short_ones():
    far, near = paths(1000, 1)
    plane, _ = nearest([far, near])
    alone, _ = nearest([near])
    assert plane.share(near) > 0.5 * alone.share(near)


@pytest.mark.parametrize("steps", [0.0, 1.0])
def test_paths_that_span_no_plane_still_have_one(steps):
    line = np.ones(10) + steps * np.arange(5)[:, None] * RNG.standard_normal(10)
    plane, shares = nearest([line])
    np.testing.assert_allclose(plane.basis @ plane.basis.T, np.eye(2), atol=1e-12)
    assert np.isfinite(shares).all() and plane.share(line) == pytest.approx(1)


def test_the_coordinates_of_known_points_come_back_exactly():
    path = RNG.standard_normal((9, 60)).cumsum(0)
    plane = Plane.fit(path, kind="endpoints")
    np.testing.assert_allclose(plane.coordinates(path[[0, 4, 8]]), [[1, 0], [0, 1], [0, 0]], atol=1e-12)
    solutions = RNG.standard_normal((3, 60))
    for given in (solutions, [np.stack([path[0], end]) for end in solutions]):
        plane = Plane.fit(given, kind="three_runs")
        np.testing.assert_allclose(plane.coordinates(solutions), [[0, 0], [1, 0], [0, 1]], atol=1e-12)
    slender = Plane(path[0], np.stack([path[1], path[1] + 1e-6 * path[2]]))
    known = RNG.standard_normal((5, 2))
    np.testing.assert_allclose(slender.coordinates(slender.points(known)), known, rtol=1e-6)


def test_principal_components_are_those_of_a_singular_value_decomposition():
    path = RNG.standard_normal((12, 40)).cumsum(0).astype(np.float32)
    plane = Plane.fit(path, kind="pca")
    _, values, directions = np.linalg.svd(path.astype(float) - path.astype(float).mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(directions[:2] @ plane.basis.T), np.eye(2), atol=1e-5)
    np.testing.assert_allclose(plane.shares, (values**2 / (values**2).sum())[:2], rtol=1e-5)
    moved = plane.coordinates(path)
    assert (moved[-1, 0] - moved[0, 0]) >= 0


def test_random_directions_have_filters_as_long_as_the_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Unflatten(1, (5, 1)), nn.Conv1d(5, 3, 1))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane = Plane.fit(weights[None], kind="random", model=model, seed=3)
    for direction in plane.basis:
        vector_to_parameters(torch.from_numpy(direction).float(), (made := copy.deepcopy(model)).parameters())
        for own, drawn in zip(model.parameters(), made.parameters(), strict=True):
            if own.dim() == 1:
                assert not drawn.any()
            else:
                torch.testing.assert_close(drawn.flatten(1).norm(dim=1), own.flatten(1).norm(dim=1))
    assert not np.allclose(plane.basis, Plane.fit(weights[None], kind="random", model=model, seed=4).basis)
    np.testing.assert_array_equal(plane.basis, Plane.fit(weights[None], kind="random", model=model, seed=3).basis)


def test_the_hessians_leading_eigenvectors():
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double(), torch.randn(20, 3).double(), None
    y = torch.randint(3, (20,))
    weights = parameters_to_vector(model.parameters()).detach()
    plane = Plane.fit(weights.numpy()[None], kind="hessian", model=model, x=x, y=y)

    def loss(flat):
        named, start = {}, 0
        for name, p in model.named_parameters():
            named[name] = flat[start : start + p.numel()].view(p.shape)
            start += p.numel()
        return F.cross_entropy(torch.func.functional_call(model, named, (x,)), y)

    true = torch.linalg.eigh(torch.func.hessian(loss)(weights))
    leading = true.eigenvectors[:, [-1, -2]].mT.numpy()
    np.testing.assert_allclose(np.abs(plane.basis @ leading.T), np.eye(2), atol=5e-3)
    assert plane.notes[0].startswith(f"eigenvalues {true.eigenvalues[-1]:.3g}"[:16])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("three_runs", "hessian")])
@pytest.mark.parametrize("path", ["still", "straight", "one_point", "two_points", "diverged", "full"])
def test_whatever_points_span_the_plane_has_two_directions_and_says_what_was_drawn(kind, path):
    start, move = RNG.standard_normal((2, 30))
    points = {
        "still": np.stack([start] * 5),
        "straight": start + np.arange(5)[:, None] * move,
        "one_point": start[None],
        "two_points": np.stack([start, start + move]),
        "diverged": np.concatenate([start + RNG.standard_normal((5, 30)).cumsum(0), np.full((2, 30), np.nan)]),
        "full": start + RNG.standard_normal((5, 30)).cumsum(0),
    }[path]
    plane = Plane.fit(points, kind=kind)
    assert np.linalg.matrix_rank(plane.basis) == 2 and np.isfinite(plane.coordinates(plane.origin)).all()
    said = " ".join(plane.notes)
    drawn = {"still": "both directions are", "one_point": "both directions are"}.get(path, "the second direction is")
    assert (drawn in said) == (kind != "random" and path not in ("diverged", "full"))
    assert ("2 points that are not finite" in said) == (path == "diverged")


def test_what_has_no_plane_is_refused():
    with pytest.raises(UserError, match="no point is finite"):
        Plane.fit(np.full((3, 4), np.nan))
    with pytest.raises(UserError, match="needs three solutions, and there are 2"):
        Plane.fit(np.zeros((2, 4)), kind="three_runs")
    with pytest.raises(UserError, match=r"kind='ocean' is not one of pca, shared"):
        Plane.fit(np.zeros((2, 4)), kind="ocean")
    with pytest.raises(UserError, match="of one run, and there are 2"):
        Plane.fit([np.zeros((2, 4)), np.zeros((2, 4))], kind="pca")
    with pytest.raises(UserError, match="from one start"):
        Plane.fit([np.zeros((2, 4)), np.ones((2, 4))], kind="shared")
    with pytest.raises(UserError, match="of one network"):
        Plane.fit([np.zeros((2, 4)), np.ones((2, 5))], kind="shared")
    with pytest.raises(UserError, match="along the Hessian's eigenvectors needs model=, x= and y="):
        Plane.fit(np.zeros((2, 4)), kind="hessian")
    with pytest.raises(UserError, match="model has other parameters"):
        Plane.fit(np.zeros((2, 4)), kind="random", model=nn.Linear(2, 2))
