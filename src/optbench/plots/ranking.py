"""Many settings by what they came to: a dot for each, the best above, with the interval of its mean."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from optbench.plots import style
from optbench.results.comparison import blocks, compare
from optbench.results.frame import Results, labels
from optbench.results.settings import labelled, named, unusual, usual_values
from optbench.results.statistics import measure

REST = "#6b7785"
LEAD = "#0072B2"
CAPTION = "Dot: mean over the seeds; line: bootstrap 95 % interval of the mean. Blue: not told apart from the best."
OF_BLOCK = " Below a line across: runs on fewer examples, or another workload, compared among themselves."


def ranking(results: Results, title: str) -> Figure:
    """Return a dot for each setting, by the measure that ranks them; those without a run that is done have a note."""
    table = compare(results.frame)
    ranked = measure(results.frame)
    means = ranked.scale * table[f"{ranked.name}_mean"].mask(table["done"] == 0).to_numpy(float)
    intervals = ranked.scale * table[["low", "high"]].to_numpy(float)
    keys = labels(results.frame)[1:]
    usual = usual_values(table, keys)
    figure = Figure(figsize=(8.5, 0.2 * len(table) + 1.6))
    axes = figure.subplots()
    axes.set_yticks(np.arange(len(table)), _names(table, keys, usual), fontsize=8)
    axes.set_ylim(len(table) - 0.4, -0.6)
    whole = (table["done"] == table["runs"]).to_numpy()
    ends = np.concatenate([means[whole], intervals[whole].ravel()])
    first, last, log = _limits(ends[np.isfinite(ends)], ranked.larger)
    axes.set_xlim(first, last)
    axes.set_xscale("log" if log else "linear")
    axes.set_xlabel(ranked.title)
    for place, (mean, interval) in enumerate(zip(means, intervals, strict=True)):
        colour = LEAD if table["tied"][place] or place == 0 else REST
        text = f" {mean:.2f}" if ranked.scale == 100 else f" {mean:.4g}"
        _value(axes, place, mean, interval, first, colour, text)
    block = blocks(table)
    ends_of_blocks = [place for place in range(1, len(table)) if block[place] != block[place - 1]]
    for place in ends_of_blocks:
        axes.axhline(place - 0.5, color="black", linewidth=0.8)
    style.entitle(figure, title, CAPTION + (OF_BLOCK if ends_of_blocks else "") + _rest(usual))
    return figure


def _value(
    axes: Axes, place: int, mean: float, interval: NDArray[np.float64], first: float, colour: str, text: str
) -> None:
    """Draw a row's mean with its interval, and write it behind, or why there is none, where the axis starts at `first`.

    The mean is infinite where a run counts with the worst value, and not a number where none is done.
    """
    if np.isfinite(interval).all():
        axes.plot(interval, [place, place], color=colour, linewidth=1.6)
    if np.isfinite(mean):
        inside = mean >= first
        axes.plot(max(mean, first), place, "o" if inside else "<", color=colour, markersize=4.5, clip_on=inside)
    if np.isnan(mean):
        text = " no run is done"
    elif np.isinf(mean):
        text = " not all runs are done"
    end = max([x for x in (mean, interval[1]) if np.isfinite(x)] + [first])
    axes.text(end, float(place), f" {text}", va="center", fontsize=7.5, clip_on=True)


def _rest(usual: dict[str, object]) -> str:
    """Return a sentence about the labels that the names leave out."""
    if not usual:
        return ""
    told = ", ".join(labelled(key, value) for key, value in usual.items())
    return f" Where nothing else is said: {told}."


def _limits(values: NDArray[np.float64], larger: bool) -> tuple[float, float, bool]:
    """Return where the axis starts and ends, and whether it is on a log scale.

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
    length = highest - lowest or 0.1 * abs(highest) or 1.0
    return lowest - 0.04 * length, highest + 0.15 * length, False


def _names(table: pd.DataFrame, keys: list[str], usual: dict[str, object]) -> list[str]:
    """Return what each row is called, with how many of its runs are done where some are not."""
    names = named(unusual(table, usual), keys)
    counts = zip(names, table["done"], table["runs"], strict=True)
    return [name if done == runs else f"{name} ({done} of {runs} done)" for name, done, runs in counts]
