"""A plane through weight space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Plane:
    """All points `origin + c @ basis`.

    Attributes:
        origin: A point, shape (parameters,).
        basis: Two directions, shape (2, parameters), of any length and angle.
    """

    origin: Array
    basis: Array

    def coordinates(self, points: Array) -> Array:
        """Return the coordinates (..., 2) of the nearest point in the plane, for points (..., parameters)."""
        products = (points - self.origin) @ self.basis.T
        return np.linalg.solve(self.basis @ self.basis.T, products[..., None])[..., 0]

    def points(self, coordinates: Array) -> Array:
        """Return the points (..., parameters) at coordinates (..., 2)."""
        return self.origin + coordinates @ self.basis

    def distance(self, points: Array) -> Array:
        """Return how far points (..., parameters) are from the plane, shape (...)."""
        distances: Array = np.linalg.norm(points - self.points(self.coordinates(points)), axis=-1)
        return distances

    def share(self, points: Array) -> float:
        """Return how much of the squared distances of points (n, parameters) from the origin lies in the plane."""
        whole = np.square(points - self.origin).sum()
        return float(1 - np.square(self.distance(points)).sum() / whole) if whole else 1.0


def nearest(paths: Sequence[Array]) -> tuple[Plane, Array]:
    """Return the plane through the start of all paths that is nearest to them, and what its directions explain.

    Every path counts alike, whatever its length: each is scaled to reach 1 from the start. Else the plane would be that
    of the one optimizer that went furthest.

    Args:
        paths: Each finite and of shape (n, parameters), with the same first point; n may be far below the parameters.

    Returns:
        The plane, its basis orthonormal, and for each direction the share of the scaled paths' squared distances from
        the start that lies in it, shape (2,).
    """
    start = paths[0][0]
    moves = [path - start for path in paths]
    lengths = [np.linalg.norm(move, axis=1).max() for move in moves]
    scaled = np.concatenate([move / (length or 1) for move, length in zip(moves, lengths, strict=True)])
    squares, vectors = np.linalg.eigh(scaled @ scaled.T)
    directions = vectors[:, :-3:-1].T @ scaled
    basis = np.linalg.qr(directions.T)[0].T  # orthonormal even where the paths lie on a line
    return Plane(start, basis), squares[:-3:-1].clip(0) / (squares.sum() or 1)
