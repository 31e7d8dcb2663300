"""Paths and grids of the surfaces, against the limits that a reader's patience sets."""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial

import torch

from optbench import surfaces
from optbench.optimizers import Adam
from optbench.speed.race import race
from optbench.speed.shell import optbench
from optbench.speed.table import Row, row
from optbench.surfaces.descent import descend

STEPS = 1000
STARTS = 100
SIDE = 400


def paths(rounds: int = 7) -> Iterator[Row]:
    """Yield a path of Adam, many paths as one batch against a single one, and the grid that takes longest."""
    f = surfaces.get("rosenbrock").f
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    go = partial(descend, f, partial(Adam, lr=0.01))
    spread = start + torch.rand(STARTS, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    many = partial(go, batched=True)
    times = race({"one": partial(go, start, STEPS), "many": partial(many, spread, STEPS)}, rounds)
    one = times["one"].median
    yield row(f"{STEPS} steps of Adam on rosenbrock", one, "limit", 0.6, 1)
    yield row(f"{STARTS} starts as one batch, {STEPS} steps", times["many"].median, "one start", one, 2)
    planes = [surface for surface in map(surfaces.get, surfaces.names()) if surface.size == 2]
    grids = race({surface.name: partial(surface.grid, SIDE) for surface in planes}, rounds)
    slowest = max(grids, key=lambda name: grids[name].median)
    yield row(f"{SIDE} x {SIDE} grid of {slowest}, the slowest", grids[slowest].median, "limit", 0.1, 1)


def gallery(rounds: int = 1, short: bool = False) -> Iterator[Row]:
    """Yield what `study=gallery` takes from the shell, on two processes."""
    arguments = ["study=bowls"] if short else ["study=gallery", "processes=2"]
    name = ", ".join(arguments)
    times = race({name: partial(draw, arguments)}, rounds)
    yield row(name, times[name].median, "limit", 60, 1)


def draw(arguments: Sequence[str]) -> float:
    """Return the seconds that the figures of a study take."""
    with tempfile.TemporaryDirectory() as root:
        return optbench("surface", *arguments, f"out={root}")
