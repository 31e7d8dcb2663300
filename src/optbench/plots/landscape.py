"""Landscapes as figures: the loss on planes through weight space, every optimizer's path on it, and its error."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from optbench.landscape.arrays import Floats, evenly
from optbench.landscape.picture import BOUND, Landscape, Projection, View, window
from optbench.plots import style

__all__ = ["BOUND", "Levels", "figure", "levels", "looks", "window"]

MANY = 12
"""Paths from which on their ends bear numbers, and the legend is small."""
RATIO = 20
"""Largest value by smallest from which on levels are even on a log scale."""
FILLED = 24
"""Shades at most between lowest and highest."""
FAR = 10.0
"""How many times as far off as most a run is that an axis of errors shows by its logarithm."""
HALO = 9.0
"""Points of width of the band around a path that is as far from the plane as from the start."""
FEWEST = 5
"""Levels that a panel is to have at least."""
MARKED = 40
"""Recorded points of a path up to which each is marked."""
AXES = {
    "shared": ("first direction", "second direction"),
    "pca": ("first principal direction", "second principal direction"),
    "endpoints": ("towards the start", "towards the middle"),
    "random": ("first random direction", "second random direction"),
    "three_runs": ("towards the second solution", "towards the third solution"),
    "hessian": ("along the first eigenvector", "along the second eigenvector"),
}
EQUAL = ("shared", "pca", "hessian", "random")
"""Planes whose directions are at right angles and in the same units."""

CAPTION = (
    "Darker is higher. Star: start; markers: ends; dots: recorded steps. The wider the band around a path, the farther "
    "it is off the plane. Error: the plane's {what} less the true one, by what the {what} changes along the paths. "
    "Off the plane: distance from it, by that from the start."
)


@dataclass(frozen=True, eq=False)
class Levels:
    """Heights at which contours lie, the same for all panels that are compared.

    Attributes:
        edges: Of the shades, from low to high.
        lines: Those that are drawn and named.
        log: Whether they are even on a log scale.
    """

    edges: Floats
    lines: Floats
    log: bool

    @property
    def names(self) -> list[str]:
        """What the lines are called, with as many digits as tell them apart."""
        return named(self.lines)


def levels(arrays: Sequence[Floats]) -> Levels:
    """Return the levels for values of one kind; in equal ratios where they are positive and far apart."""
    values = np.concatenate([a[np.isfinite(a)].ravel() for a in arrays] or [np.zeros(0)])
    if not len(values):
        return Levels(np.array([0.0, 1.0]), np.zeros(0), False)
    low = float(values.min())
    high = float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # flat: one shade
        room = 0.01 * abs(low) or 1.0
        return Levels(np.array([low - room, high + room]), np.zeros(0), False)
    log = low > 0 and high / low > RATIO
    edges = np.geomspace(low, high, FILLED + 1) if log else np.linspace(low, high, FILLED + 1)
    edges[[0, -1]] = low, high
    for array in arrays:  # a part that a few of the levels would leave blank has some of its own
        finite = array[np.isfinite(array)]
        within = (edges > finite.min(initial=high)) & (edges < finite.max(initial=low))
        if len(finite) and within.sum() < FEWEST:
            edges = np.union1d(edges, np.linspace(finite.min(), finite.max(), 2 * FEWEST))
    return Levels(edges, edges[2:-1:3], log)


def named(values: Floats) -> list[str]:
    """Return numbers as text, with as many digits as tell them apart, two at least."""
    names: list[str] = []
    for digits in range(2, 9):
        names = [f"{float(f'{value:.{digits}g}'):g}" if digits < 7 else f"{value:.{digits}g}" for value in values]
        if len(set(names)) == len(names):
            break
    return names


def looks(tracks: Sequence[Projection]) -> dict[str, dict[str, Any]]:
    """Return a look for each name: the optimizer's own, and for settings of one alone from dark to light."""
    owners = {track.name: track.optimizer for track in tracks}
    found = style.looks(owners)
    if len(set(owners.values())) > 1 or len(owners) == 1:
        return {name: own.line() | {"marker": own.marker} for name, own in found.items()}
    shades = dict(zip(owners, style.shades(len(owners)), strict=True))
    own = next(iter(found.values()), style.look(""))
    return {name: {"color": shade, "linestyle": own.dash, "marker": own.marker} for name, shade in shades.items()}


def figure(landscapes: Sequence[Landscape], title: str, notes: Sequence[str] = ()) -> Figure:
    """Return the contours of landscapes with their paths, and below each the error of its recorded points.

    A picture whose error exceeds `BOUND` says so in its title. Notes stand below besides the caption.
    """
    wide = max(len(one.views) for one in landscapes)
    columns = 1 if wide > 1 else min(3, len(landscapes))
    rows = math.ceil(len(landscapes) / columns)
    width = max(7.4, 5.0 * columns * wide)
    names = dict.fromkeys(track.name for one in landscapes for track in one.tracks)
    heights = [6.4 * rows, legend_height(names, width)]
    made = Figure(figsize=(width, sum(heights)))
    shown, below = np.ravel(made.subfigures(2, 1, squeeze=False, height_ratios=heights))
    look = looks([track for one in landscapes for track in one.tracks])
    numbers = {name: i for i, name in enumerate(names, 1)} if len(names) > MANY else {}
    scale = levels([view.values for one in landscapes for view in one.views])
    for part, one in zip(np.ravel(shown.subfigures(rows, columns, squeeze=False)), landscapes, strict=False):
        _panel(part, one, scale, look, numbers)
    legend(below, landscapes, look, numbers)
    worst = max(one.error for one in landscapes)
    what = landscapes[0].what
    warning = f"; the picture is off by up to {worst:.0%} of what the {what} changes" if worst > BOUND else ""
    style.entitle(made, title + warning)
    style.remark(below, caption(landscapes, notes))
    return made


def caption(landscapes: Sequence[Landscape], notes: Sequence[str]) -> str:
    """Return what stands below a figure."""
    first = landscapes[0]
    what = "loss" if first.what == "loss" else "accuracy"
    words = [f"{what.capitalize()} on {first.examples} examples of the {first.split} split.", CAPTION.format(what=what)]
    if first.statistics:
        words.append(f"Batch normalization: statistics {first.statistics}.")
    said = dict.fromkeys([*(note for one in landscapes for note in one.notes), *notes])
    words += [f"{note[:1].upper()}{note[1:]}." for note in said]
    return " ".join(words)


def legend_height(names: Mapping[str, None], inches: float) -> float:
    columns = _legend_columns(names, inches)
    return 0.19 * math.ceil(len(names) / columns) + 0.9


def _legend_columns(names: Mapping[str, None], inches: float) -> int:
    longest = max((len(name) for name in names), default=1) + 6
    letters = inches * (17 if len(names) > MANY else 13)
    return max(1, min(len(names) or 1, int(letters / (longest + 6))))


def _panel(
    part: SubFigure,
    one: Landscape,
    scale: Levels,
    look: Mapping[str, dict[str, Any]],
    numbers: Mapping[str, int],
) -> None:
    """Draw one landscape: its views above, its errors below."""
    top, bottom = np.ravel(part.subfigures(2, 1, squeeze=False, height_ratios=[3.0, 1.25]))
    tops = np.ravel(top.subplots(1, len(one.views), squeeze=False))
    for ax, view in zip(tops, one.views, strict=True):
        filled = surface(ax, view, scale)
        for track in one.tracks:
            path(ax, track, look[track.name], numbers.get(track.name))
        _axes(ax, one, view)
    bar = top.colorbar(filled, ax=list(tops), shrink=0.85, pad=0.02, ticks=scale.lines, spacing="uniform")
    bar.ax.set_yticklabels(scale.names)
    bar.ax.minorticks_off()
    bar.set_label(f"{one.split} {one.what}")
    heading = ": ".join(text for text in (one.plane.kind, one.title) if text)
    off = f"; off by {one.error:.0%}" if one.error > BOUND else f"; error {one.error:.1%}"
    part.suptitle(textwrap.fill(heading + off, 58), x=0.02, ha="left", fontsize=9.5)
    _errors(bottom, one, look)


def _errors(part: SubFigure, one: Landscape, look: Mapping[str, dict[str, Any]]) -> None:
    """Draw by how much the plane is off at each recorded point, and how far the points are off the plane."""
    left, right = part.subplots(1, 2)
    spread = one.spread or 1.0
    errors = {track.name: 100 * (track.shadows - track.values) / spread for track in one.tracks}
    for track in one.tracks:
        own = look[track.name] | {"markersize": 3, "linewidth": 1.1, "markevery": [-1]}
        left.plot(track.steps, errors[track.name], **own)
        right.plot(track.steps, 100 * track.away, **own)
    log = _within(left, [errors[track.name] for track in one.tracks if track.status == "done"])
    left.axhline(0, color="0.6", lw=0.7)
    left.set_title(f"error of the {one.what}, %{log}", fontsize=8.5)
    right.set_title("off the plane, %", fontsize=8.5)
    for ax in (left, right):
        ax.set_xlabel("step", fontsize=8)
        ax.tick_params(labelsize=7.5)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _within(ax: Axes, values: Sequence[Floats]) -> str:
    """Let an axis show the runs that are done, whatever diverged runs do; return what its title has to say of it.

    Where one run's values are far larger than those of most, the axis is logarithmic above those of most.
    """
    runs = [v[np.isfinite(v)] for v in values if np.isfinite(v).any()]
    if not runs:
        return ""
    low = min(0.0, *(float(v.min()) for v in runs))
    high = max(0.0, *(float(v.max()) for v in runs))
    usual = float(np.median([np.abs(v).max() for v in runs]))
    if max(high, -low) > FAR * usual > 0:
        ax.set_yscale("symlog", linthresh=usual)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_ylim(1.5 * min(low, -usual), 1.5 * max(high, usual))
        return f", log above {usual:.2g}"
    room = 0.08 * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)
    return ""


def surface(ax: Axes, view: View, scale: Levels) -> Any:
    """Fill the contours of a view; where the loss is not finite there are none."""
    values = np.ma.masked_invalid(view.values)
    drawn = matplotlib.colors.BoundaryNorm(scale.edges, style.HEIGHTS.N)
    filled = ax.contourf(view.alphas, view.betas, values, scale.edges, cmap=style.HEIGHTS, norm=drawn)
    if len(scale.lines) and values.count():
        lines = ax.contour(view.alphas, view.betas, values, scale.lines, colors="#5f6f80", linewidths=0.5)
        texts = dict(zip(scale.lines.tolist(), scale.names, strict=True))
        ax.clabel(lines, fmt=texts, fontsize=7)
    ax.set_facecolor("0.75")
    ax.grid(False)
    return filled


def path(ax: Axes, track: Projection, look: Mapping[str, Any], number: int | None = None) -> None:
    """Draw a path, with a band as wide as it is far off the plane, its recorded steps and its end."""
    if not len(track.steps):
        return
    xy = track.coordinates
    if len(xy) > 1:
        widths = HALO * np.clip((track.away[:-1] + track.away[1:]) / 2, 0, 1)
        pairs = np.stack([xy[:-1], xy[1:]], 1)
        ax.add_collection(
            LineCollection(list(pairs), linewidths=widths, colors=[look["color"]], alpha=0.22), autolim=False
        )
    own: dict[str, Any] = {"color": look["color"], "linestyle": look["linestyle"]}
    dots: dict[str, Any] = {"marker": ".", "markersize": 3.5} if len(xy) <= MARKED and number is None else {}
    ax.plot(*xy.T, **own, **dots, linewidth=1.5 if number is None else 1.0)
    ending = "x" if track.status == "diverged" else look["marker"]
    edge: dict[str, Any] = {} if ending == "x" else {"markeredgecolor": "white"}
    ax.plot(*xy[-1:].T, ending, color=look["color"], markersize=8, zorder=4, **edge)
    ax.plot(*xy[:1].T, "*", color="black", markersize=12, markeredgecolor="white", zorder=5)
    if number is not None:
        ax.annotate(str(number), xy[-1], (3, 3), textcoords="offset points", fontsize=6.5, annotation_clip=True)


def steps(ax: Axes, tracks: Sequence[Projection], view: View, few: int = 4) -> None:
    """Name a few recorded steps of each path, where there is room."""
    sides = np.array([np.ptp(view.alphas), np.ptp(view.betas)])
    taken: list[Floats] = []
    for track in (t for t in tracks if len(t.steps)):
        for i in evenly(len(track.steps), few + 1)[:0:-1]:
            at = track.coordinates[i]
            if all(np.abs((at - other) / sides).max() > 0.06 for other in taken):
                taken.append(at)
                text = f"{track.steps[i]:.0f}"
                ax.annotate(text, at, (4, -9), textcoords="offset points", fontsize=6.5, annotation_clip=True)


def _axes(ax: Axes, one: Landscape, view: View) -> None:
    if len(one.tracks) <= MANY:
        steps(ax, one.tracks, view)
    shares = [f", {share:.0%}" for share in one.plane.shares] or ["", ""]
    x, y = AXES.get(one.plane.kind, ("alpha", "beta"))
    ax.set(xlim=view.alphas[[0, -1]], ylim=view.betas[[0, -1]], xlabel=x + shares[0], ylabel=y + shares[1])
    if one.plane.kind in EQUAL:
        ax.set_aspect("equal")
    if view.title:
        ax.set_title(view.title, fontsize=9)


def legend(
    below: SubFigure,
    landscapes: Sequence[Landscape],
    look: Mapping[str, dict[str, Any]],
    numbers: Mapping[str, int],
) -> None:
    tracks = {track.name: track for one in landscapes for track in one.tracks}
    handles = []
    texts = []
    for name, track in tracks.items():
        marker = "x" if track.status == "diverged" else look[name]["marker"]
        handles.append(Line2D([], [], **look[name] | {"marker": marker, "markersize": 5}))
        ended = "" if track.status == "done" else f" ({track.status})"
        texts.append(f"{numbers[name]}  {name}{ended}" if numbers else name + ended)
    width = below.get_figure(root=True).get_figwidth()
    columns = _legend_columns(dict.fromkeys(texts), width)
    size = 7 if numbers else 8.5
    below.legend(handles, texts, loc="upper left", ncols=columns, fontsize=size, handlelength=3, columnspacing=1.2)
