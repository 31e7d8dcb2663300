"""Run records as one tidy frame, a row a run."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from optbench import records
from optbench.records import Run

MEASURES = [f"{split}_{what}" for split in ("train", "val", "test") for what in ("loss", "accuracy")]
COUNTS = ["epoch", "step", "grad_evals", "loss_evals", "hvp_evals", "train_seconds"]
SIZES = ["data.train_size", "data.batch_size", "trainer.max_epochs"]
"""How much a run is given; a study may set it by the optimizer, where nobody types it."""


def load(root: Path) -> pd.DataFrame:
    """Return the runs at and below a directory, one row each.

    The columns are, in this order: what tells the runs apart but for their seeds (the optimizer, and each override and
    each of `SIZES` that differs between them, by its shortest name: see `labels`); `seed`, `status`, `reason`; each of
    `MEASURES` as `final_*`, at the last evaluation, and as `best_*`, the best at any; each of `COUNTS` at the end;
    `stacked`, how many runs trained as one stack with it; `directory` and `command`. A run that its sweep lacks has a
    row too, `missing` and without a directory.

    Raises:
        UserError: There is no run, or one cannot be read.
    """
    runs = records.find(root)
    typed = [dict(_split(override) for override in run.status["overrides"]) for run in runs]
    keys = {k: None for overrides in typed for k in overrides if k not in ("optimizer", "seed")}
    varying = [k for k in keys if len({overrides.get(k) for overrides in typed}) > 1]
    for key in SIZES:
        if key not in varying and len({_value(run, {}, key) for run in runs}) > 1:
            varying.append(key)
    names = _short(varying)
    rows = []
    for run, overrides in zip(runs, typed, strict=True):
        values = {name: _value(run, overrides, key) for key, name in names.items()}
        rows.append({"optimizer": _optimizer(run, overrides), **values, **_outcome(run)})
    return _complete(pd.DataFrame(rows))


def labels(frame: pd.DataFrame) -> list[str]:
    """Return the columns that tell a frame's runs apart but for their seeds: all before `seed`."""
    columns = [str(name) for name in frame.columns]
    return columns[: columns.index("seed")]


def written(value: Any) -> str:
    """Return a label's value for readers, such as `0.001`, `1e+09` or `full`."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def evaluations(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluations of all runs, the columns of `records.METRICS` and `run`, a row's index in the frame."""
    return _long(frame, "metrics")


def steps(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the steps of all runs: step, epoch, lr, loss, and `run`, a row's index in the frame."""
    return _long(frame, "steps")


def _long(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    parts: list[pd.DataFrame] = [
        getattr(records.read(Path(at)), part).assign(run=i) for i, at in enumerate(frame["directory"]) if at
    ]
    return pd.concat(parts, ignore_index=True)


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.lstrip("+~").partition("=")
    return key, value


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted key, or all of it where two would be the same."""
    last = {key: key.rpartition(".")[2] for key in keys}
    taken = [*last.values(), "optimizer", "seed"]
    return {key: name if taken.count(name) == 1 else key for key, name in last.items()}


def _value(run: Run, typed: Mapping[str, str], key: str) -> Any:
    """Return what a run had for an override: from the config as a number where it is one, else as it was typed."""
    node: Any = run.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node if isinstance(node, bool | int | float | str) else typed.get(key, "default")


def _optimizer(run: Run, typed: Mapping[str, str]) -> str:
    """Return the name of the class, or of its config where that has a name of its own."""
    name = str(run.config["optimizer"]["_target_"]).rpartition(".")[2]
    config = typed.get("optimizer", name)
    return name if config.replace("_", "").lower() == name.lower() else config


def _outcome(run: Run) -> dict[str, Any]:
    metrics = run.metrics
    final = metrics.iloc[-1] if len(metrics) else pd.Series(float("nan"), metrics.columns)
    best = {m: metrics[m].max() if m.endswith("accuracy") else metrics[m].min() for m in MEASURES}
    return {
        **{key: run.status[key] for key in ("seed", "status", "reason")},
        **{f"final_{m}": final[m] for m in MEASURES},
        **{f"best_{m}": best[m] for m in MEASURES},
        **{name: final[name] for name in COUNTS},
        "stacked": run.status.get("stacked", 1),
        "directory": str(run.directory),
        "command": run.status["command"],
    }


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the runs that a sweep, which is a grid, lacks: a cell that was never begun leaves no directory."""
    keys = labels(frame)
    added = []
    for sweep, runs in frame.groupby(frame["directory"].map(lambda path: Path(path).parent), sort=False):
        if not (sweep / "multirun.yaml").exists():
            continue
        cells, seeds = runs[keys].drop_duplicates(), runs["seed"].unique()
        there = set(runs[[*keys, "seed"]].itertuples(index=False, name=None))
        for cell, seed in product(cells.itertuples(index=False, name=None), seeds):
            if (*cell, seed) not in there:
                named = dict(zip(keys, cell, strict=True))
                added.append({**named, "seed": seed, "status": "missing", "reason": "never begun", "directory": ""})
    return pd.concat([frame, pd.DataFrame(added, columns=frame.columns)], ignore_index=True) if added else frame
