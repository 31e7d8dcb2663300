"""A plane through weight space."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optbench.checks import UserError, check
from optbench.landscape.arrays import Floats
from optbench.landscape.curvature import Hessian, lanczos
from optbench.landscape.directions import filter_normalised, independent, principal
from optbench.landscape.task import Loss, Task

PlaneKind = Literal["pca", "shared", "endpoints", "random", "three_runs", "hessian"]
KINDS: tuple[str, ...] = get_args(PlaneKind)
COMPLETED = "the points span {}, so {} random, filter-normalised"


@dataclass(frozen=True, eq=False)
class Plane:
    """All points `origin + c @ basis`.

    Attributes:
        origin: A point, shape (parameters,).
        basis: Two directions, shape (2, parameters), of any length and angle.
        kind: How it was found.
        shares: For each direction, the part of the points' squared distances that lies along it; none for other kinds.
        notes: What a reader has to know, such as a direction that had to be drawn.
    """

    origin: Floats
    basis: Floats
    kind: str = ""
    shares: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        trajectory: Floats | Sequence[Floats],
        kind: str = "pca",
        *,
        model: nn.Module | None = None,
        x: Tensor | None = None,
        y: Tensor | None = None,
        loss: Loss = F.cross_entropy,
        seed: int = 0,
    ) -> "Plane":
        """Return the plane of a kind that belongs to points.

        - `pca`: through the mean of one run's points, along its two principal directions.
        - `shared`: through the start that several runs have in common, nearest to all of them; each run counts alike.
        - `endpoints`: the last point at (0, 0), the first at (1, 0), the one in the middle at (0, 1).
        - `random`: through the last point, along two random directions, each filter as long as the weights' own.
        - `three_runs`: the first solution at (0, 0), the second at (1, 0), the third at (0, 1).
        - `hessian`: through the last point, along the Hessian's two leading eigenvectors, which needs `x` and `y`.

        Points that span less than a plane have it completed by random, filter-normalised directions; a note says so.

        Args:
            trajectory: Points (n, parameters); for `shared` and `three_runs` a list of them, one for each run. For
                `three_runs` the three points of a single array will do. Points that are not finite are left out.
            kind: One of `KINDS`.
            model: Whose weights the points are; it gives random directions their filters.
            x: Inputs (examples, ...), for `hessian`.
            y: Targets (examples, ...), for `hessian`.
            loss: From outputs and targets to a mean over the examples, for `hessian`.
            seed: Draws the random directions.

        Raises:
            UserError: There is no such kind, too little was given for it, or no point is finite.
        """
        check("Plane", "kind", kind, PlaneKind)
        single = isinstance(trajectory, np.ndarray) or torch.is_tensor(trajectory)
        paths, notes = _finite([np.asarray(run) for run in ([trajectory] if single else trajectory)])
        if kind not in ("shared", "three_runs") and len(paths) > 1:
            raise UserError(f"a plane of the kind {kind} is of one run, and there are {len(paths)}; take shared")
        points = _solutions(paths) if kind == "three_runs" else paths[0]
        draw = functools.partial(_draw, shapes=_shapes(model, points), seed=seed)
        if kind == "shared":
            plane = _shared(paths, draw(paths[0][0]))
        elif kind == "hessian":
            if model is None or x is None or y is None:
                raise UserError("a plane along the Hessian's eigenvectors needs model=, x= and y=")
            plane = along_hessian(Task(model, loss, x, y), points[-1], draw(points[-1]), seed)
        else:
            plane = SINGLE[kind](points.astype(np.float64), draw(points[-1]))
        return cls(plane.origin, plane.basis, kind, plane.shares, (*notes, *plane.notes))

    @functools.cached_property
    def _factors(self) -> tuple[Floats, Floats]:
        q, r = np.linalg.qr(np.asarray(self.basis, np.float64).T)
        return q, r

    def coordinates(self, points: Floats) -> Floats:
        """Return the coordinates (..., 2) of the nearest point in the plane, for points (..., parameters)."""
        q, r = self._factors
        products = (np.asarray(points, np.float64) - self.origin) @ q
        found: Floats = np.linalg.solve(r, products[..., None])[..., 0]
        return found

    def points(self, coordinates: Floats) -> Floats:
        """Return the points (..., parameters) at coordinates (..., 2)."""
        return self.origin + np.asarray(coordinates, np.float64) @ self.basis

    def distance(self, points: Floats) -> Floats:
        """Return how far points (..., parameters) are from the plane, shape (...)."""
        distances: Floats = np.linalg.norm(points - self.points(self.coordinates(points)), axis=-1)
        return distances

    def share(self, points: Floats) -> float:
        """Return how much of the squared distances of points (n, parameters) from the origin lies in the plane."""
        whole = np.square(np.asarray(points, np.float64) - self.origin).sum()
        return float(1 - np.square(self.distance(points)).sum() / whole) if whole else 1.0


def nearest(paths: Sequence[Floats], drawn: Floats | None = None) -> tuple[Plane, Floats]:
    """Return the plane through the start of all paths that is nearest to them, and what its directions explain.

    Every path counts alike, whatever its length: each is scaled to reach 1 from the start. Else the plane would be that
    of the one optimizer that went furthest.

    Args:
        paths: Each finite and of shape (n, parameters), with the same first point; n may be far below the parameters.
        drawn: Two directions (2, parameters) to complete the plane with where the paths span none.

    Returns:
        The plane, its basis orthonormal, and for each direction the share of the scaled paths' squared distances from
        the start that lies in it, shape (2,).
    """
    start = np.asarray(paths[0][0], np.float64)
    moves = [path - start for path in paths]
    lengths = [np.linalg.norm(move, axis=1).max() for move in moves]
    scaled = np.concatenate([move / (length or 1) for move, length in zip(moves, lengths, strict=True)])
    directions, shares = principal(scaled)
    drawn = _draw(start, [(len(start),)], 0) if drawn is None else drawn
    return _completed(start, directions, drawn, "shared", tuple(shares.tolist()), unit=True), shares


def along_hessian(task: Task, point: Floats, drawn: Floats, seed: int = 0) -> Plane:
    """Return the plane through a point along the two leading eigenvectors of the Hessian there.

    Args:
        task: Model, loss and examples.
        point: Shape (parameters,).
        drawn: Two directions (2, parameters), where the Hessian has none.
        seed: Of the start of Lanczos' method.
    """
    hessian = Hessian(task, point)
    krylov = lanczos(hessian, next(hessian.starts(seed)), ends=2)
    order = krylov.values.argsort(descending=True)[:2]
    clear = [int(i) for i in order if krylov.values[i] > 0]
    values = ", ".join(f"{float(krylov.values[i]):.4g}" for i in clear)
    plane = _completed(point.astype(np.float64), krylov.vectors[clear].double().numpy(), drawn, "hessian", unit=True)
    note = (f"eigenvalues {values}",) if clear else ()
    return Plane(plane.origin, plane.basis, "hessian", (), (*note, *plane.notes))


def _solutions(paths: Sequence[Floats]) -> Floats:
    """Return the points of a plane through three runs: of a single array its first three, else the last of each."""
    points = paths[0][:3] if len(paths) == 1 else np.stack([path[-1] for path in paths[:3]])
    if len(points) < 3:
        raise UserError(f"a plane through three runs needs three solutions, and there are {len(points)}")
    return points


def _shared(paths: Sequence[Floats], drawn: Floats) -> Plane:
    """Return the plane that is nearest to paths, which have to have one start."""
    if any(not np.array_equal(path[0], paths[0][0]) for path in paths):
        raise UserError("a shared plane is of runs from one start, and these have several; take three_runs")
    plane, _ = nearest(paths, drawn)
    return plane


def _pca(points: Floats, drawn: Floats) -> Plane:
    away = points - points[0]  # exactly 0 where a run stands still, as a mean is not
    middle = points[0] + away.mean(0)
    directions, shares = principal(away - away.mean(0))
    turned = directions * np.where(directions @ (points[-1] - points[0]) < 0, -1.0, 1.0)[:, None]
    return _completed(middle, turned, drawn, "pca", tuple(shares.tolist()), unit=True)


def _endpoints(points: Floats, drawn: Floats) -> Plane:
    end = points[-1]
    directions = independent(np.stack([points[0] - end, points[len(points) // 2] - end]))
    return _completed(end, directions, drawn, "endpoints")


def _random(points: Floats, drawn: Floats) -> Plane:
    return Plane(points[-1], drawn, "random")


def _three_runs(points: Floats, drawn: Floats) -> Plane:
    directions = independent(points[1:] - points[0])
    return _completed(points[0], directions, drawn, "three_runs")


SINGLE = {"pca": _pca, "endpoints": _endpoints, "random": _random, "three_runs": _three_runs}


def _completed(
    origin: Floats, directions: Floats, drawn: Floats, kind: str, shares: tuple[float, ...] = (), unit: bool = False
) -> Plane:
    """Return the plane of up to two directions, with random ones for those that lack.

    Args:
        origin: A point.
        directions: Shape (0 to 2, parameters).
        drawn: Two directions to take from.
        kind: Of the plane.
        shares: Of the plane.
        unit: Whether a random direction is to have length 1 and be at right angles to the other one.
    """
    lacking = 2 - len(directions)
    if not lacking:
        return Plane(origin, directions, kind, shares)
    basis = np.concatenate([directions, drawn[:lacking]])
    if unit:
        basis = np.linalg.qr(basis.T)[0].T
        basis[: len(directions)] = directions
    spans = "a line" if lacking == 1 else "a point"
    which = "the second direction is" if lacking == 1 else "both directions are"
    return Plane(origin, basis, kind, shares, (COMPLETED.format(spans, which),))


def _draw(weights: Floats, shapes: Sequence[tuple[int, ...]], seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return np.stack([filter_normalised(weights, shapes, rng) for _ in range(2)])


def _shapes(model: nn.Module | None, points: Floats) -> list[tuple[int, ...]]:
    """Return the shapes of a model's parameters; without one, all weights are a single filter."""
    size = points.shape[-1]
    if model is None:
        return [(1, size)]
    shapes = [tuple(p.shape) for p in model.parameters()]
    if sum(int(np.prod(shape)) for shape in shapes) != size:
        raise UserError(f"the points have {size} coordinates, and the model has other parameters")
    return shapes


def _finite(paths: Sequence[Floats]) -> tuple[list[Floats], list[str]]:
    """Return paths without the points that are not finite, and a note where there were some."""
    sizes = {path.shape[-1] if path.ndim == 2 else None for path in paths}
    if len(sizes) != 1 or None in sizes:
        shapes = ", ".join(str(path.shape) for path in paths)
        raise UserError(f"a plane needs points (n, parameters) of one network, and was given {shapes or 'none'}")
    finite = [path[np.isfinite(path).all(1)] for path in paths]
    lost = sum(map(len, paths)) - sum(map(len, finite))
    kept = [path for path in finite if len(path)]
    if not kept:
        raise UserError("no point is finite, so there is no plane")
    return kept, [f"{lost} points that are not finite are left out"] if lost else []
