"""A picture of a landscape: a plane, what the loss is on it, the paths, and how far the picture is from the truth."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from optbench import records
from optbench.checks import UserError, one_line
from optbench.landscape.arrays import Floats
from optbench.landscape.grid import MEMORY, losses
from optbench.landscape.plane import Plane
from optbench.landscape.task import Task

MARGIN = 0.1
"""Room around the paths, as a share of the longer side."""
SLIMMEST = 0.5
"""Shorter side of a window by its longer one."""
FAR = 2.5
"""A path that leads so many times further than most has them drawn once more, closer."""
BOUND = 0.1
"""Error, as a share of what the loss falls or rises along the paths, above which a picture says so in its title."""


@dataclass(frozen=True, eq=False)
class Trail:
    """What one run brings to a picture.

    Attributes:
        name: What tells it from the others.
        optimizer: Whose it is.
        status: How the run ended.
        steps: Recorded steps, shape (n,).
        weights: Flat weights at them, shape (n, parameters).
    """

    name: str
    optimizer: str
    status: str
    steps: Floats
    weights: Floats


@dataclass(frozen=True, eq=False)
class Projection:
    """A path on a plane, and its error: the plane shows a shadow, the weights themselves lie elsewhere.

    Attributes:
        name: What tells it from the others.
        optimizer: Whose it is.
        status: How the run ended.
        steps: Recorded steps, shape (n,).
        coordinates: Of the nearest points in the plane, shape (n, 2).
        values: The loss of the weights themselves, shape (n,).
        shadows: The loss of the plane at the coordinates, shape (n,).
        away: Distance from the plane relative to the distance from the start, shape (n,); 0 at the start.
    """

    name: str
    optimizer: str
    status: str
    steps: Floats
    coordinates: Floats
    values: Floats
    shadows: Floats
    away: Floats

    @property
    def errors(self) -> Floats:
        """How far the plane's loss is from the true one, shape (n,)."""
        return np.abs(self.shadows - self.values)


@dataclass(frozen=True, eq=False)
class View:
    """The loss on a part of a plane.

    Attributes:
        title: What part, where there are several.
        alphas: Coordinates along the first direction.
        betas: Coordinates along the second.
        values: Shape (len(betas), len(alphas)).
    """

    title: str
    alphas: Floats
    betas: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class Landscape:
    """All that a picture shows.

    Attributes:
        title: Of the picture among others.
        plane: The plane.
        views: Parts of it, the whole one first.
        tracks: The paths.
        what: `loss` or `accuracy`.
        split: Of which data.
        examples: How many of them.
        statistics: Where batch normalization takes mean and variance from; empty where there is none.
        notes: What a reader has to know.
    """

    title: str
    plane: Plane
    views: tuple[View, ...]
    tracks: tuple[Projection, ...]
    what: str
    split: str
    examples: int
    statistics: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def spread(self) -> float:
        """Highest less lowest true loss along the paths of runs that are done; what errors are measured by."""
        values = np.concatenate([t.values[np.isfinite(t.values)] for t in self._settled] or [np.zeros(1)])
        return float(np.ptp(values)) if len(values) else 0.0

    @cached_property
    def error(self) -> float:
        """Largest error of a run that is done, as a share of `spread`; not a number where nothing is finite."""
        found = np.concatenate([t.errors for t in self._settled] or [np.zeros(0)])
        found = found[np.isfinite(found)]
        if not len(found):
            return float("nan")
        return float(found.max() / self.spread) if self.spread else float(found.max() > 0)

    @property
    def _settled(self) -> list[Projection]:
        return [t for t in self.tracks if t.status == "done"] or list(self.tracks)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table of the picture's error: a row for each recorded point."""
        return [
            {
                "picture": self.title,
                "plane": self.plane.kind,
                "what": self.what,
                "split": self.split,
                "run": track.name,
                "step": int(track.steps[i]),
                "alpha": float(track.coordinates[i, 0]),
                "beta": float(track.coordinates[i, 1]),
                "true": float(track.values[i]),
                "on_plane": float(track.shadows[i]),
                "error": float(track.errors[i]),
                "relative_distance": float(track.away[i]),
            }
            for track in self.tracks
            for i in range(len(track.steps))
        ]

    def save(self, path: Path) -> list[Path]:
        """Write numbers to `path`.npz and words to `path`.json, each beside its place first; return both."""
        arrays: dict[str, Any] = {"origin": self.plane.origin, "basis": self.plane.basis}
        for kind, parts in (("view", self.views), ("track", self.tracks)):
            for i, part in enumerate(parts):
                arrays |= {f"{kind}{i}_{k}": v for k, v in vars(part).items() if isinstance(v, np.ndarray)}
        words = {
            "plane": {k: v for k, v in vars(self.plane).items() if k in ("kind", "shares", "notes")},
            "views": [view.title for view in self.views],
            "tracks": [{k: v for k, v in vars(t).items() if isinstance(v, str)} for t in self.tracks],
            **{name: getattr(self, name) for name in WORDS},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = path.with_name(f"{path.name}.npz")
        text = path.with_name(f"{path.name}.json")
        beside = path.with_name(f".{path.name}.{os.getpid()}.npz")
        np.savez_compressed(beside, **arrays)
        beside.replace(numbers)
        records.write(text, json.dumps(words, indent=1) + "\n")
        return [numbers, text]

    @classmethod
    def load(cls, path: Path) -> "Landscape":
        """Read what `save` wrote.

        Raises:
            UserError: It is not there, or damaged.
        """
        try:
            words = json.loads(path.with_name(f"{path.name}.json").read_text())
            with np.load(path.with_name(f"{path.name}.npz"), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            plane = words["plane"] | {name: tuple(words["plane"][name]) for name in ("shares", "notes")}
            views = [View(title, **_of(arrays, f"view{i}_")) for i, title in enumerate(words["views"])]
            tracks = [Projection(**text, **_of(arrays, f"track{i}_")) for i, text in enumerate(words["tracks"])]
            rest = {name: words[name] for name in WORDS} | {"notes": tuple(words["notes"])}
            return cls(
                plane=Plane(arrays["origin"], arrays["basis"], **plane),
                views=tuple(views),
                tracks=tuple(tracks),
                **rest,
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise UserError(f"{path} holds no readable landscape: {one_line(error)}") from None


WORDS = ("title", "what", "split", "examples", "statistics", "notes")


def compute(
    task: Task,
    walks: Sequence[Trail],
    plane: Plane,
    points: int = 50,
    *,
    title: str = "",
    what: str = "loss",
    split: str = "train",
    notes: Sequence[str] = (),
    closer: bool = False,
    memory: int = MEMORY,
    cache: Path | None = None,
) -> Landscape:
    """Return the picture of a plane: the loss on it, the paths with it, and the error of each recorded point.

    Args:
        task: The model, its loss and the examples.
        walks: Paths of this model; points that are not finite are left out, and said.
        plane: The plane.
        points: Of the grid along each side.
        title: Of the picture among others.
        what: `loss` or `accuracy`, as the task has it.
        split: Of which data.
        notes: What a reader has to know besides.
        closer: Whether a second view is to show most paths from close, where a few lead much further.
        memory: Bytes that activations may take.
        cache: Where grids are kept.
    """
    tracks = [_track(task, walk, plane, memory) for walk in walks]
    said = [*notes, *plane.notes]
    lost = sum(len(walk.steps) for walk in walks) - sum(len(track.steps) for track in tracks)
    if lost:
        said.append(f"{lost} recorded points are not finite and left out")
    views = []
    for name, own in _seen_from(tracks, closer).items():
        sides = window(np.concatenate([track.coordinates for track in own]))
        views.append(_view(task, plane, name, sides, points, memory, cache))
    return Landscape(
        title=title,
        plane=plane,
        views=tuple(views),
        tracks=tuple(tracks),
        what=what,
        split=split,
        examples=len(task.x),
        statistics=task.statistics,
        notes=tuple(dict.fromkeys(said)),
    )


def _seen_from(tracks: Sequence[Projection], closer: bool) -> dict[str, Sequence[Projection]]:
    """Return which paths each view is to hold, by its title.

    Args:
        tracks: All of them; those that came to no end do not widen a view, if there are others.
        closer: Whether a second view leaves out the few that lead much further than most.
    """
    settled = [track for track in tracks if track.status == "done" and len(track.steps)] or tracks
    reach = [float(np.linalg.norm(track.coordinates, axis=1).max(initial=0)) for track in settled]
    near = [track for track, far in zip(settled, reach, strict=True) if far <= FAR * np.median(reach)]
    if closer and len(near) < len(settled):
        return {"all paths": settled, "closer": near}
    return {"": settled}


def window(coordinates: Floats) -> Floats:
    """Return lowest and highest coordinate along both axes, shape (2, 2), around all points."""
    if not len(coordinates):
        coordinates = np.zeros((1, 2))
    low = coordinates.min(0)
    high = coordinates.max(0)
    longer = float((high - low).max()) or 1.0
    grown = np.maximum(high - low, SLIMMEST * longer) + 2 * MARGIN * longer
    middle = (low + high) / 2
    return np.stack([middle - grown / 2, middle + grown / 2], 1)


@torch.no_grad()
def true_losses(task: Task, weights: Floats) -> Floats:
    """Return the loss of a model at flat weights (n, parameters), by a plain evaluation of each, shape (n,)."""
    frozen = task.frozen()
    found = [frozen.loss(functional_call(frozen.model, frozen.named(w), (frozen.x,)), frozen.y) for w in weights]
    return np.array([float(value) for value in found])


def _view(task: Task, plane: Plane, title: str, sides: Floats, points: int, memory: int, cache: Path | None) -> View:
    alphas, betas = (np.linspace(low, high, points) for low, high in sides)
    coordinates = np.stack(np.meshgrid(alphas, betas), -1).reshape(-1, 2)
    values = losses(task, plane, coordinates, memory, cache).reshape(points, points)
    return View(title, alphas, betas, values)


def _track(task: Task, walk: Trail, plane: Plane, memory: int) -> Projection:
    finite = np.isfinite(walk.weights).all(1)
    weights = walk.weights[finite].astype(np.float64)
    steps = walk.steps[finite]
    coordinates = plane.coordinates(weights)
    moved = np.linalg.norm(weights - weights[:1], axis=1)
    away = plane.distance(weights)
    relative = np.divide(away, moved, out=np.zeros_like(away), where=moved > 0)
    values = true_losses(task, weights)
    shadows = losses(task, plane, coordinates, memory)
    return Projection(walk.name, walk.optimizer, walk.status, steps, coordinates, values, shadows, relative)


def _of(arrays: dict[str, Floats], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
