"""What a swept number does: the measure over it for every optimizer, and all of them by epoch at their best."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from optbench.checks import UserError
from optbench.plots import style
from optbench.plots.panels import grid, swept_axis, window
from optbench.results import Results, at_best, best_values, labels, sensitivity, swept
from optbench.results.sensitivity import by_measure, chooser
from optbench.results.settings import written
from optbench.results.statistics import interval, measure

CROWD = 12
"""More lines have a panel each."""
CAPTION = (
    "Line: mean over the seeds; band: its bootstrap 95 % interval, from three seeds on. Ring: the best by the {}. "
    "Cross: of the runs at that value some diverged or failed, which count as 0 % or an infinite loss."
)


def sensitivities(results: Results, title: str) -> Figure:
    """Return the measure that ranks over each number that was swept, and all optimizers by epoch at their best.

    Raises:
        UserError: No number was swept.
    """
    frame, *others = by_measure(results.frame)
    results = results.only(frame.index)
    numbers = swept(frame)
    if not numbers:
        raise UserError("no number takes three values or more for any optimizer, so there is no sensitivity to show")
    caption = CAPTION.format(chooser(frame).words)
    if others:
        caption += f" Workloads that are ranked by {measure(others[0]).words} are on the page."
    lines = named(sensitivity(frame, numbers[0]), numbers[0], frame)
    if len(lines) > CROWD:
        return crowd(results, numbers[0], title, caption)
    figure = Figure(figsize=(12, 4.2 * len(numbers) + 0.6))
    axes = figure.subplots(len(numbers), 2, squeeze=False)
    shown: dict[str, str] = {}
    for (left, right), by in zip(axes, numbers, strict=True):
        lines = named(sensitivity(frame, by), by, frame)
        best = named(best_values(frame, by), by, frame)
        limits = window(reach(lines, frame))
        for name, line in lines.items():
            shown[name] = str(line["optimizer"].iloc[0])
            curve(left, line, by, look(name, shown), limits, measure(frame).scale)
            ring(left, best[name], by, line, look(name, shown), measure(frame).scale)
        finish(left, by, frame, limits)
        by_epoch(right, results.only(at_best(frame, by)), by, shown)
    handles = [Line2D([], [], **look(name, shown)) for name in shown]
    figure.legend(handles, list(shown), loc="outside right upper", handlelength=3.2)
    style.entitle(figure, title, caption)
    return figure


def crowd(results: Results, by: str, title: str, caption: str) -> Figure:
    """Return a panel for each optimizer, with all others in grey."""
    frame = results.frame
    lines, best = (named(found, by, frame) for found in (sensitivity(frame, by), best_values(frame, by)))
    figure, axes = grid(len(lines))
    style.entitle(figure, title, caption)
    limits = window(reach(lines, frame))
    for ax, (name, line) in zip(axes, lines.items(), strict=True):
        for other in lines.values():
            ax.plot(other[by], other["mean"] * measure(frame).scale, color="0.88", lw=0.8)
        own = style.line(str(line["optimizer"].iloc[0]))
        curve(ax, line, by, own, limits, measure(frame).scale)
        ring(ax, best[name], by, line, own, measure(frame).scale)
        swept_axis(ax, pd.to_numeric(frame[by], errors="coerce").dropna().to_numpy())
        ax.set_ylim(limits)
        ax.set_title(name, fontsize=9)
    figure.supylabel(measure(frame).title, fontsize=9)
    return figure


def reach(lines: Mapping[str, pd.DataFrame], frame: pd.DataFrame) -> list[float]:
    """Return the means and the ends of the intervals of all lines."""
    return [
        x * measure(frame).scale for line in lines.values() for x in line[["mean", "low", "high"]].to_numpy().ravel()
    ]


def named(table: pd.DataFrame, by: str, frame: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Return a table's rows by what a legend calls their line: the optimizer with its other labels."""
    keys = [key for key in labels(frame) if key != by]
    names = table[keys].map(written).agg(", ".join, axis=1)
    return {name: rows for name, rows in table.groupby(names, sort=False)}


def curve(
    ax: Axes, line: pd.DataFrame, by: str, own: Mapping[str, Any], limits: tuple[float, float], times: float
) -> None:
    """Draw one line with its band, and crosses where runs are not done, at the edge where these would be."""
    known = line[np.isfinite(line["mean"])]
    ax.plot(known[by], known["mean"] * times, **own)
    band = known.dropna(subset="low")
    ax.fill_between(band[by], band["low"] * times, band["high"] * times, color=str(own["color"]), alpha=0.15, lw=0)
    lacking = line[line["done"] < line["runs"]]
    edge = limits[0] if times != 1 else limits[1]
    if len(lacking):
        ax.plot(lacking[by], np.full(len(lacking), edge), "x", color=str(own["color"]), markersize=6, clip_on=False)


def ring(ax: Axes, best: pd.DataFrame, by: str, line: pd.DataFrame, own: Mapping[str, Any], times: float) -> None:
    """Mark the best value on its line."""
    at = line[line[by] == best[by].iloc[0]]
    ax.plot(at[by], at["mean"] * times, "o", mfc="none", mec=str(own["color"]), mew=1.6, markersize=9)


def finish(ax: Axes, by: str, frame: pd.DataFrame, limits: tuple[float, float]) -> None:
    """Name the axes."""
    swept_axis(ax, pd.to_numeric(frame[by], errors="coerce").dropna().to_numpy())
    ax.set(ylim=limits, xlabel=by, title=f"{measure(frame).title} by {by}")


def by_epoch(ax: Axes, best: Results, by: str, shown: Mapping[str, str]) -> None:
    """Draw each line's measure by epoch at its best value, with its band."""
    frame = best.frame
    ranked = measure(frame)
    column = ranked.name.removeprefix("final_")
    times = ranked.scale
    ends = []
    for name, runs in named(frame, by, frame).items():
        done = runs.index[runs["status"] == "done"]
        rows = best.evaluations[best.evaluations["run"].isin(done) & (best.evaluations["epoch"] > 0)]
        epochs = rows.groupby("epoch")[column]
        means = epochs.mean() * times
        bands = times * np.array([interval(values.to_numpy()) for _, values in epochs]).reshape(-1, 2)
        own = look(name, shown)
        ax.plot(means.index, means, **own)
        ax.fill_between(means.index, bands[:, 0], bands[:, 1], color=own["color"], alpha=0.15, lw=0)
        ends += [*means.tolist(), *bands.ravel().tolist()]
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", title=f"{ranked.title}, each at its best {by}", ylim=window(ends))


def look(name: str, shown: Mapping[str, str]) -> dict[str, Any]:
    """Return the look of a line: its optimizer's, or a variant where that has several."""
    return style.looks(shown)[name].line()
