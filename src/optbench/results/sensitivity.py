"""What a number that was swept does: each optimizer's curve over it, its best value, and how wide the good range is."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from optbench.checks import nearest
from optbench.results.comparison import mean
from optbench.results.frame import labels, whole
from optbench.results.settings import WORKLOAD
from optbench.results.statistics import Measure, interval, measure

WITHIN = 0.05
"""A value is good if its measure is within this share of the best: of the error rate for accuracies, of a loss."""


def swept(frame: pd.DataFrame) -> list[str]:
    """Return the labels of a frame that are numbers and take three values or more for some optimizer."""
    numbers = []
    for name in labels(frame)[1:]:
        values = pd.to_numeric(frame[name], errors="coerce")
        if values.groupby(frame["optimizer"]).nunique().max() >= 3:
            numbers.append(name)
    return numbers


def chooser(frame: pd.DataFrame) -> Measure:
    """Return what may choose a value: a measure of the validation split, else the training loss, never the test."""
    ranked = measure(frame)
    return ranked if "_val_" in ranked.name else Measure("final_train_loss")


def sensitivity(frame: pd.DataFrame, by: str = "lr", what: str | None = None) -> pd.DataFrame:
    """Return each optimizer's curve over a swept number.

    Args:
        frame: Runs.
        by: The label that is the number.
        what: A column of the frame; what ranks it (`measure`), each workload by itself, if None.

    Returns:
        One row for each optimizer (with its other labels) and value: `mean` over all runs, of which those that are
        not done count with the worst value, `low` and `high` of its interval, `of_done`, the mean over those that are
        done alone, and how many `runs` there are, and are `done` and `diverged`.
    """
    return _of_each(frame, by, lambda own: _curves(own, by, what or measure(own).name))


def _of_each(frame: pd.DataFrame, by: str, table: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Return a table of each workload, one below another: not all of them need be ranked by the same measure."""
    frame = whole(frame)
    if by not in labels(frame):
        raise nearest("label", by, labels(frame), ", ".join(labels(frame)))
    if WORKLOAD not in frame:
        return table(frame)
    return pd.concat([table(own) for _, own in frame.groupby(WORKLOAD, sort=False)], ignore_index=True)


def by_measure(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the frame in parts that one measure ranks each, the largest first: of workloads not all need have one."""
    if WORKLOAD not in frame:
        return [frame]
    ranked = {name: measure(own).name for name, own in frame.groupby(WORKLOAD, sort=False)}
    parts = [part for _, part in frame.groupby(frame[WORKLOAD].map(ranked), sort=False)]
    return sorted(parts, key=len, reverse=True)


def _curves(frame: pd.DataFrame, by: str, name: str, sure: bool = True) -> pd.DataFrame:
    """Return what `sensitivity` does; without the intervals, which take long, if not `sure`."""
    keys = [key for key in labels(frame) if key != by]
    numbers = pd.to_numeric(frame[by], errors="coerce")
    rows: list[dict[str, Any]] = []
    known = frame.assign(**{by: numbers, "counted": Measure(name).of(frame)})[numbers.notna()]
    for setting, runs in known.groupby([*keys, by], sort=True, dropna=False):
        values = runs["counted"]
        done = runs.loc[runs["status"] == "done", name]
        low, high = interval(np.asarray(values, dtype=float)) if sure else (math.nan, math.nan)
        row = dict(zip([*keys, by], setting, strict=True)) | {"mean": mean(values), "low": low, "high": high}
        row |= {"of_done": done.mean(), "runs": len(runs), "done": len(done)}
        rows.append(row | {"diverged": int((runs["status"] == "diverged").sum())})
    return pd.DataFrame(rows, columns=[*keys, by, "mean", "low", "high", "of_done", "runs", "done", "diverged"])


def best_values(frame: pd.DataFrame, by: str = "lr", within: float = WITHIN) -> pd.DataFrame:
    """Return each optimizer's best value of a swept number, chosen on the validation split or by the training loss.

    Only values of which all runs are done can be chosen, where there are such.

    Args:
        frame: Runs.
        by: The label that is the number.
        within: See `WITHIN`.

    Returns:
        One row for each optimizer (with its other labels): the value, `edge` if it is the smallest or largest of
        those tried, `values` tried, the chooser's and the test's mean at it, and `low`, `high` and `decades` of the
        range around it in which the chooser is within a share of the best. The best optimizer first, in each workload.
    """
    return _of_each(frame, by, lambda own: _best_values(own, by, within))


def _best_values(frame: pd.DataFrame, by: str, within: float) -> pd.DataFrame:
    chosen = chooser(frame)
    ranked = measure(frame)
    keys = [key for key in labels(frame) if key != by]
    curves = _curves(frame, by, chosen.name, sure=False)
    test = ranked.name.replace("_val_", "_test_")
    tested = _curves(frame, by, test, sure=False)
    rows: list[dict[str, Any]] = []
    for setting, curve in curves.groupby(keys, sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(keys, setting, strict=True)) | {by: math.nan, "edge": False}
        row["values"] = len(curve)
        at = _best_place(curve, chosen)
        if at is not None:
            value = curve[by].iloc[at]
            mean = curve["mean"].iloc[at]
            ends = (0, len(curve) - 1)
            low, high = _range(curve, by, at, chosen, within)
            row |= {by: value, "edge": at in ends, chosen.name: mean, test: tested.loc[curve.index, "mean"].iloc[at]}
            row |= {"low": low, "high": high, "decades": math.log10(high / low) if low > 0 else math.nan}
        rows.append(row)
    columns = [*keys, by, "edge", "values", chosen.name, test, "low", "high", "decades"]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(columns)))
    return table.sort_values(chosen.name, ascending=not chosen.larger, kind="stable", ignore_index=True)


def at_best(frame: pd.DataFrame, by: str = "lr") -> pd.Index:
    """Return the rows of a frame that have their optimizer's best value of a swept number."""
    keys = [key for key in labels(frame) if key != by]
    best = best_values(frame, by)[[*keys, by]].dropna(subset=by)
    numbers = frame.assign(**{by: pd.to_numeric(frame[by], errors="coerce")}).reset_index()
    rows: pd.Index = pd.Index(numbers.merge(best, on=[*keys, by])["index"])
    return rows


def _best_place(curve: pd.DataFrame, chosen: Measure) -> int | None:
    """Return the place of the best value of a curve, of those with the fewest failures."""
    means = curve["of_done"].to_numpy(dtype=float)
    share = (curve["done"] / curve["runs"]).where(np.isfinite(means), 0.0)
    usable = np.isfinite(means) & (share == share.max()).to_numpy()
    if not usable.any():
        return None
    badness = np.where(usable, -means if chosen.larger else means, math.inf)
    return int(badness.argmin())


def _range(curve: pd.DataFrame, by: str, at: int, chosen: Measure, within: float) -> tuple[float, float]:
    """Return the ends of the unbroken range of values around the best that are good."""
    means = curve["mean"].to_numpy(dtype=float)
    badness = 1 - means if chosen.larger else means
    good = (badness <= (1 + within) * badness[at]) & (curve["done"] == curve["runs"]).to_numpy()
    first = last = at
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(good) - 1 and good[last + 1]:
        last += 1
    values = curve[by].to_numpy(dtype=float)
    return float(values[first]), float(values[last])
