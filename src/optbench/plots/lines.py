"""Lines with bands over seeds, in a grid of panels: what each panel shows, and what its axes show of it."""

import math
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from optbench.plots import style
from optbench.plots.series import Series, beside, legend, split
from optbench.results.frame import labels

BANDS = "Line: mean over the seeds; band: from the lowest of them to the highest."
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
RATIO = 10  # largest value by smallest from which on a log scale shows more
SQUASHED = 0.5  # share of a common axis below which a row of panels has an axis of its own
BANDED = 12  # lines in a panel above which bands would hide them
NAMED = 3  # lines that a note names; the others are counted


@dataclass(frozen=True)
class Panel:
    """What one panel shows: two columns of the data, and what the axes call them.

    Attributes:
        y: Column.
        title: What it is called.
        x: Column.
        label: What it is called.
        log: Whether x is on a log scale.
    """

    y: str
    title: str
    x: str = "epoch"
    label: str = "epoch"
    log: bool = False

    @property
    def scale(self) -> float:
        """Accuracies are shown in per cent."""
        return 100.0 if self.y.endswith("accuracy") else 1.0

    @property
    def better(self) -> int:
        """Which way is better: 1 up, -1 down, 0 neither."""
        if self.y.endswith("accuracy"):
            return 1
        return -1 if self.y.endswith("loss") else 0


class Window(NamedTuple):
    """What a y-axis shows: its limits, and whether it is on a log scale."""

    low: float
    high: float
    log: bool

    @property
    def length(self) -> float:
        """Of the axis, in decades where it is on a log scale."""
        return math.log10(self.high / self.low) if self.log else self.high - self.low


def draw(
    frame: pd.DataFrame,
    data: pd.DataFrame,
    panels: Sequence[Panel],
    title: str,
    caption: str = "",
    raw: pd.DataFrame | None = None,
    rates: Mapping[Hashable, float] | None = None,
) -> Figure:
    """Return a figure of panels, a line for each setting of the runs.

    Runs that differ in more than their optimizer have a row of panels for each optimizer, or a column where there is
    but one panel. Else the panels are side by side, or two by two where there are four.

    Args:
        frame: The runs.
        data: Their evaluations or steps.
        panels: What to show.
        title: What stands above.
        caption: What stands below, after what lines and bands are.
        raw: Other values of the same columns, of which each setting's first run is drawn faintly.
        rates: Learning rate of each run by its row of the frame, for the legend.
    """
    series = split(frame)
    groups = _groups(frame, series)
    figure, grid = _layout(len(groups), len(panels), series, rates or {})
    banded = max(len(group) for group in groups.values()) <= BANDED
    notes = [_meaning(series, banded), caption]
    for column, panel in zip(grid.T, panels, strict=True):
        curves = {s: _curve(s.shown(data), panel) for s in series}
        windows = _windows(groups, curves, panel)
        if len(set(windows.values())) > 1:
            notes.append("Rows differ in their axes.")
        for axes, (name, group) in zip(column, groups.items(), strict=True):
            window = windows[name]
            worst = window.low if panel.better > 0 else window.high
            for s in group:
                _faint(axes, s, raw, panel)
                _line(axes, s, curves[s], banded)
                _crosses(axes, s, data, panel, worst)
            _finish(axes, panel, name, {s.name: curves[s] for s in group}, window)
    legend(figure, series, ", ".join(labels(frame)[1:]) or None, rates)
    if "diverged" in set(frame["status"]):
        notes.append("Cross: where a run was last seen before it diverged.")
    told = dict.fromkeys(note for note in notes if note)
    room = beside(series, rates or {}, figure.get_figheight())
    style.entitle(figure, title, " ".join(told), room)
    return figure


def _finish(axes: Axes, panel: Panel, name: str, curves: Mapping[str, pd.DataFrame], window: Window) -> None:
    """Give a panel with its lines its axes, its title and a note of what leaves it."""
    _leaving(axes, curves, window)
    _axes(axes, panel, window)
    _single(axes, list(curves.values()))
    title = f"{name}: {panel.title}" if name else panel.title
    axes.set_title(textwrap.fill(title, int(11 * _inches(axes))))


def _inches(axes: Axes) -> float:
    """Return how many inches of a figure's width a panel has."""
    return float(axes.figure.get_figwidth() / axes.get_gridspec().ncols)  # type: ignore[union-attr]


def _meaning(series: Sequence[Series], banded: bool) -> str:
    """Return what lines and bands are; with one run of each setting there are no bands."""
    most = max((int((s.runs["status"] == "done").sum()) for s in series), default=0)
    if most > 1:
        return BANDS if banded else "Line: mean over the seeds."
    seeds = {seed for s in series for seed in s.runs["seed"]}
    return f"Each line is one run, of seed {seeds.pop()}." if len(seeds) == 1 else "Each line is one run."


def _groups(frame: pd.DataFrame, series: Sequence[Series]) -> dict[str, list[Series]]:
    """Return the lines of each row of panels by the optimizer, or all of them in one row without a name."""
    optimizers = frame["optimizer"].unique()
    if len(labels(frame)) == 1 or len(optimizers) == 1:
        return {"": list(series)}
    return {name: [s for s in series if s.optimizer == name] for name in optimizers}


def _layout(
    groups: int, panels: int, series: Sequence[Series], rates: Mapping[Hashable, float]
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure with room for its legend, and its axes, shape (groups, panels), however these are arranged."""
    rows = groups
    across = panels
    if groups == 1 and panels == 4:
        rows = 2
        across = 2
    elif panels == 1:
        across = min(groups, 4)
        rows = math.ceil(groups / across)
    height = (3.0 if rows < 3 else 2.2) * rows + 0.8
    figure = Figure(figsize=(min(3.9 * across, 11) + beside(series, rates, height), height))
    axes = figure.subplots(rows, across, squeeze=False).ravel()
    for empty in axes[groups * panels :]:
        empty.remove()
    return figure, axes[: groups * panels].reshape(groups, panels)


def _curve(data: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return x, mean, lowest and highest by step over the runs of a line, the untrained model left out."""
    steps = data[data["step"] > 0].groupby("step")
    y = steps[panel.y]
    curve = pd.DataFrame({"mean": y.mean(), "min": y.min(), "max": y.max()}, dtype=float)
    return (panel.scale * curve).assign(x=steps[panel.x].mean())


def _windows(
    groups: Mapping[str, Sequence[Series]], curves: Mapping[Series, pd.DataFrame], panel: Panel
) -> dict[str, Window]:
    """Return what the y-axis of each row shows: one for all, unless that would squash the lines of one of them."""
    common = _window(list(curves.values()), panel.better)
    own = {name: _window([curves[s] for s in group], panel.better) for name, group in groups.items()}
    within = {name: _window([curves[s] for s in group], panel.better, common.log) for name, group in groups.items()}
    if any(window.length < SQUASHED * common.length for window in within.values()):
        return own
    return dict.fromkeys(groups, common)


def _window(curves: Sequence[pd.DataFrame], better: int, log: bool | None = None) -> Window:
    """Return the y-limits that show all lines, or most where a few would squash the others, and whether to use logs.

    A line counts as a whole: it is shown from its first point to its last or, if it lies far from most, not counted on.
    Those that lie far on the better side are always shown.

    Args:
        curves: As from `_curve`.
        better: Which way is better, as of `Panel`.
        log: Whether to use logs; by what the values are if None.
    """
    lines = [_finite(curve) for curve in curves]
    lines = [values for values in lines if len(values)]
    if not lines:
        return Window(0.0, 1.0, False)
    everything = np.concatenate(lines)
    if log is None:
        log = bool(everything.min() > 0 and everything.max() / everything.min() > RATIO)
    if log:
        lines = [np.log10(values) for values in lines]
    low, high = _ends(lines)
    near_low, near_high = _ends(_near(lines, better))
    if high - low > 2 * (near_high - near_low) > 0:
        low = near_low
        high = near_high
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    bottom = low - margin
    top = high + margin
    return Window(10**bottom, 10**top, True) if log else Window(bottom, top, False)


def _finite(curve: pd.DataFrame) -> NDArray[np.float64]:
    """Return mean, lowest and highest of a line at the points where all are finite, shape (points, 3)."""
    values: NDArray[np.float64] = curve[["mean", "min", "max"]].to_numpy(float)
    return values[np.isfinite(values).all(axis=1)]


def _near(lines: Sequence[NDArray[Any]], better: int) -> list[NDArray[Any]]:
    """Return the lines whose median is not far below or above most, unless that is the better side."""
    middles = [float(np.median(values[:, 0])) for values in lines]
    first, third = np.quantile(middles, [0.25, 0.75])
    reach = 3 * (third - first)
    lowest = -math.inf if better < 0 else first - reach
    highest = math.inf if better > 0 else third + reach
    return [values for values, middle in zip(lines, middles, strict=True) if lowest <= middle <= highest]


def _ends(lines: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the lowest and the highest value of any line, with its band as far as it does not squash the lines.

    Args:
        lines: Of each, mean, lowest and highest by point, shape (points, 3).
    """
    values = np.concatenate(lines)
    low = float(values[:, 0].min())
    high = float(values[:, 0].max())
    room = high - low or math.inf
    return max(float(values.min()), low - room), min(float(values.max()), high + room)


def _faint(axes: Axes, series: Series, raw: pd.DataFrame | None, panel: Panel) -> None:
    """Draw the values themselves of a line's first run, if they are given."""
    if raw is None:
        return
    first = raw[raw["run"] == series.runs.index[0]]
    axes.plot(first[panel.x], first[panel.y], color=series.look["color"], alpha=0.2, lw=0.6, rasterized=True)


def _line(axes: Axes, series: Series, curve: pd.DataFrame, banded: bool) -> None:
    """Draw the mean, and if asked for a band where it is of several runs; fainter where no run is done."""
    done = int((series.runs["status"] == "done").sum())
    look: dict[str, Any] = {"markevery": max(1, len(curve) // 8)}
    if len(curve) == 1:
        look |= {"marker": "o", "markersize": 3.5}
    if not done:
        look |= {"alpha": 0.55}
    axes.plot(curve["x"], curve["mean"], **look | series.look)
    if banded and done > 1:
        axes.fill_between(curve["x"], curve["min"], curve["max"], color=series.look["color"], alpha=0.15, linewidth=0)


def _crosses(axes: Axes, series: Series, data: pd.DataFrame, panel: Panel, edge: float) -> None:
    """Mark where each diverged run was last seen, at the edge towards which it left."""
    last = series.of(data, "diverged").groupby("run")[panel.x].max()
    last = last[last > 0] if panel.log else last
    if len(last):
        axes.plot(last, np.full(len(last), edge), "x", color=series.look["color"], markersize=7, clip_on=False)


def _axes(axes: Axes, panel: Panel, window: Window) -> None:
    """Give a panel's axes their scales, limits and ticks."""
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if window.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(plain if window.high < 1000 * window.low else NullFormatter())
    axes.set_ylim(window.low, window.high)
    axes.set_xlabel(panel.label)
    if panel.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(plain)
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif panel.x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _single(axes: Axes, curves: Sequence[pd.DataFrame]) -> None:
    """Show a whole unit about a single point, where there is no other."""
    found = {float(x) for curve in curves for x in curve["x"]}
    if len(found) == 1 and axes.get_xscale() == "linear":
        (only,) = found
        axes.set_xlim(only - 1, only + 1)


def _leaving(axes: Axes, curves: Mapping[str, pd.DataFrame], window: Window) -> None:
    """Name the lines that leave the panel, with how far they go."""
    ends = {name: (float(curve["mean"].min()), float(curve["mean"].max())) for name, curve in curves.items()}
    below = [f"{name} (to {low:.3g})" for name, (low, _) in ends.items() if low < window.low]
    above = [f"{name} (to {high:.3g})" for name, (_, high) in ends.items() if high > window.high]
    if below:
        _note(axes, below, 0.02, "bottom")
    if above:
        _note(axes, above, 0.98, "top")


def _note(axes: Axes, names: Sequence[str], y: float, where: Any) -> None:
    """Write at the top or the bottom of a panel, no wider than it, what is outside."""
    more = len(names) - NAMED
    listed = ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
    text = textwrap.fill(f"outside: {listed}", max(24, int(10 * _inches(axes))))
    axes.text(0.98, y, text, transform=axes.transAxes, ha="right", va=where, fontsize=7.5, color="0.35", bbox=PAPER)
