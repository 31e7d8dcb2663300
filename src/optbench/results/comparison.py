"""The comparison over seeds: a row for each setting, best first, with its rank, its interval and what ties with it."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd

from optbench.records import STATUSES
from optbench.results.frame import MEASURES, labels, whole
from optbench.results.settings import WORKLOAD
from optbench.results.statistics import (
    ALPHA,
    FEWEST,
    Measure,
    by_setting,
    holm,
    interval,
    measure,
    p_value,
    paired,
    probability_of_improvement,
)

EVIDENCE = [
    "rank",
    "measure",
    "low",
    "high",
    "tied",
    "difference_low",
    "difference_high",
    "p",
    "improvement",
    "score",
    "of_done",
]
"""What `compare` says of the measure that ranks, see there."""

COSTS = ["epoch", "step", "grad_evals", "train_seconds"]
"""What a run takes, of which `compare` gives means."""


def compare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each setting of a frame of runs, the best first and those with unfinished runs last.

    Runs on fewer examples are a block of their own, below: their ends are no measure of the optimizer. See `blocks`.

    After the labels come `runs` and how many of them are done and have each other status; `measure`, what ranks; and of
    ranks (see `statistics.measure`): `rank`, from 1 in each block; `low` and `high`, the bootstrap 95 % interval of
    its mean; `tied`, whether it cannot be told from the best of its block after Holm's correction (itself included;
    false where fewer than three seeds can tell nothing); `difference_low` and `difference_high`, the same interval of
    the paired differences to the best; `p`, corrected; `improvement`, the probability that one of its runs is better
    than one of the best; `score`, its mean; `of_done`, its mean over the runs that are done alone. Then `reasons` of
    those that are not; `*_mean` and `*_std` (the sample standard deviation, none for a single run) of every measure
    over all runs, and of the counts and the time over those that are done; and the command that makes the row again.

    A run that is not done counts with the worst value that there is: no accuracy, an infinite loss.
    """
    frame = whole(frame)
    keys = labels(frame)
    measured = [f"{which}_{m}" for which in ("final", "best") for m in MEASURES if frame[f"final_{m}"].notna().any()]
    asked = [str(name) for name in frame.columns if str(name).startswith("sharpness_")]
    statuses = dict.fromkeys([*STATUSES, *frame["status"]])  # those that only a newer version knows included
    worst = frame.assign(**{name: _with_worst(frame, name) for name in measured})
    rows = []
    for setting, runs in worst.groupby(keys, sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(keys, setting, strict=True)) | {"runs": len(runs)}
        row |= {status: int((runs["status"] == status).sum()) for status in statuses}
        row |= dict.fromkeys(EVIDENCE, math.nan) | {"measure": "", "tied": False, "reasons": reasons(runs)}
        for name in measured:
            row |= {f"{name}_mean": mean(runs[name]), f"{name}_std": spread(runs[name])}
        done = runs[runs["status"] == "done"]
        for name in [*asked, *COSTS]:
            row |= {f"{name}_mean": done[name].mean(), f"{name}_std": done[name].std()}
        rows.append(row | {"command": command(runs)})
    table = pd.DataFrame(rows)
    table["share"] = table["done"] / table["runs"]
    of_rows = blocks(table)
    of_runs = blocks(frame)
    first_to_last = sorted(set(of_rows), reverse=True)
    judged = [_judged(table[of_rows == block], frame[of_runs == block]) for block in first_to_last]
    return pd.concat(judged, ignore_index=True).drop(columns="share")


def _with_worst(frame: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return a measure of each run, the worst of one that is not done; none where no run of its workload has it."""
    workload = frame[WORKLOAD] if WORKLOAD in labels(frame) else pd.Series("", frame.index)
    measured = frame[name].notna().groupby(workload).transform("any")
    return Measure(name).of(frame).where(measured, frame[name])


def _judged(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a block, the best first, with what `EVIDENCE` names."""
    ranked = measure(frame)
    by = f"{ranked.name}_mean"
    if by not in table:
        return table
    table = table.sort_values(["share", by], ascending=[False, not ranked.larger], kind="stable", ignore_index=True)
    _judge(table, table.index, frame, ranked)
    return table


def _judge(table: pd.DataFrame, block: pd.Index, frame: pd.DataFrame, ranked: Measure) -> None:
    """Fill in what `EVIDENCE` names of the rows of a block, the best first."""
    keys = labels(frame)
    done = by_setting(frame, ranked)
    counted_all = by_setting(frame, ranked, worst=True)
    settings = [tuple(row) for row in table.loc[block, keys].itertuples(index=False, name=None)]
    none = pd.Series(dtype=float)
    finished = {i: done.get(setting, none) for i, setting in zip(block, settings, strict=True)}
    values = {i: counted_all[setting] for i, setting in zip(block, settings, strict=True)}
    best = block[0]
    complete = table.loc[block, "share"] == table.loc[best, "share"]
    known = {i: len(finished[i]) > 0 and values[i].notna().all() for i in block}
    tests = {i: p_value(values[i], values[best]) for i in block[1:] if complete[i] and known[i]}
    corrected = holm(pd.Series(tests, dtype=float))
    sign = 1 if ranked.larger else -1
    for place, i in enumerate(block, 1):
        measured = values[i] if known[i] else none
        low, high = interval(np.asarray(measured, dtype=float))
        below, above = interval(paired(measured, values[best]))
        found = {
            "rank": place,
            "low": low,
            "high": high,
            "difference_low": below,
            "difference_high": above,
            "p": corrected.get(i, math.nan),
            "improvement": probability_of_improvement(sign * values[i], sign * values[best]),
            "score": mean(values[i]),
            "of_done": finished[i].mean(),
        }
        table.loc[i, list(found)] = list(found.values())
        table.loc[i, "measure"] = ranked.name
        table.loc[i, "tied"] = bool(corrected.get(i, 0.0) >= ALPHA)  # not where it is no number
    table.loc[best, "tied"] = len(finished[best]) >= FEWEST


def mean(values: "pd.Series[float]") -> float:
    """Return a mean, which is infinite where one of the values is, and no number where one is missing."""
    return math.inf if np.isinf(values).any() else float(values.mean(skipna=False))


def spread(values: "pd.Series[float]") -> float:
    """Return the sample standard deviation, which is not a number where a value is infinite."""
    return math.nan if np.isinf(values).any() else float(values.std())


def reasons(runs: pd.DataFrame) -> str:
    """Return why runs are not done, each reason once, with the seeds it concerns where it is not all of them."""
    parts = []
    for (status, reason), some in runs[runs["status"] != "done"].groupby(["status", "reason"], sort=False):
        which = "" if len(some) == len(runs) else f" (seed {', '.join(map(str, some['seed']))})"
        parts.append(f"{status}{which}: {reason}" if reason else f"{status}{which}")
    return "; ".join(parts)


def blocks(table: pd.DataFrame) -> "pd.Series[float]":
    """Return a number for each row, equal in those that are compared with each other, and larger in what comes first.

    These are the rows of one workload, and of them those with as many training examples, where that differs.
    """
    name = next((str(name) for name in table.columns if str(name).endswith("train_size")), None)
    sizes = pd.Series(math.inf, table.index) if name is None else pd.to_numeric(table[name], errors="coerce")
    sizes = sizes.fillna(math.inf)
    if WORKLOAD not in table:
        return sizes
    order = {workload: i for i, workload in enumerate(sorted(set(table[WORKLOAD]), key=in_order))}
    places = sizes.rank(method="dense")
    return places - (places.max() + 1) * table[WORKLOAD].map(order)


def in_order(name: str) -> list[tuple[int, str]]:
    """Sort `digits_n500` before `digits_n1000`."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name)]


def is_classification(frame: pd.DataFrame) -> bool:
    """Return whether any run of a frame measured an accuracy."""
    return bool(frame["final_test_accuracy"].notna().any())


def command(runs: pd.DataFrame) -> str:
    """Return the one command that makes all runs of a setting again."""
    commands = [text for text in runs["command"].dropna() if text]
    if not commands:
        return ""
    seeds = runs["seed"].drop_duplicates()
    if len(seeds) == 1:
        return str(commands[0])
    given = re.sub(r" \+*seed=\S+", "", commands[0]).replace("optbench train", "optbench train -m", 1)
    return f"{given} seed={','.join(map(str, seeds))}"
