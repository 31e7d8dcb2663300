"""The loss surface on one plane through weight space, with the path of every optimizer."""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from optbench.checks import UserError
from optbench.landscape.arrays import Array
from optbench.landscape.grid import losses
from optbench.landscape.plane import Plane, nearest
from optbench.landscape.task import Task as Problem
from optbench.landscape.task import task as problem
from optbench.plots import style
from optbench.plots.series import legend, split
from optbench.results.frame import Results, labels

RESOLUTION = 41  # points of the grid along each side
MARGIN = 0.1  # room around the paths, as a share of the longer side
SLIMMEST = 0.5  # shorter side of a window by its longer one
FAR = 2.5  # a path that leads so many times further than most has them drawn once more, closer

CAPTION = """\
Loss on the first {} training examples, seed {}; darker is higher. Star: the common start; markers: ends.
The plane is the one through the start that is nearest to all paths. Per cent: the part of their squared distances from
the start that lies along a direction, or in the plane; outside it a path's own loss is not that of the surface."""


def landscape(results: Results, title: str) -> Figure:
    """Return the loss on the plane nearest to the paths of one seed's runs, as far as these share their start.

    The seed is the first of those of which most runs were done. Where a few paths lead much further than the others, a
    second panel shows the others from close.

    Raises:
        UserError: No run of the seed kept its trajectory, or none came to its end.
    """
    frame = results.frame
    finished = frame[frame["status"] == "done"]
    if finished.empty:
        raise UserError("no run came to its end, so there is no plane to show")
    seed = finished.groupby("seed").size().idxmax()
    runs = {i: run for i, run in results.runs.items() if frame["seed"][i] == seed}
    paths = {i: run.trajectory[1] for i, run in runs.items() if run.trajectory is not None}
    starts = [paths[i][0] for i in paths if i in finished.index]
    if not starts:
        raise UserError(f"no run of seed {seed} kept its trajectory; train with trajectory=true")
    others = [i for i in paths if not np.array_equal(paths[i][0], starts[0])]
    paths = {i: path for i, path in paths.items() if i not in others}
    done = {i: path for i, path in paths.items() if i in finished.index}
    plane, shares = nearest(list(done.values()))
    coordinates = {i: plane.coordinates(path) for i, path in paths.items()}
    reach = {i: float(np.linalg.norm(coordinates[i], axis=1).max()) for i in done}
    near = [i for i in done if reach[i] <= FAR * np.median(list(reach.values()))]
    model = problem(runs[next(iter(done))].config)
    series = [
        replace(
            s,
            name=f"{s.name}, {plane.share(done[i]):.0%}" if (i := s.runs.index[0]) in done else s.name,
            look=s.look | ending(s.optimizer, frame["status"][i]),
        )
        for s in split(frame.loc[list(paths)], together=True)
    ]
    views = [list(done), near] if len(near) < len(done) else [list(done)]
    windows = [window(np.concatenate([coordinates[i] for i in view])) for view in views]
    ratios = [float(width / height) for width, height in (sides @ [-1, 1] for sides in windows)]
    figure = Figure(figsize=(min(4.6 * sum(ratios), 11) + 3.4, min(4.6, 11 / sum(ratios)) + 1.4), layout="compressed")
    panels = figure.subplots(1, len(views), squeeze=False, width_ratios=ratios).flat
    for ax, sides, heading in zip(panels, windows, ["all paths" if len(views) > 1 else "", "closer"], strict=False):
        surface(ax, model, plane, sides)
        for s in series:
            ax.plot(*coordinates[s.runs.index[0]].T, **s.look)
        ax.plot(0, 0, "*", color="black", markersize=13, markeredgecolor="white", zorder=5)
        ax.set(xlim=sides[0], ylim=sides[1], aspect="equal", title=heading)
        ax.set(xlabel=f"first direction, {shares[0]:.0%}", ylabel=f"second direction, {shares[1]:.0%}")
    legend(figure, series, ", ".join([*labels(frame), "share in the plane"]))
    figure.suptitle(title, x=0.01, ha="left")
    caption = CAPTION.format(len(model.x), seed) + f" Not shown: {len(others)} runs from another start." * bool(others)
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color="0.35")
    return figure


def window(coordinates: Array) -> Array:
    """Return lowest and highest coordinate along both axes, shape (2, 2), around all points."""
    low, high = coordinates.min(0), coordinates.max(0)
    longer = float((high - low).max()) or 1.0
    grown = np.maximum(high - low, SLIMMEST * longer) + 2 * MARGIN * longer
    middle = (low + high) / 2
    return np.stack([middle - grown / 2, middle + grown / 2], 1)


def surface(ax: Axes, model: Problem, plane: Plane, sides: Array) -> None:
    """Fill the contours of a loss over a window, in equal ratios; where it is not finite there are none."""
    axes = [np.linspace(low, high, RESOLUTION) for low, high in sides]
    points = np.stack(np.meshgrid(*axes), -1)
    loss = losses(model, plane, points.reshape(-1, 2)).reshape(points.shape[:2])
    heights = np.log10(np.where(np.isfinite(loss) & (loss > 0), loss, np.nan))
    ax.contourf(*axes, heights, levels=24, cmap=style.HEIGHTS)
    lines = ax.contour(*axes, heights, levels=10, colors="#5f6f80", linewidths=0.5, linestyles="solid")
    ax.clabel(lines, fmt=lambda height: f"{10**height:.2g}", fontsize=7)
    ax.set_facecolor("0.75")
    ax.grid(False)


def ending(optimizer: str, status: str) -> dict[str, Any]:
    """Return the marker of a path's end as keywords of `Axes.plot`: a thin cross where it diverged."""
    if status == "diverged":
        return {"marker": "x", "markevery": [-1], "markersize": 9}
    return {"marker": style.look(optimizer).marker, "markevery": [-1], "markersize": 8, "markeredgecolor": "white"}
