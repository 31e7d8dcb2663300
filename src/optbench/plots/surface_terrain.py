"""The terrain as figures: critical points, and what a path goes over."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from optbench.landscape.spectrum import Ground
from optbench.plots import style
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
    shape = contour if scene.surface.size == 2 else curve
    shape(overview, scene)
    for point in critical:
        x = float(point.point[0])
        y = float(point.point[1]) if len(point.point) == 2 else point.value
        overview.plot(x, y, markeredgecolor="black", zorder=6, **KINDS[point.kind])
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
    shown = {point.kind for point in critical} - {"minimum"}
    markers = [
        Line2D([], [], linestyle="", markeredgecolor="black", label=kind, **look)
        for kind, look in KINDS.items()
        if kind in shown
    ]
    if markers:
        overview.legend(handles=markers, loc="upper right", frameon=True, framealpha=0.85)
    legend(figure, scene)
    return figure


def draw_run(grounds: Sequence[Ground], title: str) -> Figure:
    """Return the figure of the ground under a network as it was trained."""
    figure = Figure(figsize=(11.2, 4.4))
    left, right = figure.subplots(1, 2)
    steps = np.array([g.step for g in grounds])
    large = style.line("sgd", points=len(steps))
    small = style.line("adam", points=len(steps)) | {"linestyle": style.DASHED}
    left.plot(steps, [g.loss for g in grounds], label="loss", **large)
    left.plot(steps, [g.gradient_norm for g in grounds], label="gradient norm", **small)
    left.set(title="loss and gradient norm", xlabel="step", yscale="log")
    right.plot(steps, [g.highest for g in grounds], label="largest eigenvalue", **large)
    right.plot(steps, [g.lowest for g in grounds], label="smallest eigenvalue", **small)
    right.axhline(0, color="#9aa7b5", linewidth=1)
    right.set(title="extreme eigenvalues of the Hessian", xlabel="step")
    for axes in (left, right):
        axes.legend()
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
