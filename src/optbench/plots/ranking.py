"""Many settings by what they came to: a bar for each, the best above, with the interval of its mean."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from optbench.plots.lines import write
from optbench.results.comparison import compare
from optbench.results.frame import Results, labels, written
from optbench.results.statistics import measure

BAR = "#9aa7b5"
LEAD = "#0072B2"
CAPTION = "Bar: mean over the seeds; whisker: bootstrap 95 % interval of the mean. Blue: not told apart from the best."


def ranking(results: Results, title: str) -> Figure:
    """Return a bar for each setting, by the measure that ranks them; those without a run that is done have a note."""
    table = compare(results.frame)
    ranked = measure(results.frame)
    scale = 100.0 if ranked.name.endswith("accuracy") else 1.0
    unit = ", %" if scale == 100 else ""
    means = scale * table[f"{ranked.name}_mean"].to_numpy(float)
    places = np.arange(len(table))
    figure = Figure(figsize=(8.5, 0.2 * len(table) + 1.6))
    axes = figure.subplots()
    colours = [LEAD if tied or place == 0 else BAR for place, tied in enumerate(table["tied"])]
    axes.barh(places, np.nan_to_num(means), color=colours, height=0.72)
    for place, mean, (low, high) in zip(places, means, scale * table[["low", "high"]].to_numpy(float), strict=True):
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [place, place], color="black", linewidth=1.1)
        text = f" {mean:.4g}" if np.isfinite(mean) else " no run is done"
        axes.text(float(np.nanmax([mean, high, 0])), float(place), text, va="center", fontsize=7.5)
    finite = means[np.isfinite(means)]
    axes.set_yticks(places, _names(table, labels(results.frame)), fontsize=8)
    axes.set_ylim(len(table) - 0.4, -0.6)
    if len(finite) and not ranked.larger and finite.max() > 10 * finite.min() > 0:
        axes.set_xscale("log")
        axes.set_xlim(0.7 * finite.min(), 1.6 * finite.max())
        start = ""
    else:
        first = _start(finite)
        top = finite.max() if len(finite) else 1.0
        axes.set_xlim(first, top + 0.1 * (top - first))
        start = f" (the axis starts at {first:g})" if first else ""
    axes.set_xlabel(ranked.words + unit + start)
    axes.grid(axis="y", visible=False)
    write(figure, title, CAPTION)
    return figure


def _start(values: np.ndarray) -> float:
    """Return where an axis of bars starts: at 0, or at a multiple of 10 where all are above half of the largest."""
    if not len(values) or values.min() < 0.5 * values.max():
        return 0.0
    return float(10 * (values.min() // 10))


def _names(table: pd.DataFrame, keys: list[str]) -> list[str]:
    """Return what each row is called, with how many of its runs are done where some are not."""
    names = table[keys].map(written).agg(", ".join, axis=1)
    counts = zip(names, table["done"], table["runs"], strict=True)
    return [name if done == runs else f"{name} ({done} of {runs} done)" for name, done, runs in counts]
