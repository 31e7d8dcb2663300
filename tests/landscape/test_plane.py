"""A plane through weight space: exact coordinates, and the one that is nearest to the paths."""

import numpy as np
import pytest

from optbench.landscape.plane import Plane, nearest

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
