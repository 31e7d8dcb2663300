"""A figure as a moving picture: drawn again for every step, and written as GIF or MP4."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from optbench.checks import UserError
from optbench.plots import style

DPI = 90
"""Of a figure that moves."""
REST = 2
"""Seconds for which the last picture stays."""
COLOURS = 128
"""Of a GIF's palette, that of its last picture."""


def check_kind(kind: str) -> None:
    """Refuse a moving picture that cannot be made.

    Raises:
        UserError: ffmpeg is missing.
    """
    if kind == "mp4" and not FFMpegWriter.isAvailable():
        raise UserError("animate=mp4 needs ffmpeg, which is not installed; use animate=gif")


def write(
    canvas: FigureCanvasAgg, show: Callable[[int], None], steps: Sequence[int], path: Path, kind: str, fps: int
) -> Path:
    """Write a figure at several steps as one moving picture, and return the file.

    Args:
        canvas: Of the figure.
        show: Changes the figure to what it shows at a step.
        steps: Those that are shown, one a picture.
        path: Where, without an extension.
        kind: `gif`, or `mp4` where ffmpeg is there.
        fps: Pictures a second.
    """

    def gif(file: Path) -> None:
        pictures = []
        for step in steps:
            show(step)
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
            pictures.append(Image.fromarray(pixels).convert("RGB"))
        palette = pictures[-1].quantize(COLOURS, Image.Quantize.FASTOCTREE)
        first, *others = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures]
        times = [1000 // fps] * len(others) + [1000 * REST]
        first.save(file, save_all=True, append_images=others, duration=times, loop=0)

    def mp4(file: Path) -> None:
        writer = FFMpegWriter(fps=fps)
        resting = [steps[-1]] * REST * fps
        with writer.saving(canvas.figure, str(file), dpi=DPI):
            for step in [*steps, *resting]:
                show(step)
                writer.grab_frame()

    return style.write(path, kind, gif if kind == "gif" else mp4)
