"""The terrain as figures: critical points, and what a path goes over."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from optbench.landscape.spectrum import Ground
from optbench.plots.surface import legend
from optbench.plots.surface_shape import contour, curve
from optbench.plots.surface_steps import lines
from optbench.surfaces.scene import Scene
from optbench.surfaces.terrain import CriticalPoint, Terrain

KINDS: dict[str, dict[str, Any]] = {
    "minimum": {"marker": "*", "markersize": 12, "color": "#ffd400"},
    "saddle": {"marker": "X", "markersize": 8, "color": "#ffffff"},
    "maximum": {"marker": "^", "markersize": 8, "color": "#cc3311"},
    "degenerate": {"marker": "s", "markersize": 7, "color": "#aa4499"},
    "cusp": {"marker": "D", "markersize": 7, "color": "#ffd400"},
}


def draw(scene: Scene, critical: Sequence[CriticalPoint], terrains: Sequence[Terrain]) -> Figure:
    """Return the figure of a scene's terrain: the critical points, and by step what its tracks go over."""
    figure = Figure(figsize=(11.2, 8.8))
    overview, slope, bend, condition = figure.subplots(2, 2).flat
    (contour if scene.surface.size == 2 else curve)(overview, scene)
    for point in critical:
        where = point.point if len(point.point) == 2 else [float(point.point[0]), point.value]
        overview.plot(*([float(x)] for x in where), markeredgecolor="black", zorder=6, **KINDS[point.kind])
    shown = [kind for kind in KINDS if kind in {c.kind for c in critical} - {"minimum"}]
    for track, terrain in zip(scene.tracks, terrains, strict=True):
        lines(slope, track, terrain.gradient_norm.numpy())
        lines(bend, track, terrain.eigenvalues[:, -1].numpy())
        if scene.surface.size == 2:
            lines(bend, track, terrain.eigenvalues[:, 0].numpy(), linewidth=0.9)
        lines(condition, track, terrain.condition.numpy())
    slope.set(title="gradient norm by step", xlabel="step", yscale="log")
    bend.set(title="eigenvalues of the Hessian by step (thick: largest)", xlabel="step")
    bend.axhline(0, color="#9aa7b5", linewidth=1)
    condition.set(title="condition number by step", xlabel="step", yscale="log")
    markers = [Line2D([], [], linestyle="", markeredgecolor="black", label=kind, **KINDS[kind]) for kind in shown]
    if markers:
        overview.legend(handles=markers, loc="upper right", frameon=True, framealpha=0.85)
    legend(figure, scene)
    return figure


def draw_run(grounds: Sequence[Ground], title: str) -> Figure:
    """Return the figure of the ground under a network as it was trained."""
    figure = Figure(figsize=(11.2, 4.4))
    left, right = figure.subplots(1, 2)
    steps = np.array([g.step for g in grounds])
    for axes, name, values in (
        (left, "loss", [g.loss for g in grounds]),
        (left, "gradient norm", [g.gradient_norm for g in grounds]),
        (right, "largest eigenvalue", [g.highest for g in grounds]),
        (right, "smallest eigenvalue", [g.lowest for g in grounds]),
    ):
        axes.plot(steps, values, "o-" if name in ("loss", "largest eigenvalue") else "s--", label=name)
    finish(left, "loss and gradient norm", log=True)
    finish(right, "extreme eigenvalues of the Hessian")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def finish(axes: Axes, title: str, log: bool = False) -> None:
    """Give axes by step their title, scale and legend."""
    axes.set(title=title, xlabel="step", yscale="log" if log else "linear")
    axes.legend()
