"""The trials of a tuned study: where each lies, and how the best of them falls as the budget grows."""

import numpy as np
from matplotlib.figure import Figure

from optbench.plots import style
from optbench.plots.panels import grid, log_axis, window
from optbench.results import Results
from optbench.tuning.outcome import budget_curves, space_of, winners
from optbench.tuning.outcome import trials as trials_of

NOTE = "Ring: the one that was chosen. Cross: a trial that diverged or failed."


def trials(results: Results, title: str) -> Figure:
    """Return every contender's trials: the validation error over the first hyperparameter that it searched."""
    tried, best = trials_of(results), winners(results).set_index("contender")
    order = [name for name in best.index]
    unit, times = unit_of(results)
    caption = f"Validation {unit} of each trial by the hyperparameter below the panel, best contender first. {NOTE}"
    figure, axes = grid(len(order), title, caption)
    limits = window((times * tried["error"]).dropna().tolist())
    for ax, name in zip(axes, order, strict=True):
        own = tried[tried["contender"] == name]
        first = next(iter(space_of(results.runs[own["run"].iloc[0]])), None)
        look = style.look(str(own["optimizer"].iloc[0]))
        ax.set_title(name, fontsize=9)
        ax.set_xlabel(first or "no search space", fontsize=8)
        if first is None:
            continue
        ax.plot(own[first], times * own["error"], "o", color=look.colour, markersize=3.5)
        lost = own[own["error"].isna()]
        if len(lost):
            ax.plot(lost[first], np.full(len(lost), limits[1]), "x", color=look.colour, markersize=5, clip_on=False)
        chosen = own[own["run"] == best.loc[name, "run"]]
        ax.plot(chosen[first], times * chosen["error"], "o", mfc="none", mec="black", markersize=8)
        log_axis(ax)
    axes[0].set_ylim(limits)
    figure.supylabel(f"validation {unit}", fontsize=9)
    return figure


def budget(results: Results, title: str) -> Figure:
    """Return the best validation error against the number of trials, by resampling, a panel for each contender."""
    curves, best = budget_curves(results), winners(results)
    unit, times = unit_of(results)
    caption = (
        f"Best validation {unit} after so many trials, in the mean over draws of the trials that exist, without "
        "replacement; band: 95 % of the draws; grey: all others. The right end is the best of all trials."
    )
    figure, axes = grid(len(best), title, caption)
    limits = window((times * curves["mean"]).dropna().tolist())
    by_name = dict(list(curves.groupby("contender", sort=False)))
    for ax, (_, row) in zip(axes, best.iterrows(), strict=True):
        for other in by_name.values():
            ax.plot(other["trials"], times * other["mean"], color="0.88", lw=0.8)
        own = by_name[row["contender"]]
        look = style.look(str(row["optimizer"]))
        ax.plot(own["trials"], times * own["mean"], color=look.colour)
        ax.fill_between(own["trials"], times * own["low"], times * own["high"], color=look.colour, alpha=0.15, lw=0)
        ax.set_title(row["contender"], fontsize=9)
    axes[0].set_ylim(limits)
    figure.supylabel(f"best validation {unit}", fontsize=9)
    return figure


def unit_of(results: Results) -> tuple[str, float]:
    """Return what the trials' error is called, and what it is multiplied with."""
    classes = results.frame["final_val_accuracy"].notna().any()
    return ("error, %", 100.0) if classes else ("loss", 1.0)
