"""The charts of a report page, as data: curves of every setting, each with the interval of its seeds.

A chart has `id`, `title`, `caption` and `command`; `views` (what is up) and `axes` (what is along), each with `key`,
`title` and whether it is `log`; and `curves`, each of a setting's `name` and a `view`, with `x` by axis, `y`, and `low`
and `high` where there is an interval. A chart whose curves are no settings has `lines` of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from optbench.plots import style
from optbench.results import labels, sensitivity, swept, time_to_target
from optbench.results.profile import CLOCKS
from optbench.results.settings import ABSENT, written
from optbench.results.statistics import measure

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
AXES = {
    "epoch": "epoch",
    "step": "step",
    "grad_evals": "gradient evaluations",
    "train_seconds": "seconds of training",
}


def names(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return what each run's setting is called, shape (runs,): the optimizer, and what else differs, with its name."""
    keys = labels(frame)
    others = [key for key in keys if key != "optimizer"]
    named = frame["optimizer"].astype(str)
    for key in others:
        named = named + (", " + str(key) + "=" + frame[key].map(written)).where(frame[key] != ABSENT, "")
    return named


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
    optimizer = optimizers or dict(zip(names(frame), frame["optimizer"], strict=True))
    seen: dict[str, int] = {}
    found = []
    for name in order:
        variant = seen.get(optimizer[name], 0)
        seen[optimizer[name]] = variant + 1
        look = style.look(optimizer[name], variant)
        found.append({"name": name, "colour": look.colour, "dash": dash(look.dash)})
    return found


def dash(pattern: Any) -> str:
    """Return a dash pattern of matplotlib as plotly has it."""
    return "solid" if isinstance(pattern, str) else ",".join(f"{2 * x:g}px" for x in pattern[1])


def curves(frame: pd.DataFrame, evaluations: pd.DataFrame) -> Chart:
    """Return losses and accuracies of every setting along epochs, steps, gradient evaluations and seconds.

    Args:
        frame: The runs.
        evaluations: Their evaluations, with `run`, a row's index in the frame.
    """
    finished = frame.index[frame["status"] == "done"]
    data = evaluations[evaluations["run"].isin(finished)]
    named = names(frame)
    views = [name for name in VIEWS if name in data and data[name].notna().any()]
    found = []
    for name, runs in data.groupby(data["run"].map(named), sort=False):
        for view in views:
            found.append({"name": name, "view": view, **band(runs, view)})
    banded = any("low" in curve for curve in found)
    spread = "band: its 95 % interval (Student's t)" if banded else f"no band with fewer than {FEWEST} seeds"
    return {
        "id": "curves",
        "title": "Curves",
        "caption": f"Line: mean over the seeds of a setting; {spread}. Unfinished runs are left out.",
        "views": [{"key": key, "title": VIEWS[key], "log": key == "train_loss"} for key in views],
        "axes": [{"key": key, "title": title, "log": False} for key, title in AXES.items()],
        "curves": found,
    }


def sensitivities(frame: pd.DataFrame) -> list[Chart]:
    """Return a chart of each number that was swept: what ranks the settings, by its values."""
    return [_sensitivity(frame, by) for by in swept(frame)]


def _sensitivity(frame: pd.DataFrame, by: str) -> Chart:
    ranked = measure(frame)
    scale, unit = (100.0, ", %") if ranked.larger else (1.0, "")
    table = sensitivity(frame, by)
    named = names(table.drop(columns=by).assign(seed=0)[[*[k for k in labels(frame) if k != by], "seed"]])
    found = []
    for name, curve in table.groupby(named, sort=False):
        values = scale * curve[["mean", "low", "high"]]
        line = {
            "name": name,
            "view": "mean",
            "x": {by: curve[by].tolist()},
            "y": values["mean"].tolist(),
            "points": True,
        }
        if values["low"].notna().any():
            line |= {"low": values["low"].tolist(), "high": values["high"].tolist()}
        lost = curve[curve["diverged"] > 0]
        if len(lost):
            ends = scale * table["mean"][np.isfinite(table["mean"])]
            floor = float(ends.min() if ranked.larger else ends.max())
            told = [f"{n} of {runs} diverged" for n, runs in zip(lost["diverged"], lost["runs"], strict=True)]
            line["marks"] = {"x": lost[by].tolist(), "y": [floor] * len(lost), "text": told}
        found.append(line)
    positive = bool((table[by] > 0).all())
    return {
        "id": f"sensitivity-{by.replace('.', '-')}",
        "title": f"Sensitivity to {by}",
        "caption": "Line: mean over the seeds; band: its 95 % interval; cross: where runs diverged.",
        "views": [{"key": "mean", "title": f"{ranked.words}{unit}", "log": False}],
        "axes": [{"key": by, "title": by, "log": positive}],
        "lines": lines(frame, list(dict.fromkeys(named)), dict(zip(named, table["optimizer"], strict=True))),
        "curves": found,
    }


TARGETS = 16
"""Levels of the chart of times to a target."""


def times(frame: pd.DataFrame, evaluations: pd.DataFrame) -> Chart:
    """Return how long each setting took to any target: the median over its seeds, a seed that missed it included.

    A target that is chosen after the runs favours somebody; so all of them are shown.

    Args:
        frame: The runs.
        evaluations: As for `curves`.
    """
    what = measure(frame).name.partition("_")[2]
    scale = 100.0 if what.endswith("accuracy") else 1.0
    found: list[dict[str, Any]] = []
    for clock, medians in _medians_by_clock(frame, evaluations, what).items():
        for name, column in medians.items():
            reached = column[np.isfinite(column)]
            if len(reached):
                x = {"target": (scale * reached.index.to_numpy()).tolist()}
                found.append({"name": name, "view": clock, "x": x, "y": reached.tolist()})
    return {
        "id": "times",
        "title": "Time to target",
        "caption": "Median over the seeds until a target was first reached; a line ends where half of them missed it.",
        "views": [{"key": clock, "title": AXES[clock], "log": False} for clock in CLOCKS],
        "axes": [{"key": "target", "title": f"target: {VIEWS[what]}", "log": False}],
        "curves": found,
    }


def _targets(values: "pd.Series[float]", rising: bool) -> NDArray[Any]:
    """Return levels from what nearly all evaluations pass to the best that there is, evenly spread."""
    known = values[np.isfinite(values)]
    if known.empty:
        return np.empty(0)
    if rising:
        return np.linspace(known.quantile(0.05), known.max(), TARGETS)
    positive = known[known > 0].to_numpy(dtype=float)
    if not len(positive):
        return np.empty(0)
    return np.geomspace(np.quantile(positive, 0.95), positive.min(), TARGETS)


def _medians_by_clock(frame: pd.DataFrame, evaluations: pd.DataFrame, what: str) -> dict[str, pd.DataFrame]:
    """Return for each clock the median times, targets by settings; infinity where half of the seeds missed one."""
    named, rows = names(frame), {}
    for level in _targets(evaluations[what], what.endswith("accuracy")):
        times = time_to_target(evaluations, level, what, list(frame.index))
        rows[level] = times.groupby(named, sort=False).median()
    if not rows:
        return {}
    table = pd.concat(rows)
    return {clock: table[clock].unstack() for clock in CLOCKS}


def band(runs: pd.DataFrame, view: str) -> dict[str, Any]:
    """Return the mean over a setting's runs at each step, and its 95 % interval from three seeds on.

    Args:
        runs: Evaluations of one setting.
        view: The column.
    """
    scale = 100.0 if view.endswith("accuracy") else 1.0
    steps = runs.groupby("step")
    mean = scale * steps[view].mean()
    along = steps[[axis for axis in AXES if axis != "step"]].mean().assign(step=mean.index)
    places = thinned(len(mean))
    x = {axis: along[axis].iloc[places].astype(float).tolist() for axis in AXES}
    curve = {"x": x, "y": mean.iloc[places].tolist()}
    seeds = steps[view].count()
    if seeds.min() >= FEWEST:
        reach = stats.t.ppf(0.975, seeds - 1) * scale * steps[view].sem()
        most = 100.0 if scale == 100.0 else np.inf
        curve["low"] = (mean - reach).clip(lower=0.0 if scale == 100.0 else -np.inf).iloc[places].tolist()
        curve["high"] = (mean + reach).clip(upper=most).iloc[places].tolist()
    return curve


def thinned(count: int) -> list[int]:
    """Return the places of at most `POINTS` of so many points, the first and the last included, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int)).tolist() if count else []
