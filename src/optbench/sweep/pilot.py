"""What a sweep is going to take: a few cells of each kind of job are trained for some epochs, the rest extrapolated."""

import copy
import heapq
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import open_dict, read_write

from optbench import processes, records
from optbench.checks import UserError
from optbench.configs import dataset
from optbench.sweep.compose import Cell
from optbench.sweep.outcome import settle
from optbench.sweep.plan import likeness, parameters
from optbench.sweep.work import execute, share
from optbench.training import path
from optbench.training.length import Length, measure

CELLS = 8
"""Cells of a stack that are trained; in a larger one each takes as long, or less."""

FEW = 3
"""Epochs of the second pilot; the first one has one epoch, and the difference tells what an epoch takes."""

LONG = 3.0
"""Seconds from which on the first pilot is enough: what it takes to begin no longer counts."""

PATIENCE = 1.0
"""Minutes after which a pilot is ended, within an epoch if need be."""

Train = Callable[[Sequence[Sequence[Cell]]], Sequence[float]]
"""What trains the cells of several jobs, each in a process of its own, and returns the seconds of each."""


@dataclass(frozen=True)
class JobKind:
    """Jobs that are alike: as many cells of the same network, data and rule.

    Attributes:
        name: The rule's.
        jobs: How many there are.
        cells: Cells of each.
        epochs: Epochs of each cell.
        pilot: Seconds that the pilot took.
        begin: Seconds of a job before its first epoch and after its last.
        epoch: Seconds of an epoch of all its cells.
    """

    name: str
    jobs: int
    cells: int
    epochs: int
    pilot: float
    begin: float
    epoch: float

    @property
    def seconds(self) -> float:
        """Seconds of a job."""
        return self.begin + self.epochs * self.epoch


@dataclass(frozen=True)
class Trial:
    """What came of a pilot.

    Attributes:
        seconds: What it took, but for compiling.
        compiling: What that took.
        training: Seconds of training alone, of all its cells.
        epochs: Epochs of each cell, also a part of one.
    """

    seconds: float
    compiling: float
    training: float
    epochs: float


def measured(jobs: Sequence[Sequence[Cell]], train: Train, root: Path, start: float = 0.0) -> list[JobKind]:
    """Return what jobs take, by kind, after training some cells of one of each kind for an epoch, or for some.

    Args:
        jobs: The cells of each job.
        train: What trains them.
        root: An empty folder for what the pilots write.
        start: Seconds that a job takes besides, before it can train.

    Raises:
        UserError: A pilot failed, or a run has no length.
    """
    alike = [likeness(job[0].task) for job in jobs]
    kinds = Counter(zip(alike, map(len, jobs), strict=True))
    pilots: dict[tuple[str, int], Sequence[Cell]] = {}
    for name, job in zip(alike, jobs, strict=True):
        pilots.setdefault((name, min(len(job), CELLS)), job)
    lengths = {kind: length_of(job[0]) for kind, job in pilots.items()}
    first = tried(pilots, train, root / "first", 1)
    short = {kind: job for kind, job in pilots.items() if first[kind].seconds < LONG and lengths[kind] > 1}
    second = tried(short, train, root / "second", FEW)
    found = []
    for (name, size), count in kinds.items():
        kind = name, min(size, CELLS)
        rule = str(pilots[kind][0].task["optimizer"]["_target_"]).rpartition(".")[2]
        begin, epoch = split(first[kind], second.get(kind))
        spent = sum(trial.seconds + trial.compiling for trial in (first[kind], second.get(kind)) if trial)
        times = size / kind[1]
        begin = start + first[kind].compiling + times * begin
        found.append(JobKind(rule, count, size, lengths[kind], spent, begin, times * epoch))
    return found


def split(first: Trial, second: Trial | None) -> tuple[float, float]:
    """Return the seconds that a job takes besides its epochs, and those of an epoch."""
    if second is None:
        return 0.0, first.seconds / first.epochs
    more = (second.seconds - first.seconds) / max(second.epochs - first.epochs, 1e-9)
    epoch = max(more, second.training / second.epochs)
    return max(first.seconds - epoch * first.epochs, 0.0), epoch


def tried(
    pilots: Mapping[tuple[str, int], Sequence[Cell]], train: Train, root: Path, epochs: int
) -> dict[tuple[str, int], Trial]:
    """Train some cells of each job for some epochs, and return what came of it.

    Raises:
        UserError: It failed.
    """
    short = [shortened(job, root / str(i), epochs) for i, job in enumerate(pilots.values())]
    seconds = train(short) if short else []
    return {
        kind: outcome(cells, root / str(i), taken)
        for i, (kind, cells, taken) in enumerate(zip(pilots, short, seconds, strict=True))
    }


def outcome(cells: Sequence[Cell], root: Path, seconds: float) -> Trial:
    """Return what came of the pilot that trained cells below a folder.

    Raises:
        UserError: It failed.
    """
    runs, damaged = records.survey(root)
    batches = measure_of(cells[0]).batches
    ended = [run for run in runs if run.status["status"] in ("done", "diverged", "timed out")]
    epochs = max((len(run.steps) / batches for run in ended), default=0.0)
    if not epochs:
        reason = next((run.status["reason"] for run in runs), None) or next(iter(damaged.values()), "no record")
        raise UserError(f"the pilot of '{cells[0].name}' came to nothing: {reason}")
    compiling = max(float(run.status.get("compile_seconds", 0.0)) for run in ended)
    training = sum(float(run.metrics["train_seconds"].iloc[-1]) for run in ended if len(run.metrics))
    return Trial(max(seconds - compiling, 1e-3), compiling, training, epochs)


def shortened(job: Sequence[Cell], root: Path, epochs: int) -> list[Cell]:
    """Return some cells of a job, recorded below a folder, that step as they would but end after some epochs."""
    cells = job[:CELLS]
    length = measure_of(job[0])
    how, _ = path.choose(job[0].task, parameters(job[0].task), length.steps, len(job))
    short: list[Cell] = []
    for cell in cells:
        config = cell.config
        task = copy.deepcopy(cell.task)
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(root)
        changed = {"compile": how, "timeout": PATIENCE / len(cells), "rerun": None}
        for each in (config, task):
            with open_dict(config):
                each["trainer"]["max_epochs"] = min(epochs, length.epochs or epochs)
                for least in {"min_epochs", "min_steps"} & set(each["trainer"]):
                    each["trainer"][least] = None
                each.update(changed)
        place = root / cell.directory.name
        short.append(replace(cell, task=task, composed=pickle.dumps(config), values=[], root=root, directory=place))
    return short


def measure_of(cell: Cell) -> Length:
    """Return the length of a cell's training."""
    return measure(cell.task["trainer"], dataset(cell.task["data"]).batches_per_epoch)


def length_of(cell: Cell) -> int:
    """Return for how many epochs a cell trains.

    Raises:
        UserError: Only time or a callback ends it.
    """
    epochs = measure_of(cell).epochs
    if epochs is None:
        raise UserError(f"the length of a run is not known beforehand ({cell.name}); give trainer.max_epochs")
    return epochs


def trainer(context: Any, task: Any, side_by_side: int) -> Train:
    """Return what trains the cells of jobs as a sweep does; the server of the processes is up then."""
    list(processes.side_by_side(abs, [0], 1))
    begun = time.perf_counter()
    list(processes.side_by_side(abs, [0], 1))
    process = time.perf_counter() - begun

    def train(jobs: Sequence[Sequence[Cell]]) -> list[float]:
        work = partial(timed, context, task, share([cell.task for job in jobs for cell in job]))
        outputs = [job[0].directory / "output.txt" for job in jobs]
        seconds = [0.0] * len(jobs)
        for i, done in processes.side_by_side(work, jobs, side_by_side, outputs):
            settle([cell.directory for cell in jobs[i]], done)
            seconds[i] = process + (done if isinstance(done, float) else 0.0)
        return seconds

    return train


def timed(context: Any, task: Any, data: Mapping[str, Any], cells: Sequence[Cell]) -> float:
    """Train cells in this process, and return the seconds that it took."""
    begun = time.perf_counter()
    execute(context, task, data, cells)
    return time.perf_counter() - begun


def starting() -> float:
    """Return the seconds that a fresh process takes to import what training needs, as a job of a cluster does."""
    command = [sys.executable, "-c", f"import {', '.join(processes.HEAVY)}"]
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def span(found: Sequence[JobKind], side_by_side: int) -> float:
    """Return the seconds from the first job's start to the last one's end, so many at a time, the longest first."""
    durations = sorted((kind.seconds for kind in found for _ in range(kind.jobs)), reverse=True)
    free = [0.0] * min(side_by_side, len(durations))
    for seconds in durations:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free, default=0.0)
