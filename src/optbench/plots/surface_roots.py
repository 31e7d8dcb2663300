"""Panels of Newton and Raphson's method: tangents that lead to a root of f, and to one of its derivative."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from optbench.plots import style
from optbench.plots.surface_steps import Floats
from optbench.surfaces.scene import Scene, Track


def roots(axes: Axes, scene: Scene) -> None:
    """Draw f, and the tangents by which Newton and Raphson's method comes to where f is 0."""
    points, values = scene.surface.grid(300)
    for track, path in zip(scene.tracks, scene.measured["roots"], strict=True):
        tangents(axes, track, path[:, 0].numpy(), scene.surface.f(path).numpy())
    backdrop(axes, scene, points[:, 0].numpy(), values.numpy())
    axes.set(title="f, and tangents to f: its root")


def slopes(axes: Axes, scene: Scene) -> None:
    """Draw the derivative of f, and the tangents by which Newton's method comes to where that is 0."""
    window, *paths = scene.measured["slopes"]
    for track, path in zip(scene.tracks, paths, strict=True):
        tangents(axes, track, *path.numpy().T)
    backdrop(axes, scene, *window.numpy().T)
    axes.set(title="f', and tangents to f': the minimum of f")


def tangents(axes: Axes, track: Track, x: Floats, y: Floats) -> None:
    """Draw from each point of a curve the tangent to its zero, and from there the way up to the next point."""
    look: dict[str, Any] = style.line(track.optimizer, track.variant)
    for (a, height), (b, then) in pairwise(zip(x, y, strict=True)):
        axes.plot([a, b], [height, 0], **look | {"linewidth": 1.4, "linestyle": "-"})
        axes.plot([b, b], [0, then], **look | {"linewidth": 1.1, "linestyle": "--"})
    mark = {"marker": style.look(track.optimizer, track.variant).marker, "linestyle": ""}
    axes.plot(x, y, **look | mark | {"markersize": 5})


def backdrop(axes: Axes, scene: Scene, x: Floats, y: Floats) -> None:
    """Draw the curve behind, the line of zero, and nothing outside the window."""
    axes.plot(x, y, color="#9aa7b5", linewidth=3, zorder=1)
    axes.axhline(0, color="#444444", linewidth=0.8, zorder=1)
    margin = 0.06 * float(np.ptp(y))
    axes.set(xlim=scene.surface.window[0], ylim=(y.min() - margin, y.max() + margin), xlabel=scene.surface.labels[0])
