"""The trials of a tuned study: where each lies, and how the best of them falls as the budget grows."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from optbench.plots import style
from optbench.plots.panels import grid, log_axis, window
from optbench.results import Results
from optbench.results.settings import WORKLOAD
from optbench.tuning.outcome import budget_curves, in_units, space_of, trials as trials_of, winners

NOTE = "Ring: the one that was chosen. Cross: a trial that diverged or failed."


def trials(results: Results, title: str) -> Figure:
    """Return every contender's trials: the validation error over the first hyperparameter that it searched."""
    tried = trials_of(results)
    best = winners(results).set_index("contender")
    order = list(best.index)
    scaled = in_units(tried)
    unit = unit_of(best)
    caption = f"Validation {unit} of each trial by the hyperparameter below the panel, best contender first. {NOTE}"
    one = not several(results)
    figure, axes = grid(len(order), share_y=one)
    style.entitle(figure, title, caption)
    for ax, name in zip(axes, order, strict=True):
        own = scaled[scaled["contender"] == name]
        limits = window((scaled if one else own)["error"].dropna().tolist())
        ax.set_ylim(limits)
        first = next(iter(space_of(results.runs[own["run"].iloc[0]])), None)
        look = style.look(str(own["optimizer"].iloc[0]))
        ax.set_title(name.replace(", workload ", "\n"), fontsize=9)
        ax.set_xlabel(first or "no search space", fontsize=8)
        if first is None:
            continue
        ax.plot(own[first], own["error"], "o", color=look.colour, markersize=3.5)
        lost = own[own["error"].isna()]
        if len(lost):
            ax.plot(lost[first], np.full(len(lost), limits[1]), "x", color=look.colour, markersize=5, clip_on=False)
        chosen = own[own["run"] == best.loc[name, "run"]]
        ax.plot(chosen[first], chosen["error"], "o", mfc="none", mec="black", markersize=8)
        log_axis(ax)
    figure.supylabel(f"validation {unit}", fontsize=9)
    return figure


def budget(results: Results, title: str) -> Figure:
    """Return the best validation error against the number of trials, by resampling, a panel for each contender."""
    curves = in_units(budget_curves(results))
    best = winners(results)
    unit = unit_of(best)
    one = not several(results)
    caption = (
        f"Best validation {unit} after so many trials, in the mean over draws of the trials that exist, without "
        "replacement; band: 95 % of the draws; grey: all others. The right end is the best of all trials."
    )
    caption = caption if one else caption.replace(" grey: all others.", "")
    figure, axes = grid(len(best), share_y=one)
    style.entitle(figure, title, caption)
    by_name = dict(list(curves.groupby("contender", sort=False)))
    for ax, (_, row) in zip(axes, best.iterrows(), strict=True):
        own = by_name[row["contender"]]
        for other in by_name.values() if one else ():
            ax.plot(other["trials"], other["mean"], color="0.88", lw=0.8)
        ax.set_ylim(window((curves if one else own)["mean"].dropna().tolist()))
        look = style.look(str(row["optimizer"]))
        ax.plot(own["trials"], own["mean"], color=look.colour)
        ax.fill_between(own["trials"], own["low"], own["high"], color=look.colour, alpha=0.15, lw=0)
        ax.set_title(row["contender"].replace(", workload ", "\n"), fontsize=9)
        ax.set_xlabel("trials", fontsize=8)
    figure.supylabel(f"best validation {unit}", fontsize=9)
    return figure


def unit_of(best: pd.DataFrame) -> str:
    """Return what the errors of contenders are called."""
    return str(best["unit"].iloc[0]) if best["unit"].nunique() == 1 else "error (%) or loss"


def several(results: Results) -> bool:
    """Return whether there are several workloads, whose errors have no axis in common."""
    return WORKLOAD in results.frame and results.frame[WORKLOAD].nunique() > 1
