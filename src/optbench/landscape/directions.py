"""Directions in weight space: those that points lead along, and random ones that fit a network's weights."""

from collections.abc import Sequence

import numpy as np

from optbench.landscape.arrays import Floats

ALIKE = 1e-6
"""Length, as a share of the longest, below which what is left of a direction is rounding."""


def principal(moves: Floats) -> tuple[Floats, Floats]:
    """Return the two orthonormal directions along which moves spread most, and the share of their squares in each.

    Args:
        moves: Shape (n, parameters); n may be far below the parameters.

    Returns:
        As many directions as the moves have, at most two, shape (rank, parameters); shares, shape (2,).
    """
    moves = np.asarray(moves, np.float64)
    squares, vectors = np.linalg.eigh(moves @ moves.T)
    squares = squares[::-1].clip(0)
    vectors = vectors[:, ::-1]
    whole = float(squares.sum())
    rank = int((squares[:2] > ALIKE**2 * whole).sum()) if whole else 0
    basis = np.linalg.qr((vectors[:, :rank].T @ moves).T)[0].T
    turned = basis * np.where(basis @ moves.sum(0) < 0, -1.0, 1.0)[:, None]  # else a direction's sign is an accident
    shares = np.zeros(2)
    shares[: len(squares[:2])] = squares[:2] / (whole or 1.0)
    return turned, shares


def filter_normalised(weights: Floats, shapes: Sequence[tuple[int, ...]], rng: np.random.Generator) -> Floats:
    """Return a random direction whose every filter is as long as that of the weights, shape (parameters,).

    A filter is what makes one output: a row of a linear layer, a kernel of a convolution. Biases and the parameters of
    normalizations, which have one dimension, stay as they are: the direction is 0 there.

    Args:
        weights: Shape (parameters,).
        shapes: Of the parameters in the order in which the weights hold them.
        rng: Draws the direction.

    References:
        Li, Xu, Taylor, Studer & Goldstein, Visualizing the loss landscape of neural nets, 2018,
        https://arxiv.org/abs/1712.09913
    """
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = []
    for part, shape in zip(np.split(np.asarray(weights, np.float64), ends[:-1]), shapes, strict=True):
        drawn = rng.standard_normal(part.shape)
        parts.append(_scaled(drawn, part, shape[0]) if len(shape) > 1 else np.zeros_like(part))
    direction = np.concatenate(parts)
    return direction if direction.any() else rng.standard_normal(len(direction))


def _scaled(drawn: Floats, weights: Floats, filters: int) -> Floats:
    """Return a draw with every filter as long as that of the weights."""
    rows = drawn.reshape(filters, -1)
    goal = weights.reshape(filters, -1)
    lengths = np.linalg.norm(goal, axis=1, keepdims=True) / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ravel(rows * lengths)


def independent(directions: Floats) -> Floats:
    """Return those of up to two directions (n, parameters) that span something of their own, as they are."""
    kept: list[Floats] = []
    longest = max((float(np.linalg.norm(d)) for d in directions), default=0.0)
    for direction in directions:
        rest = direction
        for other in kept:
            rest = rest - other * (other @ rest) / (other @ other)
        if np.linalg.norm(rest) > ALIKE * longest > 0:
            kept.append(direction)
    return np.array(kept).reshape(len(kept), directions.shape[-1])
