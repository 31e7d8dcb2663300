"""The ledger of a sweep: every cell of its grid, where it is recorded, and what has become of it."""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optbench import records
from optbench.checks import UserError, one_line
from optbench.records.files import bytes_of
from optbench.records.reading import check_config
from optbench.records.status import parsed

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell

FILE = "cells.json"
"""In the directory of a sweep: all cells that were ever asked of it."""


@dataclass(frozen=True)
class LedgerEntry:
    """A cell as the ledger knows it.

    Attributes:
        key: What the run is known by, see `records.identity`.
        num: Its place in the sweep.
        directory: Its name in the sweep's directory.
        overrides: What makes it differ from the others.
        config: What it would be trained with, as its config.yaml will have it; ledgers of older versions have none.
    """

    key: str
    num: int
    directory: str
    overrides: list[str]
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CellState:
    """What has become of a cell.

    Attributes:
        entry: The cell.
        status: One of `records.STATUSES`.
        reason: Why it failed, or since when it has been running, in one line.
        epoch: Epochs trained so far.
        epochs: Epochs asked for, where that is known.
    """

    entry: LedgerEntry
    status: str
    reason: str = ""
    epoch: float | None = None
    epochs: int | None = None


def entries(root: Path) -> list[LedgerEntry]:
    """Return the cells of a sweep's directory, in the order of their places; none where it has no ledger.

    Raises:
        UserError: The ledger is damaged.
    """
    path = root / FILE
    if not path.exists():
        return []
    try:
        found = [LedgerEntry(**entry) for entry in parsed(bytes_of(path))]
    except (OSError, ValueError, TypeError, RecursionError, UserError) as error:
        raise UserError(f"{path} is damaged: {one_line(error)[:200]}") from None
    for entry in found:
        kinds = (
            (entry.key, str),
            (entry.num, int),
            (entry.directory, str),
            (entry.overrides, list),
            (entry.config, dict),
        )
        inside = isinstance(entry.directory, str) and ".." not in Path(entry.directory).parts
        if not all(type(value) is kind for value, kind in kinds) or not inside or Path(entry.directory).is_absolute():
            raise UserError(f"{path} is damaged: {str(entry)[:200]}")
    return sorted(found, key=lambda entry: entry.num)


def state(root: Path, entry: LedgerEntry) -> CellState:
    """Return what has become of a cell, by its record."""
    directory = root / entry.directory
    status = records.status_of(directory)
    if status is None:
        word = "running" if records.locked(directory) else "waiting"
        return CellState(entry, word)
    try:
        run = records.read(directory)
        epochs = run.config.get("trainer", {}).get("max_epochs")
        done = run.metrics["epoch"]
    except UserError as error:
        return CellState(entry, "failed", str(error))
    epoch = float(done.iloc[-1]) if len(done) else None
    return CellState(entry, run.status["status"], run.status["reason"], epoch, epochs if type(epochs) is int else None)


def states(root: Path) -> list[CellState]:
    """Return what has become of each cell of a sweep.

    Raises:
        UserError: The directory holds no sweep with a ledger, or the ledger is damaged.
    """
    known = entries(root)
    if not known:
        raise UserError(f"{root} holds no sweep; give a directory that `optbench train -m` wrote")
    return [state(root, entry) for entry in known]


def counted(found: Sequence[CellState]) -> str:
    """Return how many cells are in each state, in words."""
    count = Counter(state.status for state in found)
    return ", ".join(f"{count[status]} {status}" for status in records.STATUSES if count[status])


def as_json(found: Sequence[CellState]) -> str:
    """Return the states as JSON, an object a cell."""
    rows = [asdict(state) for state in found]
    for row in rows:
        row |= row.pop("entry")
        del row["config"]
    return json.dumps(rows, indent=2)


def lacking(root: Path, read: Collection[Path]) -> list[records.Run]:
    """Return the cells of a sweep without a record that could be read, as runs that are missing.

    Args:
        root: The sweep's directory.
        read: The directories whose records were read.

    Raises:
        UserError: The ledger is damaged.
    """
    found = []
    for entry in entries(root):
        directory = root / entry.directory
        if directory in read or not entry.config:
            continue
        check_config(entry.config)
        reason = "its record cannot be read" if (directory / "status.json").exists() else "never begun"
        status = {"status": "missing", "reason": reason, "seed": entry.config["seed"]}
        found.append(records.Run(directory, entry.config, status))
    return found


def told(root: Path) -> bool:
    """Return whether a sweep's ledger says what its cells would be trained with."""
    try:
        return any(entry.config for entry in entries(root))
    except UserError:
        return False


@contextmanager
def opened(root: Path) -> Iterator[None]:
    """Hold the ledger of a sweep, which another sweep may want to write too."""
    root.mkdir(parents=True, exist_ok=True)
    file = os.open(root / f".{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def adopt(root: Path, cells: Sequence["Cell"], again: Callable[["Cell", int], "Cell"]) -> list["Cell"]:
    """Return the cells where they are recorded: one that the sweep has already keeps its directory.

    Args:
        root: The sweep's directory; nothing is written.
        cells: The cells as they were composed.
        again: What composes a cell for another place in the sweep.

    Raises:
        UserError: A cell would be recorded where another run is.
    """
    known = {entry.key: root / entry.directory for entry in entries(root)}
    there = {path.parent: records.key_of(path.parent) for path in sorted(root.glob("*/status.json"))}
    known |= {key: path for path, key in there.items() if key is not None}
    taken = {path: key for key, path in known.items()} | there
    free = max([cell.num for cell in cells] + [entry.num for entry in entries(root)], default=-1) + 1
    found = []
    for cell in cells:
        if cell.key in known:
            cell = cell if known[cell.key] == cell.directory else cell.at(known[cell.key])
        elif cell.directory in taken:
            cell = again(cell, free)
            free += 1
            if cell.directory in taken:
                raise UserError(
                    f"{cell.directory} already holds a run, another one than '{cell.name}'; let hydra.sweep.subdir "
                    "depend on ${hydra:job.num}, or give another hydra.sweep.dir"
                )
        taken[cell.directory] = cell.key
        found.append(cell)
    return found


def refuse_moved(root: Path, cells: Sequence["Cell"], rerun: records.Rerun | None) -> None:
    """Raise where a target would be stated anew with runs that have ended.

    Raises:
        UserError: It would.
    """
    stated = {entry.key: (entry.config.get("workload") or {}).get("target") for entry in entries(root)}
    for cell in cells:
        before = stated.get(cell.key)
        target = cell.task["workload"]["target"]
        if cell.key in stated and target != before and not wanted(cell.directory, rerun):
            raise UserError(
                f"{cell.directory}: this run was trained with workload.target={before}, and has ended; give "
                f"target={target} to optbench report, which then says that it was chosen later"
            )


def enter(root: Path, cells: Sequence["Cell"]) -> None:
    """Write the cells into the sweep's ledger, beside those that are there."""
    with opened(root):
        known = {entry.key: entry for entry in entries(root)}
        for cell in cells:
            name = str(cell.directory.relative_to(root))
            known[cell.key] = LedgerEntry(cell.key, cell.num, name, cell.overrides, cell.recorded)
        rows = [asdict(entry) for entry in sorted(known.values(), key=lambda entry: entry.num)]
        records.write(root / FILE, json.dumps(rows, indent=1) + "\n")


def to_do(cells: Sequence["Cell"], rerun: records.Rerun | None) -> list["Cell"]:
    """Return the cells that are to be trained: what is missing, failed or was cut off, or all where asked.

    What is to start anew is removed here, unless another process is training it.
    """
    found = [cell for cell in cells if wanted(cell.directory, rerun)]
    for cell in found:
        if records.anew(cell.directory, rerun):
            records.restart(cell.directory)
    return found


def wanted(directory: Path, rerun: records.Rerun | None) -> bool:
    """Return whether the run of a directory is to be trained: it lacks a result, or is to start anew."""
    known = records.status_of(directory) or {}
    return known.get("status") not in ("done", "diverged") or records.anew(directory, rerun)
