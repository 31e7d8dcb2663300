"""What a sweep is going to take: one job of each kind is trained for a few epochs, and the rest is extrapolated."""

import copy
import heapq
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import open_dict, read_write

from optbench import processes, records
from optbench.checks import UserError
from optbench.configs import dataset
from optbench.sweep.compose import Cell
from optbench.sweep.plan import likeness, parameters
from optbench.sweep.work import execute, settle, share
from optbench.training import path
from optbench.training.length import Length, measure

FEW = 3
"""Epochs of the second pilot; the first one has one epoch, and the difference tells what an epoch takes."""

LONG = 10.0
"""Seconds from which on the first pilot is enough: what it takes to begin no longer counts."""

PATIENCE = 10.0
"""Minutes after which a pilot is ended, within an epoch if need be."""


@dataclass(frozen=True)
class Kind:
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


def kinds(batches: Sequence[Sequence[Cell]]) -> list[list[Sequence[Cell]]]:
    """Return the jobs that are alike together, given the cells of each."""
    found: dict[tuple[str, int], list[Sequence[Cell]]] = {}
    for batch in batches:
        found.setdefault((likeness(batch[0].task), len(batch)), []).append(batch)
    return list(found.values())


def estimate(
    jobs: Sequence[Sequence[Cell]], train: Callable[[Sequence[Cell]], Any], root: Path, start: float = 0.0
) -> Kind:
    """Return what jobs that are alike take, after training the first of them for an epoch or some.

    Args:
        jobs: The cells of each job.
        train: What trains cells in a process of their own.
        root: An empty folder for what the pilots write.
        start: Seconds that a job takes besides, before it can train.

    Raises:
        UserError: The pilot failed, or a run has no length.
    """
    cells = jobs[0]
    length, name = length_of(cells[0]), str(cells[0].task.optimizer._target_).rpartition(".")[2]
    if length.epochs is None:
        raise UserError(f"the length of a run is not known beforehand ({name}); give trainer.max_epochs")
    first, done = tried(cells, train, root / "first", 1, length)
    begin, epoch, spent = 0.0, first / done, first
    if first < LONG and length.epochs > 1:
        more = min(FEW, length.epochs)
        second, _ = tried(cells, train, root / "second", more, length)
        epoch = max((second - first) / (more - 1), trained(root / "second") / more)
        begin, spent = max(first - epoch, 0.0), first + second
    return Kind(name, len(jobs), len(cells), length.epochs, spent, start + begin, epoch)


def tried(
    cells: Sequence[Cell], train: Callable[[Sequence[Cell]], Any], root: Path, epochs: int, length: Length
) -> tuple[float, float]:
    """Train cells for some epochs, and return the seconds and the epochs that came of it.

    Raises:
        UserError: It failed.
    """
    short = shortened(cells, root, epochs, length)
    begun = time.perf_counter()
    train(short)
    seconds = time.perf_counter() - begun
    runs, damaged = records.survey(root)
    ended = [run for run in runs if run.status["status"] in ("done", "timed out")]
    done = max((len(run.steps) / length.batches for run in ended), default=0.0)
    if not done:
        reason = next((run.status["reason"] for run in runs), None) or next(iter(damaged.values()), "no record")
        raise UserError(f"the pilot of '{cells[0].name}' came to nothing: {reason}")
    return seconds, done


def shortened(cells: Sequence[Cell], root: Path, epochs: int, length: Length) -> list[Cell]:
    """Return cells that are recorded below a folder and end after some epochs, but step as those do."""
    steps, size = length.steps, parameters(cells[0].task)
    how, _ = path.choose(cells[0].task, size, steps, len(cells))
    short: list[Cell] = []
    for cell in cells:
        config, task = cell.config, copy.deepcopy(cell.task)
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(root)
            config.hydra.sweep.subdir = cell.directory.name
        for each in (config, task):
            with open_dict(each):
                each.trainer.max_epochs = epochs
                each.compile = how
                each.timeout = PATIENCE / len(cells)
        short.append(replace(cell, task=task, packed=pickle.dumps(config), directory=root / cell.directory.name))
    return short


def trained(root: Path) -> float:
    """Return the training seconds of all runs below a folder."""
    return sum(float(run.metrics["train_seconds"].iloc[-1]) for run in records.survey(root)[0] if len(run.metrics))


def length_of(cell: Cell) -> Length:
    """Return how long a cell trains."""
    return measure(cell.task.trainer, dataset(cell.task.data).batches_per_epoch)


def trainer(context: Any, task: Any) -> Callable[[Sequence[Cell]], None]:
    """Return what trains cells in a process of their own, as a sweep does; the server of the processes is up then."""
    list(processes.side_by_side(abs, [0], 1))

    def train(cells: Sequence[Cell]) -> None:
        work = partial(execute, context, task, share([cell.task for cell in cells]))
        output = cells[0].directory / "output.txt"
        for _, done in processes.side_by_side(work, [list(cells)], 1, [output]):
            settle([cell.directory for cell in cells], done)

    return train


def starting() -> float:
    """Return the seconds that a fresh process takes to import what training needs, as a job of a cluster does."""
    command = [sys.executable, "-c", f"import {', '.join(processes.HEAVY)}"]
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def span(found: Sequence[Kind], side_by_side: int) -> float:
    """Return the seconds from the first job's start to the last one's end, so many at a time, the longest first."""
    durations = sorted((kind.seconds for kind in found for _ in range(kind.jobs)), reverse=True)
    free = [0.0] * min(side_by_side, len(durations))
    for seconds in durations:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free, default=0.0)
