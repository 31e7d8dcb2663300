"""Many settings by what they came to: a bar for each, the best above, with the interval of its mean."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from optbench.plots.lines import write
from optbench.results.comparison import compare
from optbench.results.frame import Results, labels
from optbench.results.settings import ABSENT, labelled, named
from optbench.results.statistics import measure

BAR = "#9aa7b5"
LEAD = "#0072B2"
CAPTION = "Bar: mean over the seeds; whisker: bootstrap 95 % interval of the mean. Blue: not told apart from the best."


def ranking(results: Results, title: str) -> Figure:
    """Return a bar for each setting, by the measure that ranks them; those without a run that is done have a note."""
    table = compare(results.frame)
    ranked = measure(results.frame)
    means = ranked.scale * table[f"{ranked.name}_mean"].mask(table["done"] == 0).to_numpy(float)
    intervals = ranked.scale * table[["low", "high"]].to_numpy(float)
    keys = labels(results.frame)[1:]
    usual = _usual(table, keys)
    figure = Figure(figsize=(8.5, 0.2 * len(table) + 1.6))
    axes = figure.subplots()
    _bars(axes, table, means)
    axes.set_yticks(np.arange(len(table)), _names(table, keys, usual), fontsize=8)
    axes.set_ylim(len(table) - 0.4, -0.6)
    whole = (table["done"] == table["runs"]).to_numpy()
    ends = np.concatenate([means[whole], intervals[whole].ravel()])
    first, last, log = _limits(ends[np.isfinite(ends)], ranked.larger)
    axes.set_xlim(first, last)
    axes.set_xscale("log" if log else "linear")
    starts = f" (the axis starts at {first:.3g})" if first else ""
    axes.set_xlabel(ranked.title + starts)
    for place, (mean, interval) in enumerate(zip(means, intervals, strict=True)):
        _value(axes, place, mean, interval, first)
    axes.grid(axis="y", visible=False)
    write(figure, title, CAPTION + _rest(usual))
    return figure


def _bars(axes: Axes, table: pd.DataFrame, means: NDArray[np.float64]) -> None:
    """Draw a bar for each row that has a finite mean, in another colour where it is not told from the best."""
    colours = [LEAD if tied else BAR for tied in table["tied"]]
    colours[0] = LEAD
    axes.barh(np.arange(len(table)), np.where(np.isfinite(means), means, 0.0), color=colours, height=0.72)


def _value(axes: Axes, place: int, mean: float, interval: NDArray[np.float64], first: float) -> None:
    """Write a row's mean behind its bar, or why there is none, and draw its interval.

    Args:
        axes: Those of the figure.
        place: The row, from 0.
        mean: Its mean; infinite where a run counts with the worst value, and not a number where none is done.
        interval: Of the mean, low and high, shape (2,).
        first: Where the axis starts.
    """
    if np.isfinite(interval).all():
        axes.plot(interval, [place, place], color="black", linewidth=1.1)
    text = f" {mean:.4g}"
    if np.isnan(mean):
        text = " no run is done"
    elif np.isinf(mean):
        text = " not all runs are done"
    end = max([x for x in (mean, interval[1]) if np.isfinite(x)], default=first)
    axes.text(end, float(place), text, va="center", fontsize=7.5, clip_on=True)


def _rest(usual: dict[str, object]) -> str:
    """Return a sentence about the labels that the names leave out."""
    if not usual:
        return ""
    told = ", ".join(labelled(key, value) for key, value in usual.items())
    return f" Where nothing else is said: {told}."


def _limits(values: NDArray[np.float64], larger: bool) -> tuple[float, float, bool]:
    """Return where the axis of the bars starts and ends, and whether it is on a log scale.

    It starts at 0, or at a multiple of 10 where all are above half of the largest.

    Args:
        values: Means and ends of their intervals that are finite.
        larger: Whether larger is better; what is a loss may have a log scale.
    """
    if not len(values):
        return 0.0, 1.0, False
    lowest = float(values.min())
    highest = float(values.max())
    if not larger and highest > 10 * lowest > 0:
        return 0.7 * lowest, 2 * highest, True
    first = 10 * (lowest // 10) if lowest > 0.5 * highest else 0.0
    return first, highest + 0.12 * (highest - first), False


def _usual(table: pd.DataFrame, keys: list[str]) -> dict[str, object]:
    """Return the commonest value of each label that no optimizer has two of: only what differs from it is named."""
    counts = table.groupby("optimizer")[keys].nunique()
    return {key: table[key].mode()[0] for key in keys if counts[key].max() == 1}


def _names(table: pd.DataFrame, keys: list[str], usual: dict[str, object]) -> list[str]:
    """Return what each row is called, with how many of its runs are done where some are not."""
    shown = table.assign(**{key: table[key].mask(table[key] == value, ABSENT) for key, value in usual.items()})
    names = named(shown, keys)
    counts = zip(names, table["done"], table["runs"], strict=True)
    return [name if done == runs else f"{name} ({done} of {runs} done)" for name, done, runs in counts]
