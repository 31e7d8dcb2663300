"""The charts of a report page, as data: curves of every setting, each with the interval of its seeds.

A chart has `id`, `title`, `caption` and `command`; `views` (what is up) and `axes` (what is along), each with `key`,
`title` and whether it is `log`; and `curves`, each of a setting's `name` and a `view`, with `x` by axis, `y`, and `low`
and `high` where there is an interval.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from optbench.plots import style
from optbench.results.frame import labels, written

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
        named = named + ", " + str(key) + "=" + frame[key].map(written)
    return named


def ranked(frame: pd.DataFrame, comparison: pd.DataFrame) -> list[str]:
    """Return the names of the settings of a comparison, in its order; they are those that `names` gives the runs."""
    keys = labels(frame)
    return names(comparison[keys].assign(seed=0)).tolist()


def lines(frame: pd.DataFrame, order: Sequence[str]) -> list[dict[str, str]]:
    """Return name, colour and dash of each setting.

    Args:
        frame: The runs.
        order: The settings' names, the best first.
    """
    optimizer = dict(zip(names(frame), frame["optimizer"], strict=True))
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
        curve |= {"low": (mean - reach).iloc[places].tolist(), "high": (mean + reach).iloc[places].tolist()}
    return curve


def thinned(count: int) -> list[int]:
    """Return the places of at most `POINTS` of so many points, the first and the last included, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int)).tolist() if count else []
