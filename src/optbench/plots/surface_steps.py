"""Panels by step: what the paths come to."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from optbench.plots import style
from optbench.surfaces.scene import Scene, Track

Floats = NDArray[np.float64]

TINY = 1e-16  # what a log axis shows for 0


def loss(axes: Axes, scene: Scene) -> None:
    """Draw the loss by step, above the lowest value where that is known."""
    floor = scene.surface.floor
    floor = 0.0 if floor is not None and abs(floor) < 1e-12 else floor
    for track in scene.tracks:
        values = track.values.numpy()
        lines(axes, track, values if floor is None else np.abs(values - floor))
    if floor is None and scene.tracks and min(float(t.values.nan_to_num(0).min()) for t in scene.tracks) <= 0:
        axes.set(title="f by step", xlabel="step")
    else:
        shown = above(floor or 0.0)
        bars = shown if not scene.surface.constraints else f"|{shown}|"
        axes.set(title=f"{bars} by step", xlabel="step", yscale="log")


def above(floor: float) -> str:
    """Return the difference of f to a value in words."""
    if floor == 0:
        return "f"
    sign = "-" if floor > 0 else "+"
    return f"f {sign} {abs(floor):.4g}"


def distance(axes: Axes, scene: Scene) -> None:
    """Draw the distance to the nearest minimum by step."""
    minima = torch.tensor(scene.surface.minima, dtype=torch.float64)
    for track in scene.tracks:
        lines(axes, track, (track.points[:, None] - minima).norm(dim=-1).amin(-1).numpy())
    nearest = "nearest minimum" if len(minima) > 1 else "minimum"
    axes.set(title=f"distance to the {nearest} by step", xlabel="step", yscale="log")


def iterates(axes: Axes, scene: Scene) -> None:
    """Draw the parameters by step."""
    for track in scene.tracks:
        for i, values in enumerate(track.points.numpy().T):
            lines(axes, track, values, linewidth=1.6 - 0.6 * i)
    thick, *thin = scene.surface.labels[: scene.surface.size]
    what = f"{thick} (thick) and {thin[0]} (thin)" if thin else thick
    axes.set(title=f"{what} by step", xlabel="step")


def rate(axes: Axes, scene: Scene) -> None:
    """Draw the learning rate by step."""
    for track in scene.tracks:
        lines(axes, track, np.array(track.rates))
    axes.set(title="learning rate by step", xlabel="step")


def regret(axes: Axes, scene: Scene) -> None:
    """Draw what the steps so far have lost, on average, by not being at the minimum."""
    settled = 1e-9
    for track, mean in zip(scene.tracks, scene.measured["regret"], strict=True):
        lines(axes, track, mean.numpy())
        settled = max(settled, float(mean[len(mean) // 20 :].abs().max()))
    axes.axhline(0, color="#9aa7b5", linewidth=1)
    axes.set_ylim(-0.1 * settled, 1.3 * settled)
    axes.set(title="mean regret of the steps so far", xlabel="step")


def recovery(axes: Axes, scene: Scene) -> None:
    """Draw the error where the matrix is not known by step."""
    for track, error in zip(scene.tracks, scene.measured["recovery"], strict=True):
        lines(axes, track, error.numpy())
    axes.set(title="relative error of the entries that are not known", xlabel="step", yscale="log")


def lines(axes: Axes, track: Track, values: Floats, **look: Any) -> None:
    """Draw values by step, and a cross where they end early."""
    noisy = bool((np.diff(np.sign(np.diff(values))) != 0).mean() > 0.4)
    keywords = style.line(track.optimizer, track.variant, len(values)) | ({"linewidth": 0.9} if noisy else {}) | look
    positive = bool((values[np.isfinite(values)] >= 0).all())
    axes.plot(np.maximum(values, TINY) if positive else values, **keywords)
    if track.diverged is not None:
        last = track.diverged - 1
        axes.plot(last, values[last], "x", color=keywords["color"], markersize=9, markeredgewidth=2.2)
