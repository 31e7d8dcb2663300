"""Lines with bands over seeds, in a grid of panels: which there are, how each is drawn, what the axes show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from optbench.plots import style
from optbench.results.frame import labels, written

CAPTION = "Line: mean over the seeds; band: from the lowest of them to the highest."
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
MANY = 8  # optimizers in one panel
RATIO = 20  # largest value by smallest from which on a log scale shows more


@dataclass(frozen=True, eq=False)
class Series:
    """The runs of one line, which differ in their seeds only.

    Attributes:
        optimizer: Whose they are.
        name: What the legend calls them.
        look: Keywords of `Axes.plot`.
        runs: Their rows of the frame.
    """

    optimizer: str
    name: str
    look: dict[str, Any]
    runs: pd.DataFrame

    def of(self, data: pd.DataFrame, *statuses: str) -> pd.DataFrame:
        """Return the part of evaluations or steps that belongs to runs of these statuses."""
        return data[data["run"].isin(self.runs.index[self.runs["status"].isin(statuses)])]


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


def split(frame: pd.DataFrame, together: bool = False) -> list[Series]:
    """Return the lines of a frame of runs, in its order.

    Args:
        frame: The runs.
        together: Whether all lines share a panel, so that each has a look of its own. Else, where the runs differ in
            more than the optimizer, the look tells these settings, and each optimizer belongs in panels of its own.
    """
    optimizers, keys = frame["optimizer"], labels(frame)
    names = frame[keys[1:]].map(written).agg(", ".join, axis=1) if keys[1:] else optimizers
    if not keys[1:]:
        # markers too where colour and dash alone would no longer tell all of them apart
        looks = {name: style.line(name, points=1 if names.nunique() > MANY else None) for name in names}
    elif together:
        variants, names = pd.factorize(names)[0].tolist(), optimizers + ", " + names
        looks = {name: style.line(o, v) for name, o, v in zip(names, optimizers, variants, strict=True)}
    else:
        looks = _shades(frame, names)
    return [
        Series(optimizers[runs.index[0]], names[runs.index[0]], looks[names[runs.index[0]]], runs)
        for _, runs in frame.groupby(keys, sort=False, dropna=False)
    ]


def draw(
    frame: pd.DataFrame,
    data: pd.DataFrame,
    panels: Sequence[Panel],
    title: str,
    caption: str = CAPTION,
    raw: pd.DataFrame | None = None,
) -> Figure:
    """Return a figure of panels, a line for each setting of the runs.

    Runs that differ in more than their optimizer have a row of panels for each optimizer, or a column where there is
    but one panel. Else the panels are side by side, or two by two where there are four.

    Args:
        frame: The runs.
        data: Their evaluations or steps.
        panels: What to show.
        title: What stands above.
        caption: What stands below.
        raw: Other values of the same columns, of which each setting's first run is drawn faintly.
    """
    series = split(frame)
    groups: dict[str, list[Series]] = {"": series}
    if len(labels(frame)) > 1 and frame["optimizer"].nunique() > 1:
        groups = {name: [s for s in series if s.optimizer == name] for name in frame["optimizer"].unique()}
    figure, grid = _layout(len(groups), len(panels))
    for i, panel in enumerate(panels):
        curves = {s: _curve(s.of(data, "done"), panel) for s in series}
        low, high, log = _window(list(curves.values()))
        for ax, (name, group) in zip(grid[:, i], groups.items(), strict=True):
            for s in group:
                if raw is not None:
                    first = raw[raw["run"] == s.runs.index[0]]
                    ax.plot(first[panel.x], first[panel.y], color=s.look["color"], alpha=0.2, lw=0.6, rasterized=True)
                _line(ax, s, curves[s])
                _crosses(ax, s, data, panel, high if panel.scale == 1 else low)
            _leaving(ax, {s.name: curves[s] for s in group}, low, high)
            _axes(ax, panel, low, high, log)
            ax.set_title(f"{name}: {panel.title}" if name else panel.title)
    legend(figure, series, ", ".join(labels(frame)[1:]) or None)
    if "diverged" in set(frame["status"]):
        caption += " Cross: where a run was last seen before it diverged."
    figure.suptitle(title, x=0.01, ha="left")
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color="0.35")
    return figure


def legend(figure: Figure, series: Sequence[Series], title: str | None) -> None:
    """Put one legend of all lines to the right of a figure's panels; it says which settings lack runs."""
    handles = {}
    for name in dict.fromkeys(s.name for s in series):
        status = pd.concat([s.runs["status"] for s in series if s.name == name])
        lacking = [f"\n{n} of {len(status)} {what}" for what, n in status.value_counts().items() if what != "done"]
        handles[name + "".join(lacking)] = Line2D([], [], **next(s.look for s in series if s.name == name))
    figure.legend(list(handles.values()), list(handles), title=title, loc="outside right upper", handlelength=3.2)


def _shades(frame: pd.DataFrame, names: "pd.Series[str]") -> dict[str, dict[str, Any]]:
    """Return a look for each setting: from dark to light where it is a number, else a colour of its own."""
    keys, distinct = labels(frame)[1:], names.unique()
    if len(keys) == 1 and pd.to_numeric(frame[keys[0]], errors="coerce").nunique() > 1:
        colours: Iterable[Any] = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(distinct)))
    else:
        colours = (style.COLOURS[i % len(style.COLOURS)] for i in range(len(distinct)))
    dashes = [style.SOLID, *style.DASHES]
    return {
        name: {"color": colour, "linestyle": dashes[i % len(dashes)]}
        for i, (name, colour) in enumerate(zip(distinct, colours, strict=True))
    }


def _layout(groups: int, panels: int) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes, shape (groups, panels), however these are arranged."""
    rows, columns = groups, panels
    if groups == 1 and panels == 4:
        rows, columns = 2, 2
    elif panels == 1:
        rows, columns = -(-groups // 4), min(groups, 4)
    figure = Figure(figsize=(min(3.9 * columns + 2, 13), (3.0 if rows < 3 else 2.2) * rows + 0.8))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[groups * panels :]:
        ax.remove()
    return figure, axes[: groups * panels].reshape(groups, panels)


def _curve(data: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return x, mean, lowest and highest by step over the runs of a line, the untrained model left out."""
    steps = data[data["step"] > 0].groupby("step")
    y, x = steps[panel.y], steps[panel.x].mean()
    return panel.scale * pd.DataFrame({"mean": y.mean(), "min": y.min(), "max": y.max()}).assign(x=x / panel.scale)


def _window(curves: Sequence[pd.DataFrame]) -> tuple[float, float, bool]:
    """Return the y-limits that show all lines, or most where a few would squash the others, and whether to use logs."""
    values = np.concatenate([curve[["mean", "min", "max"]].to_numpy().ravel() for curve in curves])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0, False
    log = values.min() > 0 and values.max() / values.min() > RATIO
    values = np.log10(values) if log else values
    low, high = values.min(), values.max()
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 3 * (third - first)
    most = max(low, first - reach), min(high, third + reach)
    if high - low > 2 * (most[1] - most[0]) > 0:
        low, high = most
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    low, high = low - margin, high + margin
    return (10**low, 10**high, True) if log else (low, high, False)


def _line(ax: Axes, series: Series, curve: pd.DataFrame) -> None:
    alone: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(curve) == 1 else {}
    ax.plot(curve["x"], curve["mean"], **alone | series.look | {"markevery": max(1, len(curve) // 8)})
    if (series.runs["status"] == "done").sum() > 1:
        ax.fill_between(curve["x"], curve["min"], curve["max"], color=series.look["color"], alpha=0.15, linewidth=0)


def _crosses(ax: Axes, series: Series, data: pd.DataFrame, panel: Panel, edge: float) -> None:
    """Mark where each diverged run was last seen, at the edge towards which it left."""
    last = series.of(data, "diverged").groupby("run")[panel.x].max()
    last = last[last > 0] if panel.log else last
    if len(last):
        ax.plot(last, np.full(len(last), edge), "x", color=series.look["color"], markersize=7, clip_on=False)


def _axes(ax: Axes, panel: Panel, low: float, high: float, log: bool) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(plain)
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.yaxis.set_minor_formatter(plain if high < 1000 * low else NullFormatter())
    ax.set_ylim(low, high)
    ax.set_xlabel(panel.label)
    if panel.log:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(plain)
        ax.xaxis.set_minor_formatter(NullFormatter())
    elif panel.x == "epoch":
        ax.xaxis.set_major_locator(MaxNLocator(integer=ax.get_xlim()[1] >= 2))


def _leaving(ax: Axes, curves: Mapping[str, pd.DataFrame], low: float, high: float) -> None:
    """Name the lines that leave the panel, with how far they go."""
    below = [f"{name} (to {c['mean'].min():.3g})" for name, c in curves.items() if c["mean"].min() < low]
    above = [f"{name} (to {c['mean'].max():.3g})" for name, c in curves.items() if c["mean"].max() > high]
    for names, y, va in ((below, 0.02, "bottom"), (above, 0.98, "top")):
        if names:
            text = "outside: " + ", ".join(names)
            ax.text(0.98, y, text, transform=ax.transAxes, ha="right", va=va, fontsize=7.5, color="0.35", bbox=PAPER)
