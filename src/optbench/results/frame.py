"""Run records as one tidy frame, a row a run, and as one value that has read each record once."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from optbench import records
from optbench.checks import UserError, one_line
from optbench.configs import at
from optbench.records import METRICS, Run
from optbench.records.tables import STEPS
from optbench.records.words import short
from optbench.results.settings import settings
from optbench.sweep import ledger

MEASURES = [f"{split}_{what}" for split in ("train", "val", "test") for what in ("loss", "accuracy")]
COUNTS = ["epoch", "step", "grad_evals", "loss_evals", "hvp_evals", "train_seconds"]
FEW = 3
"""So many examples of what is wrong are named; the others are counted."""

PROVENANCE = {
    "versions of optbench": "versions.optbench",
    "commits of optbench": "commit",
    "versions of torch": "versions.torch",
    "kinds of processor": "machine.cpu",
}
"""What a reader has to know of runs that differ in it, and where a status says it."""


@dataclass(frozen=True, eq=False)
class Results:
    """Runs, each of whose records was read once.

    Attributes:
        runs: By row of the frame; a row without a run is of a cell that was never begun.
        frame: One row a run, as `load` says.
        evaluations: The evaluations of all runs, the columns of `records.METRICS` and `run`, a row of the frame.
        notes: What a reader has to know: runs that were left out, counted once, or are of different kinds.
        lacking: Cells of a sweep without a record that could be read, by its ledger.
    """

    runs: Mapping[int, Run]
    frame: pd.DataFrame
    evaluations: pd.DataFrame
    notes: tuple[str, ...]
    lacking: tuple[Run, ...] = ()

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The steps of all runs: step, epoch, lr, loss, and `run`, a row of the frame; read when first asked for."""
        return _joined(((i, _table(run, "steps", list(STEPS))) for i, run in self.runs.items()), list(STEPS))

    def of(self, keep: Callable[[Run], bool]) -> "Results | None":
        """Return the results of some runs, told apart among themselves; None if there are none."""
        chosen = [run for run in self.runs.values() if keep(run)]
        if not chosen:
            return None
        lacking = [run for run in self.lacking if keep(run)]
        if len(chosen) == len(self.runs) and len(lacking) == len(self.lacking):
            return self
        return assemble(chosen, lacking=lacking)

    def only(self, rows: Iterable[int]) -> "Results":
        """Return the results of some rows of the frame, which keep their numbers."""
        chosen = list(rows)
        mine = self.evaluations[self.evaluations["run"].isin(chosen)]
        runs = {i: self.runs[i] for i in chosen if i in self.runs}
        return Results(runs, self.frame.loc[chosen], mine, self.notes, self.lacking)


def read(*roots: Path) -> Results:
    """Read the runs at and below directories, each record once; what cannot be read is named and left out.

    Raises:
        UserError: There is no run that can be read.
    """
    runs, unread = _find(roots)
    if not runs:
        where = ", ".join(map(str, roots))
        why = f": {'; '.join(unread[:FEW])}" if unread else "; give a directory that `optbench train` wrote"
        raise UserError(f"no runs in {where}{why}")
    lacking = list(_lacking(roots, runs, unread))
    return assemble(runs, [f"left out, as they cannot be read: {_some(unread)}"] if unread else [], lacking)


def assemble(runs: Sequence[Run], notes: Sequence[str] = (), lacking: Sequence[Run] = ()) -> Results:
    """Return runs as results.

    Args:
        runs: One or more.
        notes: What is known of them already.
        lacking: Cells of a sweep that left no record; they have a row each.
    """
    rows = _joined(((i, run.metrics) for i, run in enumerate(runs)), list(METRICS))
    cells = [*runs, *lacking]
    ends = pd.DataFrame([run.status for run in cells], columns=["seed", "status", "reason"])
    frame = pd.concat([pd.DataFrame(settings(cells)), ends, _outcomes(rows, len(cells))], axis=1)
    frame["stacked"] = [run.status.get("stacked", 1) for run in cells]
    frame["directory"] = [str(run.directory) for run in runs] + [""] * len(lacking)
    frame["command"] = [str(run.status.get("command", "")) for run in cells]
    keys = labels(frame)
    frame = _complete(frame, keys)
    started = pd.Series([str(run.status.get("started", "")) for run in cells]).reindex(frame.index, fill_value="")
    kept, repeated = _once(frame, keys, started)
    number = {old: new for new, old in enumerate(kept)}
    frame = frame.loc[kept].reset_index(drop=True)
    rows = rows[rows["run"].isin(number)].reset_index(drop=True)
    rows["run"] = rows["run"].map(number)
    chosen = {number[i]: run for i, run in enumerate(runs) if i in number}
    return Results(chosen, frame, rows, (*notes, *_notes(repeated, list(chosen.values()))), tuple(lacking))


def load(*roots: Path) -> pd.DataFrame:
    """Return the runs at and below directories, one row each.

    The columns are, in this order: what tells the runs apart but for their seeds (see `settings`); `seed`, `status`,
    `reason`; each of `MEASURES` as `final_*`, at the last evaluation, and as `best_*`, the best at any; each of
    `COUNTS` at the end; `stacked`, how many runs trained as one stack with it; `directory` and `command`. A run that
    its sweep lacks has a row too, `missing` and without a directory. One setting and seed has one row, however often
    it was run.

    Raises:
        UserError: There is no run that can be read.
    """
    return read(*(Path(root) for root in roots)).frame


def labels(frame: pd.DataFrame) -> list[str]:
    """Return the columns that tell a frame's runs apart but for their seeds: all before `seed`."""
    columns = [str(name) for name in frame.columns]
    return columns[: columns.index("seed")]


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of runs with all columns that `load` gives it: one that was made by hand may lack most of them.

    Args:
        frame: With labels, `seed`, `status` and a measure at least.

    Raises:
        UserError: It lacks one of these, or has a setting's seed twice, of which nobody knows which counts.
    """
    needed = ["optimizer", "seed", "status"]
    if lacking := [name for name in needed if name not in frame]:
        raise UserError(f"a frame of runs lacks {', '.join(lacking)}; give what load returns, or columns of that name")
    columns: dict[str, Any] = {"reason": "", "stacked": 1, "directory": "", "command": ""}
    columns |= dict.fromkeys([*(f"{which}_{m}" for which in ("final", "best") for m in MEASURES), *COUNTS], math.nan)
    frame = frame.assign(**{name: value for name, value in columns.items() if name not in frame})
    repeated = frame.index[frame.duplicated([*labels(frame), "seed"])]
    if len(repeated):
        twice = ", ".join(f"{key}={frame[key][repeated[0]]}" for key in [*labels(frame), "seed"])
        raise UserError(f"a frame of runs has {twice} twice; drop all but one, as load does")
    return frame


def evaluations(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluations of all runs, the columns of `records.METRICS` and `run`, a row's index in the frame."""
    return _joined(((i, _table(run, "metrics", list(METRICS))) for i, run in _runs(frame)), list(METRICS))


def steps(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the steps of all runs: step, epoch, lr, loss, and `run`, a row's index in the frame."""
    return _joined(((i, _table(run, "steps", list(STEPS))) for i, run in _runs(frame)), list(STEPS))


def _runs(frame: pd.DataFrame) -> Iterator[tuple[int, Run]]:
    for i, directory in frame["directory"].items():
        if directory:
            yield int(str(i)), records.read(Path(directory))


def _find(roots: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """Return all runs below directories, in the order of their names, their metrics read, and what ails others."""
    seen: set[str] = set()
    places = sorted((place for root in roots for place in _places(root, seen)), key=records.natural)
    found = []
    unread = []
    for place in places:
        try:
            run = records.read(place)
            _table(run, "metrics", list(METRICS))
            found.append(run)
        except UserError as error:
            unread.append(str(error))
    return found, unread


def _places(root: Path, seen: set[str]) -> Iterator[Path]:
    """Yield the directories that hold a run, each once, by whatever symbolic links it is reached.

    Args:
        root: Where to look.
        seen: Real paths of folders where somebody has looked, which grow.
    """
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if "status.json" in files or {"config.yaml", "metrics.csv"} <= set(files):
            yield Path(folder)


def _table(run: Run, part: str, columns: list[str]) -> pd.DataFrame:
    """Return one of a run's tables as numbers; a column that it lacks is empty.

    Raises:
        UserError: It cannot be read.
    """
    try:
        table: pd.DataFrame = getattr(run, part)
        numbers = pd.DataFrame(table.reindex(columns=columns).to_numpy(float), columns=columns)
        run.__dict__[part] = numbers  # in one block, a tenth of the memory of a column each
    except UserError:
        raise
    except (OSError, ValueError, TypeError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{run.directory}/{part}.csv cannot be read: {one_line(error)}") from None
    return numbers


def _joined(tables: Iterable[tuple[int, pd.DataFrame]], columns: list[str]) -> pd.DataFrame:
    """Return the tables of runs as one, with the number of its run in each row."""
    full = [(i, table) for i, table in tables if len(table)]
    if not full:
        return pd.DataFrame(columns=columns, dtype=float).assign(run=pd.Series(dtype=int))
    joined = pd.concat([table for _, table in full], ignore_index=True)
    joined["run"] = [i for i, table in full for _ in range(len(table))]
    return joined


def _outcomes(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return what each run came to: the last and the best of its evaluations, and its counts."""
    groups = rows.groupby("run")
    last = rows.drop_duplicates("run", keep="last").set_index("run")
    best = {m: groups[m].max() if m.endswith("accuracy") else groups[m].min() for m in MEASURES}
    columns = {f"final_{m}": last[m] for m in MEASURES}
    columns |= {f"best_{m}": best[m] for m in MEASURES}
    columns |= {name: last[name] for name in COUNTS}
    return pd.DataFrame(columns).reindex(range(count)).astype(float)


def _lacking(roots: Sequence[Path], runs: Sequence[Run], unread: list[str]) -> Iterator[Run]:
    """Yield the cells that the ledgers of sweeps at and below directories name and that left no readable record."""
    read = {run.directory for run in runs}
    above = {parent for directory in read for parent in directory.parents}
    inside = {place for place in above for root in roots if place == root or root in place.parents}
    for place in sorted(inside):
        try:
            yield from ledger.lacking(place, read)
        except UserError as error:
            unread.append(str(error))


def _complete(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Add the runs that a sweep without a ledger, which is a grid, lacks: a cell never begun leaves no directory."""
    added = []
    for sweep, runs in frame.groupby(frame["directory"].map(os.path.dirname), sort=False):
        if not Path(str(sweep), "multirun.yaml").exists() or ledger.told(Path(str(sweep))):
            continue
        cells = runs[keys].drop_duplicates()
        seeds = runs["seed"].unique()
        there = set(runs[[*keys, "seed"]].itertuples(index=False, name=None))
        for cell, seed in product(cells.itertuples(index=False, name=None), seeds):
            if (*cell, seed) not in there:
                named = dict(zip(keys, cell, strict=True))
                added.append({**named, "seed": seed, "status": "missing", "reason": "never begun, or not readable"})
    if not added:
        return frame
    lacking = pd.DataFrame(added).assign(stacked=1, directory="", command="")
    return pd.concat([frame, lacking], ignore_index=True)


def _once(frame: pd.DataFrame, keys: list[str], started: "pd.Series[str]") -> tuple[list[int], list[str]]:
    """Return the rows to keep, one for each setting and seed, and the directories of those that repeat them.

    Of runs that repeat each other the one that is done counts, and of several such the one that was begun last.
    """
    order = frame.assign(_finished=frame["status"] == "done", _there=frame["directory"] != "", _started=started)
    order = order.sort_values(["_finished", "_there", "_started"], ascending=False, kind="stable")
    repeats = order.index[order.duplicated([*keys, "seed"])]
    repeated = [frame["directory"][i] for i in sorted(repeats) if frame["directory"][i]]
    return sorted(set(frame.index) - set(repeats)), repeated


def _notes(repeated: list[str], runs: list[Run]) -> Iterator[str]:
    if repeated:
        yield f"counted once, as they repeat a setting and its seed: {_some(repeated)}"
    names = dict.fromkeys(str(run.config.get("name", "")) for run in runs)
    if len(names) > 1:
        yield f"runs of several studies: {_some(list(names))}"
    for what, said in PROVENANCE.items():
        told = dict.fromkeys(short(str(at(run.status, said) or "unknown")) for run in runs)
        if len(told) > 1:
            yield f"runs of several {what}: {_some(list(told))}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
