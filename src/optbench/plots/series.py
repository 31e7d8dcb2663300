"""The lines of a figure: which runs each is of, what the legend calls it, and how it looks."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from optbench.plots import style
from optbench.results.frame import labels
from optbench.results.settings import written

MANY = 8  # optimizers in one panel
ENTRY = 0.185  # inches that a line of a legend takes
COLUMN = 1.9  # inches that a column of it takes


@dataclass(frozen=True, eq=False)
class Series:
    """The runs of one line, which differ in their seeds only.

    Attributes:
        optimizer: Whose they are.
        name: What the legend calls them.
        look: Keywords of `Axes.plot`.
        runs: Their rows of the frame.
    """

    optimizer: str
    name: str
    look: dict[str, Any]
    runs: pd.DataFrame

    def of(self, data: pd.DataFrame, *statuses: str) -> pd.DataFrame:
        """Return the part of evaluations or steps that belongs to runs of these statuses."""
        return data[data["run"].isin(self.runs.index[self.runs["status"].isin(statuses)])]

    def shown(self, data: pd.DataFrame) -> pd.DataFrame:
        """Return the part of evaluations or steps that the line shows: of runs that are done, else of others."""
        found = set(self.runs["status"])
        return self.of(data, "done") if "done" in found else self.of(data, *(found - {"diverged"}))


def split(frame: pd.DataFrame) -> list[Series]:
    """Return the lines of a frame of runs in its order, or by the number that tells them apart.

    Where the runs differ in more than the optimizer, the look tells these settings, and each optimizer belongs in
    panels of its own.
    """
    optimizers = frame["optimizer"]
    keys = labels(frame)
    settings = keys[1:]
    if settings:
        names = frame[settings].map(written).agg(", ".join, axis=1)
        looks = _shades(frame, names)
    else:
        names = optimizers
        # markers too where colour and dash alone would no longer tell all of them apart
        points = 1 if names.nunique() > MANY else None
        looks = {name: style.line(name, points=points) for name in names}

    def series(runs: pd.DataFrame) -> Series:
        first = runs.index[0]
        return Series(optimizers[first], names[first], looks[names[first]], runs)

    found = [series(runs) for _, runs in frame.groupby(keys, sort=False, dropna=False)]
    order = [list(optimizers.unique()), list(looks)]
    return sorted(found, key=lambda one: (order[0].index(one.optimizer), order[1].index(one.name)))


def legend(
    figure: Figure, series: Sequence[Series], title: str | None, rates: Mapping[Hashable, float] | None = None
) -> None:
    """Put one legend of all lines to the right of a figure's panels; it says which settings lack runs.

    A name that stands for one learning rate is followed by it: `rates` has that of each run, by its row of the frame.
    """
    handles = entries(series, rates or {})
    figure.legend(
        list(handles.values()),
        list(handles),
        title=title,
        loc="outside right upper",
        handlelength=3.2,
        ncols=columns(handles, figure.get_figheight()),
    )


def entries(series: Sequence[Series], rates: Mapping[Hashable, float]) -> dict[str, Line2D]:
    """Return a legend's lines by their text."""
    handles = {}
    for name in dict.fromkeys(one.name for one in series):
        named = [one for one in series if one.name == name]
        runs = pd.concat([one.runs for one in named])
        used = {rates[row] for row in runs.index if row in rates}
        rate = f", lr {used.pop():.3g}" if len(used) == 1 else ""
        counts = runs["status"].value_counts().items()
        lacking = [f"\n{n} of {len(runs)} {status}" for status, n in counts if status != "done"]
        handles[name + rate + "".join(lacking)] = Line2D([], [], **named[0].look)
    return handles


def beside(series: Sequence[Series], rates: Mapping[Hashable, float], height: float) -> float:
    """Return the inches that a legend takes beside the panels of a figure so many inches high."""
    return COLUMN * columns(entries(series, rates), height)


def columns(handles: Mapping[str, Line2D], height: float) -> int:
    """Return into how many columns a legend's lines have to go in a figure so many inches high."""
    lines = sum(1 + text.count("\n") for text in handles)
    return max(1, math.ceil(lines * ENTRY / (height - 0.6)))


def _shades(frame: pd.DataFrame, names: "pd.Series[str]") -> dict[str, dict[str, Any]]:
    """Return a look for each setting: from dark to light by its number where it is one, else a colour of its own."""
    settings = labels(frame)[1:]
    distinct = list(names.unique())
    numbers = pd.to_numeric(frame[settings[0]], errors="coerce")
    if len(settings) == 1 and numbers.nunique() > 1:
        values = dict(zip(names, numbers, strict=True))
        distinct.sort(key=lambda name: (math.isnan(values[name]), values[name]))
        colours: Sequence[Any] = style.shades(len(distinct))
    else:
        colours = [style.COLOURS[i % len(style.COLOURS)] for i in range(len(distinct))]
    dashes = [style.SOLID, *style.DASHES]
    return {name: {"color": colours[i], "linestyle": dashes[i % len(dashes)]} for i, name in enumerate(distinct)}
