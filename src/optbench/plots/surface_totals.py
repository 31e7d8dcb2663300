"""Panels of a number or a picture for each path: rates that were tried, steps to leave a saddle, matrices."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from optbench.plots import style
from optbench.plots.surface_shape import MINIMUM
from optbench.plots.surface_steps import TINY
from optbench.surfaces.scene import Scene

SADDLE: dict[str, Any] = {
    "marker": "X",
    "color": "#8d9dae",
    "markeredgecolor": "black",
    "markersize": 8,
    "linestyle": "",
    "alpha": 0.8,
}
SPAN = 4.0  # of the colours of a matrix's entries, to either side


def sweep(axes: Axes, scene: Scene) -> None:
    """Draw the loss at the end against the learning rate, where the rate is the best of a grid."""
    floor = scene.surface.floor or 0.0
    for track in scene.tracks:
        if track.sweep is not None:
            rates, losses = np.array(track.sweep)
            above = np.where(np.isfinite(losses), np.maximum(losses - floor, TINY), np.nan)
            axes.plot(rates, above, **style.line(track.optimizer, track.variant, len(rates)))
    axes.set(title="loss at the end by learning rate", xlabel="learning rate", xscale="log", yscale="log")
    ends = [v - floor for track in scene.tracks if track.sweep for v in track.sweep[1]]
    starts = [float(track.values[0]) - floor for track in scene.tracks]
    axes.set_ylim(0.3 * max(min(ends), TINY), 10 * max(starts))


def escape(axes: Axes, scene: Scene) -> None:
    """Draw how many steps each optimizer takes until it is a whole unit below where it would rest on the saddle."""
    last = scene.setting.steps
    took = [int(first) for first in scene.measured["escape"]]
    order = sorted(range(len(took)), key=took.__getitem__, reverse=True)
    for place, i in enumerate(order):
        stays = took[i] == last
        axes.barh(place, took[i], color="#dfe4ea" if stays else "#5b7fa6", height=0.7)
        axes.text(took[i], place, " stays" if stays else f" {took[i]}", va="center", fontsize=7.5)
    axes.set_yticks(range(len(order)), [scene.tracks[i].label for i in order], fontsize=7.5)
    axes.set(title="steps until f < -1", xlabel="step", xlim=(0, 1.06 * last), ylim=(-0.7, len(order) - 0.3))
    axes.grid(axis="y", visible=False)


def variance(axes: Axes, scene: Scene) -> None:
    """Draw the variance of a step on level ground, where the gradient is noise and nothing else."""
    beta = np.linspace(0, 0.995, 200)
    axes.plot(beta, (1 - beta) / (1 + beta), color="#9aa7b5", linewidth=3, label="(1 - β) / (1 + β)")
    for track, point in zip(scene.tracks, scene.measured["variance"], strict=True):
        look = style.look(track.optimizer, track.variant)
        at, measured = point.tolist()
        axes.plot(at, measured, look.marker, color=look.colour, markersize=8, markeredgecolor="white")
    axes.set(title="variance of a step, in those of SGD", xlabel="β", yscale="log")
    axes.legend()


def index(axes: Axes, scene: Scene) -> None:
    """Draw the loss of critical points against their index, the number of directions in which the loss falls."""
    [pairs] = scene.measured["index"]
    values, falling = pairs.numpy().T
    for k in range(int(falling.max()) + 1):
        at = values[falling == k]
        look = MINIMUM if k == 0 else SADDLE
        axes.plot(np.full(len(at), k), at, **look)
        axes.text(k, values.max() + 0.06 * np.ptp(values), f"{len(at)}", ha="center", fontsize=8.5)
    axes.set(title="loss at a critical point (above: how many differ)")
    axes.set(xlabel="index: negative eigenvalues of the Hessian", xlim=(-0.6, falling.max() + 0.6))
    axes.set_xticks(range(int(falling.max()) + 1))
    axes.margins(y=0.12)


def matrices(axes: Axes, scene: Scene) -> None:
    """Draw a matrix, what is known of it, and what was found, side by side with two empty columns between."""
    tiles = scene.measured["matrices"]
    rows, columns = tiles[0].shape
    gap = torch.full((rows, 2), torch.nan, dtype=torch.float64)
    spaced = [part for tile in tiles for part in (tile, gap)]
    picture = axes.imshow(torch.cat(spaced[:-1], dim=1).numpy(), cmap="PuOr", vmin=-SPAN, vmax=SPAN)
    scale = axes.inset_axes((0.0, -0.34, 1.0, 0.06))
    scale.grid(False)
    axes.figure.colorbar(picture, cax=scale, orientation="horizontal", label="entry", extend="both")
    labels = ["A", "known", *(track.optimizer for track in scene.tracks)]
    middles = [i * (columns + 2) + columns / 2 - 0.5 for i in range(len(tiles))]
    axes.set_xticks(middles, labels)
    axes.set(yticks=[], title="the matrix, what is known of it, and U V' at the end")
    axes.grid(False)
