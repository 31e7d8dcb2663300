"""A landscape as a surface in space, and its paths as they grow."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from optbench.landscape.arrays import Floats, evenly
from optbench.landscape.picture import Landscape, Projection
from optbench.plots import moving, style
from optbench.plots.landscape import (
    AXES,
    MANY,
    Levels,
    caption,
    legend,
    legend_height,
    levels,
    looks,
    surface,
)

FRAMES = 60
FPS = 10
LIFT = 0.012
"""Height of a path above the surface, as a share of the surface's own: else it would vanish in it."""


def relief(landscapes: Sequence[Landscape], title: str, notes: Sequence[str] = ()) -> Figure:
    """Return the surfaces of landscapes in space, at most four, each path on its surface.

    A path is drawn where it is within the window, at the plane's heights: these, not the true ones, are on the surface.
    """
    shown = landscapes[:4]
    columns = 1 if len(shown) == 1 else 2
    rows = math.ceil(len(shown) / columns)
    names = dict.fromkeys(track.name for one in shown for track in one.tracks)
    width = 6.6 * columns
    below_height = legend_height(names, width)
    made = Figure(figsize=(width, 5.6 * rows + below_height))
    above, below = np.ravel(made.subfigures(2, 1, squeeze=False, height_ratios=[5.6 * rows, below_height]))
    look = looks([track for one in shown for track in one.tracks])
    scale = levels([one.views[0].values for one in shown])
    for i, one in enumerate(shown, 1):
        ax = above.add_subplot(rows, columns, i, projection="3d", computed_zorder=False)
        _surface(ax, one, scale, look)
    legend(below, shown, look, {})
    said = [*notes, *([f"{len(landscapes) - len(shown)} more pictures are not shown here"] * (len(landscapes) > 4))]
    style.remark(below, caption(shown, said))
    style.entitle(made, title)
    return made


def _surface(ax: Any, one: Landscape, scale: Levels, look: dict[str, dict[str, Any]]) -> None:
    view = one.views[0]
    raised = np.log10 if scale.log else np.asarray
    heights = raised(np.where(np.isfinite(view.values), view.values, np.nan))
    low, high = (float(raised(edge)) for edge in scale.edges[[0, -1]])
    x, y = np.meshgrid(view.alphas, view.betas)
    pale = low - 0.2 * (high - low)  # white is the paper's
    ax.plot_surface(
        x, y, heights, cmap=style.HEIGHTS, vmin=pale, vmax=high, rstride=1, cstride=1, linewidth=0, zorder=1
    )
    lines = raised(scale.lines)
    if len(lines):
        ax.contour(x, y, heights, lines, colors="#5f6f80", linewidths=0.5, zorder=2)
    for track in one.tracks:
        inside = _inside(track, view.alphas, view.betas)
        own = look[track.name]
        if inside.any():
            xy = track.coordinates
            z = raised(np.clip(track.shadows, *scale.edges[[0, -1]])) + LIFT * (high - low)
            kept = [np.where(inside, values, np.nan) for values in (*xy.T, z)]
            ax.plot(*kept, color=own["color"], linestyle=own["linestyle"], linewidth=1.8, zorder=3)
            last = int(np.flatnonzero(inside)[-1])
            ax.plot(
                *(v[last : last + 1] for v in kept),
                own["marker"],
                color=own["color"],
                markeredgecolor="white",
                zorder=4,
            )
    names = AXES.get(one.plane.kind, ("alpha", "beta"))
    ax.set(
        xlabel=names[0], ylabel=names[1], zlim=(low, high), title=": ".join(x for x in (one.plane.kind, one.title) if x)
    )
    ax.zaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value if scale.log else value:.3g}"))
    ax.set_zlabel(f"{one.split} {one.what}")
    ax.view_init(elev=38, azim=-60)
    ax.tick_params(labelsize=7)


def _inside(track: Projection, alphas: Floats, betas: Floats) -> NDArray[np.bool_]:
    x, y = track.coordinates.T
    inside: NDArray[np.bool_] = (
        (x >= alphas[0]) & (x <= alphas[-1]) & (y >= betas[0]) & (y <= betas[-1]) & np.isfinite(track.shadows)
    )
    return inside


def animate(one: Landscape, title: str, path: Path, kind: str) -> Path:
    """Write the paths of a landscape as they grow, and return the file; call it inside `style.context()`.

    Args:
        one: The landscape.
        title: What stands above.
        path: Where, without an extension.
        kind: `gif`, or `mp4` where ffmpeg is there.
    """
    made = Figure(figsize=(8.4, 5.2), dpi=moving.DPI)
    canvas = FigureCanvasAgg(made)
    ax, beside = made.subplots(1, 2, width_ratios=[1.5, 1])
    view = one.views[0]
    scale = levels([view.values])
    surface(ax, view, scale)
    ax.set(xlim=view.alphas[[0, -1]], ylim=view.betas[[0, -1]])
    ax.set(xlabel=AXES.get(one.plane.kind, ("alpha", ""))[0], ylabel=AXES.get(one.plane.kind, ("", "beta"))[1])
    look = looks(one.tracks)
    drawn = []
    for track in one.tracks:
        own = {k: look[track.name][k] for k in ("color", "linestyle")}
        marker = look[track.name]["marker"]
        (trail,) = ax.plot([], [], **own)
        (head,) = ax.plot([], [], marker, color=own["color"], markeredgecolor="white", markersize=8)
        (curve,) = beside.plot(track.steps, track.values, **own, label=track.name)
        drawn.append((track, trail, head, curve))
        ax.plot(*track.coordinates[:1].T, "*", color="black", markersize=12, markeredgecolor="white", zorder=5)
    beside.set(title=f"true {one.split} {one.what}", yscale="log" if scale.log else "linear")
    if len(one.tracks) <= MANY:
        beside.legend(fontsize=7.5)
    beside.set(xlim=beside.get_xlim(), ylim=_clipped(one))
    style.entitle(made, title)
    canvas.draw()  # type: ignore[no-untyped-call]
    made.set_layout_engine("none")  # panels are not to move with the numbers

    def show(step: int) -> None:
        for track, trail, head, curve in drawn:
            n = int((track.steps <= step).sum())
            trail.set_data(*track.coordinates[:n].T)
            head.set_data(*track.coordinates[max(0, n - 1) : n].T)
            curve.set_data(track.steps[:n], track.values[:n])
        beside.set_xlabel(f"step {step}")

    return moving.write(canvas, show, moments(one), path, kind, FPS)


def moments(one: Landscape) -> list[int]:
    """Return the steps that a moving picture shows: those recorded of any path, thinned evenly."""
    recorded = [track.steps for track in one.tracks if len(track.steps)]
    steps = np.unique(np.concatenate(recorded or [np.zeros(1)])).astype(int)
    return [int(step) for step in steps[evenly(len(steps), FRAMES)]]


def _clipped(one: Landscape) -> tuple[float, float]:
    """Return the limits of the true values of runs that are done."""
    done = [t.values[np.isfinite(t.values)] for t in one.tracks if t.status == "done"]
    values = np.concatenate(done or [np.zeros(0)])
    if not len(values):
        return 0.0, 1.0
    low = float(values.min())
    high = float(values.max())
    room = 0.05 * (high - low) or 0.5
    return (low * 0.9, high * 1.1) if low > 0 else (low - room, high + room)
