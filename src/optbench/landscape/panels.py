"""Which runs belong on one plane, and the pictures of all of them: no path stands on a surface that is not its own."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optbench.checks import UserError
from optbench.configs import CONF, trusted
from optbench.landscape.arrays import Floats, evenly
from optbench.landscape.picture import Landscape, Trail, compute
from optbench.landscape.plane import Plane
from optbench.landscape.task import EXAMPLES, Task, task
from optbench.records import Run

PANELS = 12
"""Pictures at most; what has none is named."""
RECORDED = 300
"""Points of a path at most, evenly among those that were recorded."""
BYTES = 2**29
"""Of all paths together."""
DRAWS = ("batch_size", "seed", "chunk_size")
"""Keys of a data set that choose mini-batches, not the examples of the loss."""


@dataclass(frozen=True)
class LandscapeRequest:
    """What is to be drawn.

    Attributes:
        plane: Kind of plane.
        what: `loss` or `accuracy`.
        split: `train`, `val` or `test`.
        points: Of the grid along each side.
        seed: Of the runs, and of random directions; None for that of which most runs were done.
        examples: Of the split, the first ones; None for all.
        folders: Folders of the configs that name what may be made of a record.
        cache: Where grids are kept.
    """

    plane: str = "shared"
    what: Literal["loss", "accuracy"] = "loss"
    split: Literal["train", "val", "test"] = "train"
    points: int = 50
    seed: int | None = None
    examples: int | None = EXAMPLES
    folders: tuple[Path, ...] = (CONF,)
    cache: Path | None = None

    @property
    def across(self) -> bool:
        """Whether a plane is of runs of several seeds, which start apart."""
        return self.plane == "three_runs"


@dataclass(frozen=True, eq=False)
class NamedRun:
    """A run with what it is called.

    Attributes:
        name: What tells it from the others but for its seed.
        optimizer: Whose it is.
        run: Its record.
    """

    name: str
    optimizer: str
    run: Run

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.run.status.get("seed", 0))

    @property
    def status(self) -> str:
        """How the run ended."""
        return str(self.run.status.get("status", "missing"))


class Left(dict[str, list[str]]):
    """The names of those that are left out, by reason."""

    def add(self, why: str, name: str) -> None:
        """Leave one out."""
        self.setdefault(why, []).append(name)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each reason."""
        return tuple(f"left out, {why}: {', '.join(dict.fromkeys(names))}" for why, names in self.items())


def pictures(contenders: Sequence[NamedRun], request: LandscapeRequest) -> tuple[list[Landscape], tuple[str, ...]]:
    """Return the pictures of runs, the one with most paths first, and what had to be left out, by name.

    Runs of another network, other data, other examples or another start have a picture of their own. So has each run
    where the kind of plane is of one run.

    Raises:
        UserError: Nothing can be drawn.
    """
    left = Left()
    seed = chosen_seed(contenders) if request.seed is None else request.seed
    mine = of_seed(contenders, request, seed)
    several = len({contender.seed for contender in mine}) > 1
    groups, strange = grouped(mine, request, several, left)
    if not groups:
        raise UserError(reasons(left) or "there is no run")
    found: list[Landscape] = []
    for group, title in zip(groups, differences([group.run for group in groups]), strict=True):
        for plane, shown, heading in planes(group.smooth(request), group.walks, request, seed, left):
            if len(found) == PANELS:
                left.add(f"as there are {PANELS} pictures already", ", ".join(walk.name for walk in shown))
                continue
            picture = compute(
                group.task,
                shown,
                plane,
                request.points,
                title=", ".join(part for part in (heading, title) if part),
                what=request.what,
                split=request.split,
                notes=[] if several else [f"seed {seed}"],
                closer=request.plane == "shared",
                cache=request.cache,
            )
            found.append(picture)
    if not found:
        raise UserError(reasons(left))
    return found, (*left.notes, *strange)


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that share a surface.

    Attributes:
        task: The surface.
        run: The record of the first of them.
        walks: Their paths.
    """

    task: Task
    run: Run
    walks: list[Trail]

    @property
    def done(self) -> int:
        """How many of them came to their end."""
        return sum(walk.status == "done" for walk in self.walks)

    def smooth(self, request: LandscapeRequest) -> Task:
        """Return their model with its loss, which has a Hessian, whatever is to be drawn."""
        if request.what == "loss":
            return self.task
        return task(self.run.config, request.examples, folders=request.folders)


def of_seed(contenders: Sequence[NamedRun], request: LandscapeRequest, seed: int) -> list[NamedRun]:
    """Return the contenders that may be drawn: those of a seed, or all where a plane is of several seeds.

    Raises:
        UserError: There is none.
    """
    mine = [one for one in contenders if request.across or one.seed == seed]
    if not mine:
        known = ", ".join(map(str, sorted({one.seed for one in contenders})))
        raise UserError(f"no run has the seed {seed}; there are {known}")
    return mine


def grouped(
    contenders: Sequence[NamedRun], request: LandscapeRequest, several: bool, left: Left
) -> tuple[list[Group], list[str]]:
    """Return runs by the surface that they share, most finished runs first, and notes on some of them.

    Where they are of several seeds, their names tell these; those without path or surface are named in `left`.
    """
    groups: dict[str, Group] = {}
    tasks: dict[str, Task] = {}
    strange: list[str] = []
    for contender in contenders:
        run = contender.run
        surface = surface_of(run)
        name = f"{contender.name}, seed {contender.seed}" if several else contender.name
        try:
            if surface not in tasks:
                tasks[surface] = task(run.config, request.examples, request.split, request.what, request.folders)
            walk = read(contender, name, tasks[surface].parameters, len(contenders))
        except UserError as error:
            left.add(str(error), name)
            continue
        strange += stranger(contender, name, request.folders)
        start = "" if request.across else repr(walk.weights[0].tobytes())
        group = groups.setdefault(surface + start, Group(tasks[surface], run, []))
        group.walks.append(walk)
    return sorted(groups.values(), key=lambda group: -group.done), strange


def reasons(left: Left) -> str:
    """Return why there is no picture, in one line."""
    return "; ".join(left.notes).removeprefix("left out, ")


def stranger(contender: NamedRun, name: str, folders: Sequence[Path]) -> list[str]:
    """Return a note on a run whose optimizer no config names: it has its path, as nothing of its optimizer is made."""
    try:
        trusted({"optimizer": contender.run.config.get("optimizer")}, folders)
    except UserError as error:
        return [f"drawn all the same, as no optimizer is made: {name}, of which {error}"]
    return []


def planes(
    smooth: Task, walks: Sequence[Trail], request: LandscapeRequest, seed: int, left: Left
) -> Iterable[tuple[Plane, list[Trail], str]]:
    """Yield the planes of runs that share a surface, with the walks on each and what tells it from the others.

    `smooth` is their model with a loss that has a Hessian; those that no plane can be had for are named in `left`.
    """
    kind = request.plane
    fit = partial(Plane.fit, kind=kind, model=smooth.model, x=smooth.x, y=smooth.y, loss=smooth.loss, seed=seed)
    if kind not in ("shared", "three_runs"):
        for walk in walks:
            yield fit(walk.weights), [walk], walk.name
        return
    done = [walk for walk in walks if walk.status == "done"]
    if not done:
        for walk in walks:
            left.add(f"as it is {walk.status}, and no other run of its kind is done", walk.name)
        return
    try:
        yield fit(_points(done, kind)), list(walks), ""
    except UserError as error:
        for walk in walks:
            left.add(str(error), walk.name)


def _points(done: Sequence[Trail], kind: str) -> list[Floats] | Floats:
    """Return the points that a plane of several runs is fitted to: three solutions, or whole paths."""
    if kind == "three_runs":
        return np.stack([walk.weights[-1] for walk in done[:3]])
    return [walk.weights for walk in done]


def chosen_seed(contenders: Sequence[NamedRun]) -> int:
    """Return the first seed of those of which most runs were done.

    Raises:
        UserError: No run came to its end.
    """
    counts: defaultdict[int, int] = defaultdict(int)
    for contender in contenders:
        counts[contender.seed] += contender.status == "done"
    if not any(counts.values()):
        raise UserError("no run came to its end, so there is no plane to show")
    return max(sorted(counts), key=lambda seed: counts[seed])


def surface_of(run: Run) -> str:
    """Return what tells the surface of a run from others: its network, and its data but for the mini-batches."""
    data = {k: v for k, v in _group(run, "data").items() if k not in DRAWS}
    return json.dumps([_group(run, "model"), data], sort_keys=True, default=str)


def differences(runs: Sequence[Run]) -> list[str]:
    """Return for each run what its network and data differ in from the others'."""
    fields = [_fields(run) for run in runs]
    keys = dict.fromkeys(key for own in fields for key in own)
    telling = [key for key in keys if len({str(own.get(key)) for own in fields}) > 1]
    return _numbered([", ".join(_field(key, own.get(key)) for key in telling) for own in fields])


def _fields(run: Run) -> dict[tuple[str, str], Any]:
    """Return what a record says of network and data, by group and field, but for the draws of mini-batches."""
    groups = [(group, _group(run, group)) for group in ("model", "data")]
    return {(group, str(key)): value for group, own in groups for key, value in own.items() if key not in DRAWS}


def _field(key: tuple[str, str], value: Any) -> str:
    """Return a field with its value as a title has it; of a class its name alone."""
    said = str(value).rpartition(".")[2] if isinstance(value, str) else str(value)
    return f"{key[1].strip('_')} {said}"


def _numbered(titles: Sequence[str]) -> list[str]:
    """Return titles of which those that occur several times say which of the starts each is."""
    total = Counter(titles)
    seen: Counter[str] = Counter()
    told = []
    for title in titles:
        seen[title] += 1
        start = f"start {seen[title]}" if total[title] > 1 else ""
        told.append(", ".join(part for part in (title, start) if part))
    return told


def _group(run: Run, name: str) -> dict[Any, Any]:
    """Return a group of a record's config; one that is no mapping is refused when it is to be made."""
    found = run.config.get(name)
    return found if isinstance(found, dict) else {"": found}


def read(contender: NamedRun, name: str, parameters: int, runs: int) -> Trail:
    """Return a run's path, thinned to what a picture can show.

    Args:
        contender: The run.
        name: What it is called.
        parameters: Of its network.
        runs: How many there are, which share the memory.

    Raises:
        UserError: The run kept no path, or one of another network, or it cannot be read.
    """
    trajectory = contender.run.trajectory
    if trajectory is None or not len(trajectory[0]):
        raise UserError("as it kept no trajectory")
    steps, weights = trajectory
    if weights.ndim != 2 or weights.shape != (len(steps), parameters):
        raise UserError(f"as its trajectory is of {weights.shape[-1]} parameters, and its network has {parameters}")
    limit = int(np.clip(BYTES // (4 * parameters * runs), 8, RECORDED))
    rows = evenly(len(steps), limit)
    kept = np.asarray(weights[rows])
    if not np.isfinite(kept[0]).all():
        raise UserError("as its start is not finite")
    return Trail(name, contender.optimizer, contender.status, np.asarray(steps)[rows], kept)
