"""The charts of a report page, as data: curves of every setting, each with the interval of its seeds.

A chart has `id`, `title`, `caption` and `command`; `views` (what is up) and `axes` (what is along), each with `key`,
`title` and whether it is `log`; and `curves`, each of a setting's `name` and a `view`, with `x` by axis, `y`, and `low`
and `high` where there is an interval. A chart whose curves are no settings has `lines` of its own. A view may have its
`range`, or show `zero` too; an axis may have names at its whole numbers, `ticks`; a curve may have `dots` (x and y) for
the seeds; and a chart may be `scaled` by what is beyond x = 0, since an untrained model would squash all others.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from optbench.plots import style
from optbench.plots.page import dashes
from optbench.plots.panels import WIDE
from optbench.report.tables import best_table, winner_table
from optbench.results import (
    Results,
    best_values,
    labels,
    performance_profile,
    profile_interval,
    profile_score,
    score_interval,
    sensitivity,
    swept,
)
from optbench.results.clocks import CLOCKS, WORDS
from optbench.results.race import Race
from optbench.results.sensitivity import by_measure
from optbench.results.settings import named, unusual, usual_values
from optbench.results.statistics import measure
from optbench.results.text import between, significant
from optbench.tuning import outcome

Chart = dict[str, Any]

POINTS = 200
"""Points of a curve at most; a run of a thousand epochs has no more on a screen."""

FEWEST = 3
"""Seeds from which on an interval is given."""

VIEWS = {
    "val_accuracy": "validation accuracy, %",
    "test_accuracy": "test accuracy, %",
    "train_accuracy": "training accuracy, %",
    "val_loss": "validation loss",
    "test_loss": "test loss",
    "train_loss": "training loss",
}
AXES = ("epoch", "step", "grad_evals", "train_seconds")
"""What curves are drawn along, the first one first."""


def names(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return what each run's setting is called, shape (runs,): the optimizer, and what is unusual, with its name."""
    keys = labels(frame)[1:]
    return named(unusual(frame, usual_values(frame, keys)), keys)


def ranked(frame: pd.DataFrame, comparison: pd.DataFrame) -> list[str]:
    """Return the names of the settings of a comparison, in its order; they are those that `names` gives the runs."""
    keys = labels(frame)
    return names(comparison[keys].assign(seed=0)).tolist()


def lines(
    frame: pd.DataFrame, order: Sequence[str], optimizers: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Return name, colour and dash of each line.

    Args:
        frame: The runs.
        order: The lines' names, the best first.
        optimizers: The optimizer of each line; those of the settings if None.
    """
    optimizer = dict(zip(names(frame), frame["optimizer"], strict=True)) if optimizers is None else optimizers
    looks = style.looks({name: optimizer[name] for name in order})
    return [{"name": name, "colour": look.colour, "dash": dashes(look.dash)} for name, look in looks.items()]


def curves(frame: pd.DataFrame, evaluations: pd.DataFrame) -> Chart:
    """Return losses and accuracies of every setting along epochs, steps, gradient evaluations and seconds.

    Args:
        frame: The runs.
        evaluations: Their evaluations, with `run`, a row's index in the frame.
    """
    finished = frame.index[frame["status"] == "done"]
    data = evaluations[evaluations["run"].isin(finished)]
    called = names(frame)
    views = [name for name in VIEWS if name in data and data[name].notna().any()]
    found = []
    for name, runs in data.groupby(data["run"].map(called), sort=False):
        found += [{"name": name, **curve} for curve in bands(runs, views)]
    banded = any("low" in curve for curve in found)
    spread = "band: its 95 % interval (Student's t)" if banded else f"no band with fewer than {FEWEST} seeds"
    return {
        "id": "curves",
        "title": "Curves",
        "caption": f"Line: mean over the seeds of a setting, up to where the first of them ends; {spread}. Unfinished "
        "runs are left out. The untrained model may be below the axis; a double click shows all.",
        "scaled": True,
        "views": [{"key": key, "title": VIEWS[key], "log": key == "train_loss"} for key in views],
        "axes": [{"key": key, "title": WORDS[key], "log": False} for key in AXES],
        "curves": found,
    }


def sensitivities(frame: pd.DataFrame) -> list[Chart]:
    """Return a chart of each number that was swept: what ranks the settings, by its values."""
    return [_sensitivity(part, by) for part in by_measure(frame) for by in swept(part)]


def _sensitivity(frame: pd.DataFrame, by: str) -> Chart:
    ranked = measure(frame)
    table = sensitivity(frame, by)
    called = names(table.drop(columns=by).assign(seed=0)[[*[k for k in labels(frame) if k != by], "seed"]])
    axis, place = number_axis(by, table[by])
    found = []
    for name, curve in table.groupby(called, sort=False):
        values = ranked.scale * curve[["mean", "low", "high"]]
        line = {
            "name": name,
            "view": "mean",
            "x": {by: place(curve[by]).tolist()},
            "y": values["mean"].tolist(),
            "points": True,
        }
        if values["low"].notna().any():
            line |= {"low": values["low"].tolist(), "high": values["high"].tolist()}
        lost = curve[curve["diverged"] > 0]
        if len(lost):
            ends = ranked.scale * table["mean"][np.isfinite(table["mean"])]
            floor = float(ends.min() if ranked.larger else ends.max())
            told = [f"{n} of {runs} diverged" for n, runs in zip(lost["diverged"], lost["runs"], strict=True)]
            line["marks"] = {"x": place(lost[by]).tolist(), "y": [floor] * len(lost), "text": told}
        found.append(line)
    return {
        "id": f"sensitivity-{by.replace('.', '-')}-{ranked.name}",
        "title": f"Sensitivity to {by}: {ranked.words}",
        "caption": "Line: mean over the seeds; band: its 95 % interval; cross: where runs diverged.",
        "views": [{"key": "mean", "title": ranked.title, "log": False}],
        "axes": [axis],
        "lines": lines(frame, list(dict.fromkeys(called)), dict(zip(called, table["optimizer"], strict=True))),
        "curves": found,
        "table": best_table(best_values(frame, by), by),
    }


def number_axis(by: str, values: "pd.Series[float]") -> tuple[dict[str, Any], Callable[["pd.Series[float]"], Any]]:
    """Return the axis of a number that was swept, and what gives the places of its values on it.

    Of values that are 0 beside some that are decades apart each has the next place: on no other axis all of them show.
    """
    known = sorted(set(values))
    above = [value for value in known if value > 0]
    if known[0] == 0 and above and above[-1] >= WIDE * above[0]:
        places = {value: i for i, value in enumerate(known)}
        return {"key": by, "title": by, "log": False, "ticks": [f"{x:g}" for x in known]}, lambda own: own.map(places)
    return {"key": by, "title": by, "log": known[0] > 0}, lambda own: own


TAUS = np.linspace(1.0, 4.0, 61)
"""Ratios to the fastest at which a profile is drawn."""


def profile(raced: Race) -> Chart:
    """Return the performance profile of every contender by each clock, with the table of their scores.

    Args:
        raced: Who reached the targets when.
    """
    found: list[dict[str, Any]] = []
    tables = {clock: raced.by_seed(clock) for clock in CLOCKS if len(raced.times)}
    for clock, times in tables.items():
        shares = performance_profile(times, TAUS)
        low, high = profile_interval(times, TAUS)
        for name in times.columns:
            curve = {"name": name, "view": clock, "x": {"tau": TAUS.tolist()}, "y": shares[name].tolist()}
            if low[name].notna().all():
                curve |= {"low": low[name].tolist(), "high": high[name].tolist()}
            found.append(curve | {"shape": "hv"})
    count = len(raced.targets)
    places = f"{count} workload{'s' if count > 1 else ''}"
    one = " With one workload a line is a single step, at its ratio of times." if count == 1 else ""
    return {
        "id": "profile",
        "title": "Performance profile",
        "caption": f"Share of {places} on which the median over the seeds reaches the target "
        f" within tau times the fastest's time; missed and failed is never.{one} Band: bootstrap 95 % interval "
        f"over the seeds, from three on. Score: the area below a line, from 0 to 1. {notes(raced)}",
        "views": [
            {"key": clock, "title": f"share of workloads, by {WORDS[clock]}", "log": False, "range": [-0.03, 1.05]}
            for clock in CLOCKS
        ],
        "axes": [{"key": "tau", "title": "tau: time by that of the fastest", "log": False}],
        "lines": contenders(raced),
        "curves": found,
        "table": scores(tables),
    }


def scores(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the scores of contenders by each clock with their intervals, as text, the best by steps first.

    Args:
        tables: Times by clock, as of `Race.by_seed`.
    """
    columns: dict[str, Any] = {}
    order: list[str] = []
    for clock, times in tables.items():
        score = profile_score(times)
        ends = score_interval(times)
        order = order or score.sort_values(ascending=False, kind="stable").index.tolist()
        columns[f"score by {WORDS[clock]}"] = score.map("{:.3f}".format)
        columns[f"interval by {WORDS[clock]}"] = [between(*pair) for pair in ends.to_numpy()]
    table = pd.DataFrame(columns)
    return table.loc[order].rename_axis("contender").reset_index() if order else table


def times(raced: Race) -> Chart:
    """Return how long every contender took to the target of each workload, by each clock, with a table.

    Args:
        raced: Who reached the targets when.
    """
    shown = raced.medians().sort_values("step", kind="stable")
    table = pd.DataFrame({"contender": shown["contender"]})
    if len(raced.targets) > 1:
        table["workload"] = shown["workload"]
    table["reached"] = [f"{a} of {b} seeds" for a, b in zip(shown["reached"], shown["runs"], strict=True)]
    for clock in CLOCKS:
        table[WORDS[clock]] = [significant(time, math.nan) for time in shown[clock]]
    found: list[dict[str, Any]] = []
    along = "workload" if len(raced.targets) > 1 else "contender"
    ticks = list(raced.targets) if len(raced.targets) > 1 else shown["contender"].tolist()
    places = {name: place for place, name in enumerate(ticks)}
    for name, own in shown.groupby("contender", sort=False):
        seeds = raced.times[raced.times["contender"] == name]
        for clock in CLOCKS:
            reached = own[clock].where(own[clock] < math.inf)
            x = {along: own[along].map(places).tolist()}
            there = seeds[seeds[clock] < math.inf]
            dots = {"x": there[along].map(places).tolist(), "y": there[clock].tolist()}
            found.append({"name": name, "view": clock, "x": x, "y": reached.tolist(), "points": True, "dots": dots})
    return {
        "id": "times",
        "title": "Time to target",
        "caption": f"{raced.words} Median over the seeds until it was first reached, between two evaluations by a "
        f"straight line; no point, or ∞, where half of them missed it. Pale: the seeds. {notes(raced)}",
        "views": [{"key": clock, "title": WORDS[clock], "log": False, "zero": True} for clock in CLOCKS],
        "axes": [{"key": along, "title": along, "log": False, "ticks": ticks}],
        "lines": contenders(raced),
        "curves": found,
        "table": table,
    }


def contenders(raced: Race) -> list[dict[str, str]]:
    """Return the lines of a race, those first that reached most, and of these the fastest."""
    middle = raced.medians()
    reached, steps = (middle.groupby("contender", sort=False)[name].sum() for name in ("reached", "step"))
    order = pd.DataFrame({"reached": -reached, "step": steps}).sort_values(["reached", "step"], kind="stable").index
    optimizers = dict(zip(raced.times["contender"], raced.times["optimizer"], strict=True))
    return lines(raced.times, order.tolist(), optimizers)


def notes(raced: Race) -> str:
    """Return what does not take part in a race, in sentences."""
    return " ".join(f"{note[0].upper()}{note[1:]}." for note in raced.notes)


def budget(trials: Results) -> Chart:
    """Return the best validation error of every contender against its number of trials, by resampling."""
    curves = outcome.in_units(outcome.budget_curves(trials))
    found: list[dict[str, Any]] = []
    for name, own in curves.groupby("contender", sort=False):
        ends = {key: own[part].tolist() for key, part in (("y", "mean"), ("low", "low"), ("high", "high"))}
        found.append({"name": name, "view": own["unit"].iloc[0], "x": {"trials": own["trials"].tolist()}} | ends)
    best = outcome.winners(trials)
    return {
        "id": "budget",
        "title": "Best against budget",
        "caption": "Best validation error after so many trials: mean over draws of the trials that exist, without "
        "replacement; band: 95 % of the draws. The right end is the best of all trials.",
        "views": [
            {"key": unit, "title": f"best validation {unit}", "log": False} for unit in sorted(set(curves["unit"]))
        ],
        "axes": [{"key": "trials", "title": "trials", "log": False}],
        "lines": lines(
            trials.frame, best["contender"].tolist(), dict(zip(best["contender"], best["optimizer"], strict=True))
        ),
        "curves": found,
        "table": winner_table(trials),
    }


def bands(runs: pd.DataFrame, views: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the mean of each view over a setting's runs at each step, and its 95 % interval from three seeds on.

    Where a run has no value there is no mean: the others' would be another thing.

    Args:
        runs: Evaluations of one setting.
        views: Columns.
    """
    steps = runs.groupby("step")
    axes = [axis for axis in AXES if axis != "step"]
    means = steps[[*axes, *views]].mean()
    errors = steps[list(views)].sem()
    seeds = steps[list(views)].count()
    places = thinned(len(means))
    along = means[axes].assign(step=means.index).iloc[places].astype(float)
    x = {axis: along[axis].tolist() for axis in AXES}
    for view in views:
        percent = view.endswith("accuracy")
        scale = 100.0 if percent else 1.0
        mean = scale * means[view].iloc[places]
        count = seeds[view].iloc[places]
        mean = mean.where(count == runs["run"].nunique())
        curve = {"view": view, "x": x, "y": mean.tolist()}
        if count.min() >= FEWEST:
            reach = stats.t.ppf(0.975, count - 1) * scale * errors[view].iloc[places]
            low = mean - reach
            high = mean + reach
            curve["low"] = (low.clip(lower=0.0) if percent else low).tolist()
            curve["high"] = (high.clip(upper=100.0) if percent else high).tolist()
        yield curve


def thinned(count: int) -> list[int]:
    """Return the places of at most `POINTS` of so many points, the first and the last included, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int)).tolist() if count else []
