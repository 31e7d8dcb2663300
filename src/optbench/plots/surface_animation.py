"""A scene as a moving picture: the paths as they grow, beside their loss."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from optbench.checks import UserError
from optbench.plots import moving, style
from optbench.plots.surface import legend, ticks
from optbench.plots.surface_shape import START, curve, from_above
from optbench.plots.surface_steps import loss
from optbench.surfaces.scene import Scene

FPS = 15  # of a moving picture


def check_animation(scenes: Sequence[Scene], kind: str) -> None:
    """Refuse a moving picture that cannot be made.

    Raises:
        UserError: ffmpeg is missing, or a scene has no path over one or two parameters.
    """
    moving.check_kind(kind)
    for scene in scenes:
        if scene.surface.size > 2 or not scene.tracks:
            raise UserError(f"animate={kind}: {scene.name} has no path over one or two parameters; leave animate out")


def animate(scene: Scene, path: Path, kind: str, frames: int = 90) -> Path:
    """Write the paths as they grow, and return the file; call it inside `style.context()`.

    Args:
        scene: A scene over one or two parameters.
        path: Where, without an extension.
        kind: `gif`, or `mp4` where ffmpeg is there.
        frames: Pictures, spread over the steps so that the first steps are shown one by one.
    """
    figure = Figure(figsize=(9.0, 4.8), dpi=moving.DPI)
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    surface = scene.surface
    if surface.size == 2:
        from_above(left, surface)
    else:
        curve(left, replace(scene, tracks=()))
    loss(right, scene)
    ticks(right.yaxis)
    legend(figure, scene)
    grown = [line for line in right.get_lines() if len(line.get_xydata()) > 1]  # the others are crosses
    final = [line.get_xydata() for line in grown]
    heads = []
    for track in scene.tracks:
        look = style.look(track.optimizer, track.variant)
        if surface.size == 2:
            left.plot(*track.points[:1].numpy().T, **START, zorder=4)
        (trail,) = left.plot([], [], **style.line(track.optimizer, track.variant))
        (head,) = left.plot([], [], look.marker, color=look.colour, markeredgecolor="white", markersize=8)
        heads.append((trail, head))
    right.set(xlabel="step", xlim=right.get_xlim(), ylim=right.get_ylim())
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")  # panels are not to move with the numbers
    last = max(len(track.points) for track in scene.tracks) - 1
    shown = (np.unique(np.geomspace(1, last + 1, frames).round().astype(int)) - 1).tolist()

    def show(step: int) -> None:
        for track, (trail, head), line, full in zip(scene.tracks, heads, grown, final, strict=True):
            x = track.points[: step + 1].numpy()
            y = x[:, 1] if surface.size == 2 else track.values[: step + 1].numpy()
            trail.set_data(x[:, 0], y)
            head.set_data(x[-1:, 0], y[-1:])
            line.set_data(full[: step + 1, 0], full[: step + 1, 1])
        right.set_xlabel(f"step {step}")

    return moving.write(canvas, show, shown, path, kind, FPS)
