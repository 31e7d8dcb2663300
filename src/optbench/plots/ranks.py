"""Who is ahead when and where: the ranks of the optimizers by epoch, under each schedule and on each workload."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from optbench.checks import UserError
from optbench.plots import style
from optbench.results import Results, at_best, labels, swept
from optbench.results.comparison import blocks, in_order
from optbench.results.settings import WORKLOAD, written
from optbench.results.statistics import measure

CAPTION = (
    "Ranks by the mean {} over the seeds, 1 is the best; runs that are not done rank last. Where lines still cross in "
    "the last epochs, noise decides who is ahead"
)
BETWEEN = "; where they cross between schedules, the schedule does"
SEVERAL = (
    "Left: the mean over {} workloads of the ranks that an optimizer has in each by the mean over the seeds; 1 is the "
    "best, and runs that are not done rank last. Right: the ranks at the end of each, best mean above."
)
SHARES = np.linspace(0.05, 1.0, 20)
"""Of a training, at which ranks of workloads with different numbers of epochs are averaged."""
FEW = 15
"""So many lines can be told apart; of more, those that matter have a colour."""
GREY = "0.82"
AHEAD = 5
ROOM = 0.75
"""Ranks between two names; of few, which have more space each, fewer."""
MOVED = 5


def ranks(results: Results, title: str) -> Figure:
    """Return the rank of every optimizer by epoch, a panel for each schedule, and at the end by schedule.

    Where a learning rate was swept, each optimizer is at its best; of a tuned study the winners take part. Of many
    optimizers those have a colour that end among the first under a schedule, or that a schedule moves most. Of several
    workloads the mean rank is shown, and beside it the ranks at the end of each.
    """
    results = taking_part(results)
    frame = results.frame
    if WORKLOAD in frame and frame[WORKLOAD].nunique() > 1:
        return over_workloads(results, title)
    schedules = schedules_of(frame)
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
    caption = CAPTION.format(measure(frame).words) + (BETWEEN if len(tables) > 1 else "") + "."
    if len(strong) < count:
        moved = ", or that a schedule moves most" if len(tables) > 1 else ""
        caption += f" In colour: those that end among the first{moved}; in grey all others."
    style.entitle(figure, title, caption)
    return figure


def over_workloads(results: Results, title: str) -> Figure:
    """Return two panels for each schedule: the mean rank by the share of training, and the ranks at the end."""
    frame = results.frame
    schedules = schedules_of(frame)
    names = named(frame)
    workloads = sorted(set(frame[WORKLOAD]), key=in_order)
    count = names.nunique()
    kinds = list(dict.fromkeys(schedules))
    width = 4.4 + 0.36 * len(workloads) + 1.8
    figure = Figure(figsize=(max(9.0, width), len(kinds) * max(3.4, 0.21 * count + 1.6) + 0.8))
    widths = [4.4, 0.36 * len(workloads) + 1.8]
    axes = figure.subplots(len(kinds), 2, squeeze=False, width_ratios=widths)
    for (left, right), kind in zip(axes, kinds, strict=True):
        rows = frame.index[schedules == kind]
        tables = {str(w): by_epoch(results, names[rows[frame.loc[rows, WORKLOAD] == w]]) for w in workloads}
        shares = [by_share(table, list(dict.fromkeys(names))) for table in tables.values()]
        means = sum(shares[1:], start=shares[0]) / len(shares)
        lines(left, means, frame, names, telling(means.tail(1)))
        left.set(xlabel="share of the training", ylabel="mean rank", title=str(kind))
        ends = pd.DataFrame({name: table.iloc[-1] for name, table in tables.items()})
        heat(right, ends.loc[means.iloc[-1].sort_values(kind="stable").index])
    style.entitle(figure, title, SEVERAL.format(len(workloads)))
    return figure


def schedules_of(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return the schedule of each run, or nothing where no optimizer has several."""
    if "schedule" in labels(frame) and frame.groupby("optimizer")["schedule"].nunique().max() > 1:
        return frame["schedule"]
    return pd.Series("", frame.index)


def by_share(table: pd.DataFrame, everyone: list[str]) -> pd.DataFrame:
    """Return ranks by epoch at `SHARES` of the training; who was not run there ranks last."""
    share = np.asarray(table.index) / table.index.max()
    whole = table.reindex(columns=everyone).fillna(len(everyone))
    columns = {name: np.interp(SHARES, share, whole[name]) for name in everyone}
    return pd.DataFrame(columns, index=SHARES)


def heat(ax: Axes, ends: pd.DataFrame) -> None:
    """Draw ranks as a map of numbers, a row for each optimizer and a column for each workload."""
    ax.imshow(ends, cmap="Blues_r", vmin=1, vmax=1.6 * len(ends), aspect="auto")
    for (i, j), rank in np.ndenumerate(ends.to_numpy(float)):
        text = "–" if np.isnan(rank) else f"{rank:g}"
        ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if rank <= 0.4 * len(ends) else "black")
    ax.set_xticks(range(len(ends.columns)), list(ends.columns), rotation=60, ha="right", fontsize=7)
    ax.set_yticks(range(len(ends)), list(ends.index), fontsize=7.5)
    ax.set_title("ranks at the end")
    ax.grid(False)


def taking_part(results: Results) -> Results:
    """Return the runs that are ranked: on each workload those of as many examples, each optimizer at its best."""
    frame = results.frame
    block = blocks(frame)
    chosen = block == (block.groupby(frame[WORKLOAD]).transform("max") if WORKLOAD in frame else block.max())
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
    others = [key for key in labels(frame)[1:] if key not in ("schedule", "lr", "setting", "trials", WORKLOAD)]
    varied = [key for key in others if frame.groupby("optimizer")[key].nunique().max() > 1]
    return frame[["optimizer", *varied]].map(written).agg(", ".join, axis=1)


def by_epoch(results: Results, names: "pd.Series[str]") -> pd.DataFrame:
    """Return the ranks at each epoch, a column for each name; those with runs that are not done share the last place.

    Args:
        results: The runs.
        names: Of the lines, by the rows of the frame that take part.

    Raises:
        UserError: None of them was evaluated.
    """
    frame = results.frame.loc[names.index]
    ranked = measure(frame)
    column = ranked.name.removeprefix("final_")
    rows = results.evaluations[results.evaluations["run"].isin(names.index) & (results.evaluations["epoch"] > 0)]
    if not len(rows):
        raise UserError(f"no run of {', '.join(names.unique()[:3])} was evaluated, so there are no ranks to show")
    means = rows.groupby(["epoch", rows["run"].map(names)])[column].mean().unstack()
    whole = (frame["status"] == "done").groupby(names).all()
    means = means.reindex(columns=list(dict.fromkeys(names)))
    means.loc[:, [name for name in means.columns if not whole[name]]] = np.nan
    return means.rank(axis=1, ascending=not ranked.larger, na_option="bottom")


def lines(ax: Axes, table: pd.DataFrame, frame: pd.DataFrame, names: "pd.Series[str]", strong: set[str]) -> None:
    """Draw a line for each column, with its name at the right end; those that are not strong in grey, below."""
    optimizers = dict(zip(names, frame["optimizer"], strict=True))
    places = apart(table.iloc[-1].to_numpy(float))
    for name, place in zip(table.columns, places, strict=True):
        look = style.look(str(optimizers[name]))
        own: dict[str, Any] = {"color": GREY, "marker": "", "lw": 0.7, "zorder": 2}
        if name in strong:
            own = {"color": look.colour, "marker": look.marker, "lw": 1.6, "zorder": 3}
        ax.plot(table.index, table[name], markersize=4, **own)
        ax.annotate(
            str(name),
            (table.index[-1], place),
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


def apart(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where names stand that none hides another: beside the ends of their lines, or the next free place."""
    room = min(ROOM, len(ends) / 15)
    order = ends.argsort(kind="stable")
    places = ends[order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + room)
    places[-1] = min(places[-1], len(ends) + 0.4)
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - room)
    return places[order.argsort()]
