"""One look per optimizer for the whole suite, and the page that every figure is drawn on.

A look is a colour, a dash pattern and a marker, so that two lines differ in greyscale and for a colour-blind reader
too. It depends on the optimizer's name alone: a new optimizer changes nobody's.

    with style.context():
        axes.plot(x, y, **style.line("adam"))
        style.save(figure, directory / "loss")
"""

import os
import textwrap
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure, SubFigure
from PIL import Image

Dash = str | tuple[int, tuple[float, ...]]

SOLID = "-"
DASHED = (0, (5, 2))
DOTTED = (0, (1.5, 1.5))
DASHDOT = (0, (6, 2, 1.5, 2))
LONG = (0, (9, 3))
DOUBLE = (0, (6, 2, 1.5, 2, 1.5, 2))


class Look(NamedTuple):
    """How an optimizer is drawn: a colour, a dash pattern and a marker of matplotlib."""

    colour: str
    dash: Dash
    marker: str

    def line(self, points: int | None = None) -> dict[str, Any]:
        """Return the keywords of `Axes.plot`.

        Args:
            points: How many points the line has; about eight of them then carry the marker, else none.
        """
        keywords: dict[str, Any] = {"color": self.colour, "linestyle": self.dash}
        if points is not None:
            keywords |= {"marker": self.marker, "markevery": max(1, points // 8), "markersize": 4.5}
        return keywords


CHOSEN = {
    "sgd": Look("#000000", SOLID, "o"),
    "momentum": Look("#0072B2", SOLID, "s"),
    "nag": Look("#56B4E9", DASHED, "^"),
    "adagrad": Look("#009E73", DASHDOT, "D"),
    "rmsprop": Look("#CC79A7", SOLID, "v"),
    "adadelta": Look("#E69F00", DASHED, "P"),
    "adam": Look("#D55E00", SOLID, "X"),
}
"""The seven of the main study, in the colours of Okabe and Ito; and where a new name's look meets another's, a line."""

COLOURS = "#332288 #44AA99 #117733 #999933 #CC6677 #882255 #AA4499 #4477AA #8C510A #7F7F7F".split()
"""For all others, after Paul Tol's muted scheme: dark enough for a line on white."""
DASHES: list[Dash] = [DASHED, DASHDOT, LONG, DOUBLE]
MARKERS = "o s ^ D v P X < >".split()
SALT = 5275  # the first for which no two of the suite's optimizers are alike: near in colour and dash, and one marker

LIGHTER = ((1.0, 0.5), (1.0, 0.3), (1.0, 0.7), (1.0, 0.4))
EITHER = ((0.0, 0.55), (1.0, 0.3), (1.0, 0.55), (0.0, 0.75))
"""Of variants: towards white (1) or black (0), and how far; two dark ones beside each other would look alike."""

HEIGHTS = LinearSegmentedColormap.from_list("heights", ["#ffffff", "#e4eaf0", "#b9c6d3", "#8d9dae"])
"""Loss from low to high, pale enough for every look on top of it."""


def look(optimizer: str, variant: int = 0) -> Look:
    """Return how an optimizer is drawn.

    Args:
        optimizer: Its name, as of the config or the class: `adamw` and `AdamW` are the same.
        variant: From 0; tells apart several lines of one optimizer, by lightness and dash.
    """
    name = "".join(filter(str.isalnum, optimizer)).lower()
    if name in CHOSEN:
        own = CHOSEN[name]
    else:
        rest, i = divmod(zlib.crc32(name.encode(), SALT), len(COLOURS))
        rest, j = divmod(rest, len(DASHES))
        own = Look(COLOURS[i], DASHES[j], MARKERS[rest % len(MARKERS)])
    if not variant:
        return own
    dark = sum(to_rgb(own.colour)) < 1
    towards, share = (LIGHTER if dark else EITHER)[(variant - 1) % 4]
    red, green, blue = (c + (towards - c) * share for c in to_rgb(own.colour))
    dashes = [own.dash, *(dash for dash in (SOLID, DASHED, DOTTED, *DASHES[1:]) if dash != own.dash)]
    markers = [own.marker, *(marker for marker in MARKERS if marker != own.marker)]
    return Look(to_hex((red, green, blue)), dashes[variant % len(dashes)], markers[variant % len(markers)])


def line(optimizer: str, variant: int = 0, points: int | None = None) -> dict[str, Any]:
    """Return a look as keywords of `Axes.plot`; arguments as of `look` and `Look.line`."""
    return look(optimizer, variant).line(points)


def looks(owners: Mapping[str, str]) -> dict[str, Look]:
    """Return the look of each of several lines: its optimizer's own, or variants of it where that has several.

    Args:
        owners: The optimizer of each line, by the line's name.
    """
    seen: Counter[str] = Counter()
    found = {}
    for name, optimizer in owners.items():
        found[name] = look(optimizer, seen[optimizer])
        seen[optimizer] += 1
    return found


def shades(count: int) -> list[Any]:
    """Return so many colours, from dark to light."""
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.85, count)))


@contextmanager
def context() -> Iterator[None]:
    """Draw with the suite's defaults inside the `with`, and leave those of the process alone."""
    with matplotlib.rc_context(
        {
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 9.5,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.formatter.useoffset": False,
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.6,
            "legend.frameon": False,
            "legend.fontsize": 8.5,
            "svg.hashsalt": "optbench",
            "path.simplify_threshold": 0.5,
        }
    ):
        yield


def entitle(figure: Figure, title: str, caption: str = "", taken: float = 0.0) -> None:
    """Put a title above a figure and a caption, if there is one, below it, in lines that fit.

    So many inches beside the title are taken by others.
    """
    figure.suptitle(textwrap.fill(title, int(10.5 * (figure.get_figwidth() - taken))), x=0.01, ha="left")
    if caption:
        remark(figure, caption)


def remark(part: Figure | SubFigure, caption: str) -> None:
    """Put a caption below a figure or a part of one, in lines that fit."""
    width = part.get_figure(root=True).get_figwidth()
    part.supxlabel(textwrap.fill(caption, int(16.5 * width)), x=0.01, ha="left", fontsize=8, color="0.35")


def save(figure: Figure, path: Path, formats: Sequence[str] = ("png", "svg"), colours: int | None = None) -> list[Path]:
    """Write a figure, the same bytes for the same figure, and return the files.

    Every file is written beside its place and then renamed, so that a reader never meets half of one.

    Args:
        figure: The figure.
        path: Where, without an extension; its directory is made if it is missing.
        formats: Extensions that matplotlib can write.
        colours: Size of a PNG's palette, at most 256, which makes it a third of its size; by default none.
    """
    metadata = {"svg": {"Date": None}, "png": {"Software": None}}

    def make(kind: str, file: Path) -> None:
        figure.savefig(file, format=kind, metadata=metadata.get(kind))
        if kind == "png" and colours is not None:
            with Image.open(file) as image:
                image.convert("RGB").quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file)

    files = []
    layout = figure.get_layout_engine()
    for kind in formats:
        files.append(write(path, kind, partial(make, kind)))
        figure.set_layout_engine("none")  # all formats have the places that the first was given
    figure.set_layout_engine(layout)
    return files


def write(path: Path, kind: str, make: Callable[[Path], Any]) -> Path:
    """Let `make` write a file beside its place, rename it, and return it.

    Args:
        path: Where, without an extension; its directory is made if it is missing.
        kind: The extension.
        make: What writes to the path that it is given, which has the same extension.
    """
    final = path.with_name(f"{path.name}.{kind}")
    partial_file = path.with_name(f".{path.name}.{os.getpid()}.{kind}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        make(partial_file)
        partial_file.replace(final)
    finally:
        partial_file.unlink(missing_ok=True)
    return final
