"""The terrain as figures: critical points, and what a path goes over."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from optbench.landscape.spectrum import Ground
from optbench.plots import style
from optbench.plots.surface import legend
from optbench.plots.surface_shape import contour, curve
from optbench.plots.surface_steps import lines
from optbench.surfaces.scene import Scene
from optbench.surfaces.terrain import CriticalPoint, Terrain

KINDS: dict[str, dict[str, Any]] = {
    "global minimum": {"marker": "*", "markersize": 14, "color": "#ffd400"},
    "local minimum": {"marker": "*", "markersize": 11, "color": "#ffffff"},
    "saddle": {"marker": "X", "markersize": 8, "color": "#ffffff"},
    "global maximum": {"marker": "^", "markersize": 9, "color": "#cc3311"},
    "local maximum": {"marker": "^", "markersize": 8, "color": "#ffffff"},
    "degenerate": {"marker": "s", "markersize": 7, "color": "#aa4499"},
    "cusp": {"marker": "D", "markersize": 7, "color": "#ffd400"},
}
GROUNDS = {
    "plateau": "#e3c878",
    "valley": "#8fc49a",
    "ravine": "#4f9a94",
    "canal": "#7fb2d9",
    "saddle": "#b08cc0",
    "ridge": "#d98b80",
    "slope": "#b9c6d3",
    "lost": "#ffffff",
}
"""Colours of what a path goes over."""


def draw(scene: Scene, critical: Sequence[CriticalPoint], terrains: Sequence[Terrain]) -> Figure:
    """Return the figure of a scene's terrain: the critical points, and by step what its tracks go over."""
    strip = 0.8 + 0.3 * len(scene.tracks)
    figure = Figure(figsize=(11.2, 8.8 + strip))
    rows = figure.add_gridspec(3, 2, height_ratios=(4.4, 4.4, strip))
    overview, slope, bend, condition = (figure.add_subplot(rows[i, j]) for i in (0, 1) for j in (0, 1))
    shape = contour if scene.surface.size == 2 else curve
    shape(overview, scene)
    _mark(overview, critical)
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
    ground(figure.add_subplot(rows[2, :]), scene, terrains)
    found = any(point.kind == "minimum" for point in critical)
    legend(figure, replace(scene, surface=replace(scene.surface, minima=())) if found else scene)
    return figure


def _mark(axes: Axes, critical: Sequence[CriticalPoint]) -> None:
    """Draw critical points, with a legend of their kinds."""
    for point in critical:
        x = float(point.point[0])
        y = float(point.point[1]) if len(point.point) == 2 else point.value
        axes.plot(x, y, markeredgecolor="black", zorder=6, linestyle="", **KINDS[point.name])
    shown = {point.name for point in critical}
    kinds = {kind: look for kind, look in KINDS.items() if kind in shown}
    markers = [
        Line2D([], [], linestyle="", markeredgecolor="black", label=kind, **look) for kind, look in kinds.items()
    ]
    if markers:
        axes.legend(handles=markers, loc="upper left", bbox_to_anchor=(1, 1))


def ground(axes: Axes, scene: Scene, terrains: Sequence[Terrain]) -> None:
    """Draw a bar for each path, coloured by what it goes over."""
    for row, terrain in enumerate(terrains):
        step = 0
        for name, same in groupby(terrain.names):
            length = len(list(same))
            axes.barh(row, length, left=step - 0.5, height=0.7, color=GROUNDS[name])
            step += length
    met = {name for terrain in terrains for name in terrain.names}
    handles = [Patch(color=colour, label=name) for name, colour in GROUNDS.items() if name in met]
    axes.legend(handles=handles, ncols=len(GROUNDS), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
    last = max((len(terrain.names) for terrain in terrains), default=1)
    axes.set_yticks(range(len(terrains)), [track.label for track in scene.tracks])
    axes.set(title="the ground by step", xlabel="step", xlim=(-0.5, last - 0.5), ylim=(len(terrains) - 0.5, -0.5))
    axes.grid(False)


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
