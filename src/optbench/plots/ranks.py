"""Who is ahead when: the ranks of the optimizers by epoch, under each schedule."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from optbench.plots import style
from optbench.plots.panels import entitle
from optbench.results import Results, at_best, labels, swept
from optbench.results.settings import written
from optbench.results.statistics import measure

CAPTION = (
    "Ranks by the mean {} over the seeds, 1 is the best; runs that are not done rank last. A line that crosses others "
    "from epoch to epoch is decided by noise; one that crosses them between schedules, by the schedule."
)


def ranks(results: Results, title: str) -> Figure:
    """Return the rank of every optimizer by epoch, a panel for each schedule, and at the end by schedule.

    Where a learning rate was swept, each optimizer is at its best.
    """
    results = results.only(at_best(results.frame, "lr")) if "lr" in swept(results.frame) else results
    frame = results.frame
    by_schedule = "schedule" in labels(frame)
    schedules = frame["schedule"] if by_schedule else pd.Series("", frame.index)
    names = named(frame)
    tables = {str(name): by_epoch(results, names[rows.index]) for name, rows in frame.groupby(schedules, sort=False)}
    panels = len(tables) + (len(tables) > 1)
    count = names.nunique()
    figure = Figure(figsize=(4.4 * panels + 0.6, max(3.4, 0.21 * count + 1.6)))
    axes = figure.subplots(1, panels, squeeze=False).ravel().tolist()
    for ax, (schedule, table) in zip(axes, tables.items(), strict=False):
        lines(ax, table, frame, names)
        ax.set(xlabel="epoch", title=schedule or "rank by epoch", ylabel="rank")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if by_schedule and len(tables) > 1:
        last = pd.DataFrame({schedule: table.iloc[-1] for schedule, table in tables.items()}).T
        lines(axes[-1], last.set_axis(range(len(last))), frame, names)
        axes[-1].set_xticks(range(len(last)), list(last.index))
        axes[-1].set(title="at the end, by schedule")
    entitle(figure, title, CAPTION.format(measure(frame).words))
    return figure


def named(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return what the lines are called: the optimizer, with what else was varied but for schedule and learning rate."""
    keys = [key for key in labels(frame) if key not in ("schedule", "lr")]
    return frame[keys].map(written).agg(", ".join, axis=1)


def by_epoch(results: Results, names: "pd.Series[str]") -> pd.DataFrame:
    """Return the ranks at each epoch, a column for each name; those with runs that are not done share the last place.

    Args:
        results: The runs.
        names: Of the lines, by the rows of the frame that take part.
    """
    ranked, frame = measure(results.frame), results.frame
    column = ranked.name.removeprefix("final_")
    rows = results.evaluations[results.evaluations["run"].isin(names.index) & (results.evaluations["epoch"] > 0)]
    means = rows.groupby(["epoch", rows["run"].map(names)])[column].mean().unstack()
    whole = (frame.loc[names.index, "status"] == "done").groupby(names).all()
    means = means.reindex(columns=list(dict.fromkeys(names)))
    means.loc[:, [name for name in means.columns if not whole[name]]] = np.nan
    return means.rank(axis=1, ascending=not ranked.larger, na_option="bottom")


def lines(ax: Axes, table: pd.DataFrame, frame: pd.DataFrame, names: "pd.Series[str]") -> None:
    """Draw a line for each column, with its name at the right end."""
    optimizers = dict(zip(names, frame["optimizer"], strict=True))
    for name in table.columns:
        look = style.look(str(optimizers[name]))
        ax.plot(table.index, table[name], color=look.colour, marker=look.marker, markersize=4, lw=1.3)
        ax.annotate(
            str(name),
            (table.index[-1], table[name].iloc[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=look.colour,
            annotation_clip=False,
        )
    ax.set_ylim(len(table.columns) + 0.6, 0.4)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    ax.grid(False)
