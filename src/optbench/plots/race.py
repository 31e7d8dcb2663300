"""Who reaches the target first: the performance profile, and the time of every contender by each clock."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from optbench.checks import UserError
from optbench.plots import style
from optbench.plots.panels import WIDE, grid
from optbench.results import Results, performance_profile, profile_interval, profile_score, score_interval
from optbench.results.clocks import CLOCK, CLOCKS, WORDS
from optbench.results.race import Race, race
from optbench.results.text import between

CROWD = 14
"""More contenders have a panel each."""
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
TAUS = np.linspace(1.0, 4.0, 301)


def profile(results: Results, title: str, target: float | None = None) -> Figure:
    """Return the share of workloads that each contender solves within tau times the fastest, by each clock.

    Args:
        results: Runs.
        title: What stands above.
        target: As for `race`.

    Raises:
        UserError: No target is stated.
    """
    raced = _raced(results, target)
    tables = {clock: raced.by_seed(clock) for clock in CLOCKS}
    scores = {clock: profile_score(times) for clock, times in tables.items()}
    order = scores[CLOCK].sort_values(ascending=False, kind="stable").index.tolist()
    count = len(raced.targets)
    caption = (
        f"Share of {count} workload{'s' if count > 1 else ''} on which the median over the seeds reaches the target "
        f"within tau times the fastest's time. Band: bootstrap 95 % interval over the seeds. {raced.words} "
    )
    if len(order) > CROWD:
        return _crowd(tables[CLOCK], raced, order, title, f"{caption} By {WORDS[CLOCK]}; grey: all others.")
    figure = Figure(figsize=(11.5, 7.4))
    looks = _looks(raced)
    for ax, clock in zip(figure.subplots(2, 2, sharex=True, sharey=True).ravel(), CLOCKS, strict=True):
        shares = performance_profile(tables[clock], TAUS)
        low, high = profile_interval(tables[clock], TAUS)
        for name in order:
            _steps(ax, shares[name], low[name], high[name], looks[name])
        ax.set(title=f"by {WORDS[clock]}", xlim=(1, 4), ylim=(-0.03, 1.03), xlabel="tau", ylabel="share of workloads")
        ax.label_outer()
    ends = score_interval(tables[CLOCK])
    names = [f"{name}: {scores[CLOCK][name]:.2f} {between(*ends.loc[name])}" for name in order]
    handles = [figure.axes[0].plot([], [], **looks[name])[0] for name in order]
    figure.legend(handles, names, loc="outside right upper", title=f"score by {WORDS[CLOCK]}", handlelength=3.2)
    style.entitle(figure, title, caption)
    return figure


def time_to_target(results: Results, title: str, target: float | None = None) -> Figure:
    """Return the time of each contender to the target by each clock, a dot a seed or, of several, a workload.

    Args:
        results: Runs.
        title: What stands above.
        target: As for `race`.

    Raises:
        UserError: No target is stated.
    """
    raced = _raced(results, target)
    several = len(raced.targets) > 1
    middle = raced.medians()
    times = middle if several else raced.times
    fastest = middle.groupby("workload")[CLOCKS].min()
    spread = middle.groupby("contender", sort=False)[CLOCK].agg(["median", "mean", "min"])
    order = spread.sort_values(["median", "mean", "min"]).index
    figure = Figure(figsize=(12.5, 0.24 * len(order) + 2.0))
    looks = _looks(raced)
    for ax, clock in zip(figure.subplots(1, len(CLOCKS), sharey=True), CLOCKS, strict=True):
        unit = fastest[clock].reindex(times["workload"]).to_numpy() if several else np.ones(len(times))
        # The fastest has 1, even if it was there from the start; and a target that nobody reached was missed by all.
        values = (times[clock] / unit).where(times[clock] != unit, 1.0).where(times[clock] < math.inf, math.inf)
        known = values[np.isfinite(values)]
        edge = 1.08 * float(known.max()) if len(known) else 1.0
        log = len(known) > 0 and edge > (2 if several else WIDE) * float(known.min()) > 0
        for place, name in enumerate(order):
            _row(ax, place, values[times["contender"] == name], edge, looks[name]["color"])
        ax.set(xlabel=WORDS[clock] + (", by the fastest's" if several else ""), ylim=(len(order) - 0.4, -0.6))
        if log:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(PLAIN)
            ax.xaxis.set_minor_formatter(PLAIN if edge < 10 * float(known.min()) else NullFormatter())
        else:
            ax.set_xlim(left=0)
    figure.axes[0].set_yticks(range(len(order)), order.tolist(), fontsize=8)
    what = "a workload (median over its seeds)" if several else "a seed"
    style.entitle(figure, title, f"{raced.words} Dot: {what}; bar: their median; cross: how many missed it.")
    return figure


def _raced(results: Results, target: float | None) -> Race:
    raced = race(results, target)
    if not raced.targets:
        raise UserError(f"no time to a target: {'; '.join(raced.notes)}")
    return raced


def _looks(raced: Race) -> dict[str, dict[str, Any]]:
    """Return how each contender is drawn."""
    owners = dict(zip(raced.times["contender"], raced.times["optimizer"], strict=True))
    return {name: look.line() for name, look in style.looks(owners).items()}


def _steps(
    ax: Axes, share: "pd.Series[float]", low: "pd.Series[float]", high: "pd.Series[float]", look: dict[str, Any]
) -> None:
    ax.step(share.index, share, where="post", **look)
    if low.notna().all():
        ax.fill_between(share.index, low, high, step="post", color=look["color"], alpha=0.1, lw=0)


def _crowd(times: pd.DataFrame, raced: Race, order: list[str], title: str, caption: str) -> Figure:
    """Return a panel for each contender, the best score first, with all others in grey."""
    shares = performance_profile(times, TAUS)
    looks = _looks(raced)
    scores = profile_score(times)
    low, high = profile_interval(times, TAUS)
    near = [name for name in order if shares[name].iloc[-1] > 0] or order[:1]
    if len(near) < len(order):
        caption = f"{caption} Not shown: {len(order) - len(near)} that are within {TAUS[-1]:g} times nowhere."
    figure, axes = grid(len(near))
    style.entitle(figure, title, caption)
    for ax, name in zip(axes, near, strict=True):
        ax.step(shares.index, shares[near].to_numpy(), where="post", color="0.85", lw=0.7)
        _steps(ax, shares[name], low[name], high[name], looks[name])
        ax.set_title(f"{name}: {scores[name]:.2f}", fontsize=8)
        ax.set(xlim=(1, 4), ylim=(-0.03, 1.03))
    figure.supylabel("share of workloads", fontsize=9)
    return figure


def _row(ax: Axes, place: int, times: "pd.Series[float]", edge: float, colour: str) -> None:
    """Draw one contender's times in one panel."""
    reached = times[np.isfinite(times)]
    ax.plot(reached, np.full(len(reached), place), "o", color=colour, markersize=4, alpha=0.6)
    median = float(np.median(times))
    if median < math.inf:
        ax.plot([median, median], [place - 0.3, place + 0.3], color=colour, lw=2)
    missed = len(times) - len(reached)
    if missed:
        ax.plot(edge, place, "x", color=colour, markersize=5)
        ax.annotate(f" {missed}", (edge, place), fontsize=7, va="center", xytext=(4, 0), textcoords="offset points")
