"""What the surface says about solutions: how sharp they are, their spectra, and the barriers between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from optbench.checks import UserError
from optbench.landscape.arrays import Floats
from optbench.landscape.curvature import Density, Hessian, lanczos, spectral_density, trace
from optbench.landscape.directions import filter_normalised
from optbench.landscape.grid import losses
from optbench.landscape.panels import LandscapeRequest, NamedRun, chosen_seed, read, surface_of
from optbench.landscape.plane import Plane
from optbench.landscape.segment import barriers
from optbench.landscape.task import Task, task

ITERATIONS = 60
"""Products with the Hessian for its eigenvalues."""
DIRECTIONS = 10
RADIUS = 0.1
"""Of filter-normalised sharpness: how far a step goes, as a share of every filter's length."""
SOLUTIONS = 60
"""Ends in a matrix of barriers at most."""


@dataclass(frozen=True)
class Sharpness:
    """How sharp the loss is around weights.

    Attributes:
        highest: Largest eigenvalue of the Hessian.
        trace: Of the Hessian, by Hutchinson's estimator.
        trace_error: Its standard error.
        negative: Negative eigenvalues that were found; there may be more.
        rise: Mean rise of the loss after a step of `RADIUS` in random filter-normalised directions.
    """

    highest: float
    trace: float
    trace_error: float
    negative: int
    rise: float


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The density of the Hessian's eigenvalues at the end of a run.

    Attributes:
        name: Of the run.
        optimizer: Whose it is.
        density: Where the eigenvalues lie.
    """

    name: str
    optimizer: str
    density: Density


@dataclass(frozen=True, eq=False)
class Barriers:
    """Heights of the loss between the ends of runs.

    Attributes:
        names: Of the runs.
        heights: Shape (n, n), symmetric, 0 on the diagonal.
        notes: What a reader has to know.
    """

    names: list[str]
    heights: Floats
    notes: tuple[str, ...] = ()


def sharpness(made: Task, weights: Floats, seed: int = 0) -> Sharpness:
    """Return how sharp the loss is around flat weights (parameters,).

    References:
        Li, Xu, Taylor, Studer & Goldstein, Visualizing the loss landscape of neural nets, 2018,
        https://arxiv.org/abs/1712.09913
    """
    hessian = Hessian(made, weights)
    found = lanczos(hessian, next(hessian.starts(seed)), ITERATIONS, tolerance=0)
    middle, error = trace(hessian, seed=seed)
    rng = np.random.default_rng(seed)
    origin = weights.astype(np.float64)
    steps = [RADIUS * filter_normalised(origin, made.shapes, rng) for _ in range(DIRECTIONS)]
    heights = []
    for one, other in zip(steps[::2], steps[1::2], strict=True):
        plane = Plane(origin, np.stack([one, other]))
        heights.append(losses(made, plane, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])))
    rises = [value - here for here, *there in heights for value in there]
    negative = int((found.values + found.residuals < 0).sum())
    return Sharpness(float(found.values[-1]), middle, error, negative, float(np.mean(rises)))


def sharpness_of(run: NamedRun, request: LandscapeRequest) -> Sharpness:
    """Return how sharp the loss is at the end of a run.

    Raises:
        UserError: The run kept no trajectory, it ends at weights that are not finite, or its config is not to be made.
    """
    made = task(run.run.config, request.examples, request.split, folders=request.folders)
    return sharpness(made, _end(run, made))


def densities(runs: Sequence[NamedRun], request: LandscapeRequest) -> list[Spectrum]:
    """Return the spectra at the ends of one seed's runs that are done.

    Raises:
        UserError: There is none.
    """
    seed = chosen_seed(runs) if request.seed is None else request.seed
    found = []
    for run, made, end in _ends([run for run in runs if run.seed == seed], request):
        found.append(Spectrum(run.name, run.optimizer, spectral_density(Hessian(made, end))))
    return found


def barriers_of(runs: Sequence[NamedRun], request: LandscapeRequest, points: int = 11) -> Barriers:
    """Return the barriers between the ends of all runs that are done, of all seeds, as far as they share a surface.

    Raises:
        UserError: There are not two.
    """
    ends = list(_ends(runs, request))
    several = len({run.seed for run, *_ in ends}) > 1
    kept = ends[:SOLUTIONS]
    if len(kept) < 2:
        raise UserError("barriers are between two solutions, and there is one")
    names = [f"{run.name}, seed {run.seed}" if several else run.name for run, *_ in kept]
    notes = [f"{len(ends) - len(kept)} more runs are left out"] if len(ends) > len(kept) else []
    return Barriers(names, barriers(kept[0][1], [end for *_, end in kept], points), tuple(notes))


def _ends(runs: Sequence[NamedRun], request: LandscapeRequest) -> Iterator[tuple[NamedRun, Task, Floats]]:
    """Yield the runs that are done on the surface that most of them share, with its task and their last weights.

    Raises:
        UserError: There is none.
    """
    done = [run for run in runs if run.status == "done"]
    surfaces = [surface_of(run.run) for run in done]
    if not done:
        raise UserError("no run came to its end, so there is no solution")
    most = max(dict.fromkeys(surfaces), key=surfaces.count)
    made = task(done[surfaces.index(most)].run.config, request.examples, request.split, folders=request.folders)
    why = []
    for run in (run for run, surface in zip(done, surfaces, strict=True) if surface == most):
        try:
            end = _end(run, made)
        except UserError as error:
            why.append(f"{error}: {run.name}")
            continue
        yield run, made, end
    if len(why) == surfaces.count(most):
        raise UserError("; ".join(why))


def _end(run: NamedRun, made: Task) -> Floats:
    end: Floats = read(run, run.name, made.parameters, 1).weights[-1]
    if not np.isfinite(end).all() or not torch.isfinite(torch.tensor(made.at(end))):
        raise UserError("as it ends where the loss is not finite")
    return end
