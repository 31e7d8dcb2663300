"""Who is ahead when: the ranks of the optimizers by epoch, under each schedule."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from optbench.plots import style
from optbench.plots.panels import entitle
from optbench.results import Results, at_best, labels, swept
from optbench.results.comparison import blocks
from optbench.results.settings import written
from optbench.results.statistics import measure

CAPTION = (
    "Ranks by the mean {} over the seeds, 1 is the best; runs that are not done rank last. Where lines still cross in "
    "the last epochs, noise decides who is ahead; where they cross between schedules, the schedule does."
)
FEW = 15
"""So many lines can be told apart; of more, those that matter have a colour."""
GREY = "0.82"
AHEAD = 5
MOVED = 5


def ranks(results: Results, title: str) -> Figure:
    """Return the rank of every optimizer by epoch, a panel for each schedule, and at the end by schedule.

    Where a learning rate was swept, each optimizer is at its best; of a tuned study the winners take part. Of many
    optimizers those have a colour that end among the first under a schedule, or that a schedule moves most.
    """
    results = taking_part(results)
    frame = results.frame
    by_schedule = "schedule" in labels(frame)
    schedules = frame["schedule"] if by_schedule else pd.Series("", frame.index)
    names = named(frame)
    tables = {str(name): by_epoch(results, names[rows.index]) for name, rows in frame.groupby(schedules, sort=False)}
    panels = len(tables) + (len(tables) > 1)
    count = names.nunique()
    figure = Figure(figsize=(4.4 * panels + 0.6, max(3.4, 0.21 * count + 1.6)))
    axes = figure.subplots(1, panels, squeeze=False).ravel().tolist()
    last = pd.DataFrame({schedule: table.iloc[-1] for schedule, table in tables.items()}).T
    strong = telling(last)
    for ax, (schedule, table) in zip(axes, tables.items(), strict=False):
        lines(ax, table, frame, names, strong)
        ax.set(xlabel="epoch", title=schedule or "rank by epoch", ylabel="rank")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(tables) > 1:
        lines(axes[-1], last.set_axis(range(len(last))), frame, names, strong)
        axes[-1].set_xticks(range(len(last)), list(last.index))
        axes[-1].set(title="at the end, by schedule")
    caption = CAPTION.format(measure(frame).words)
    if len(strong) < count:
        caption += " In colour: those that end among the first, or that a schedule moves most; in grey all others."
    entitle(figure, title, caption)
    return figure


def taking_part(results: Results) -> Results:
    """Return the runs that are ranked: of the first workload and of as many examples, each optimizer at its best."""
    frame = results.frame
    block = blocks(frame)
    chosen = block == block.max()
    if "trials" in labels(frame) and not (frame["trials"] == "defaults").all():
        chosen &= frame["trials"] != "defaults"
    results = results.only(frame.index[chosen])
    return results.only(at_best(results.frame, "lr")) if "lr" in swept(results.frame) else results


def telling(last: pd.DataFrame) -> set[str]:
    """Return which lines have a colour: all of few; of many those that end among the first or move most.

    Args:
        last: Ranks at the end, a row for each schedule.
    """
    if len(last.columns) <= FEW:
        return set(last.columns)
    moved = (last.max() - last.min()).sort_values(ascending=False, kind="stable")
    moving = moved[moved > 0].index[:MOVED]
    return {*last.columns[(last <= AHEAD).any()], *moving}


def named(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return what the lines are called: the optimizer, with what else was varied of it but for what they rank."""
    others = [key for key in labels(frame)[1:] if key not in ("schedule", "lr", "setting", "trials")]
    varied = [key for key in others if frame.groupby("optimizer")[key].nunique().max() > 1]
    return frame[["optimizer", *varied]].map(written).agg(", ".join, axis=1)


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


def lines(ax: Axes, table: pd.DataFrame, frame: pd.DataFrame, names: "pd.Series[str]", strong: set[str]) -> None:
    """Draw a line for each column, with its name at the right end; those that are not strong in grey, below."""
    optimizers = dict(zip(names, frame["optimizer"], strict=True))
    for name in table.columns:
        look = style.look(str(optimizers[name]))
        colour, width, above = (look.colour, 1.6, 3) if name in strong else (GREY, 0.7, 2)
        marker = look.marker if name in strong else ""
        ax.plot(table.index, table[name], color=colour, marker=marker, markersize=4, lw=width, zorder=above)
        ax.annotate(
            str(name),
            (table.index[-1], table[name].iloc[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=look.colour if name in strong else "0.45",
            annotation_clip=False,
        )
    ax.set_ylim(len(table.columns) + 0.6, 0.4)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    ax.grid(False)
