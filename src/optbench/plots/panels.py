"""Small panels, one for each optimizer, and what the evidence's figures share."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullFormatter
from numpy.typing import NDArray

COLUMNS = 6  # of panels, so that a page holds them
SIZE = (2.3, 2.1)
WIDE = 10.0
"""How many times the smallest value above 0 the largest is, from where a linear axis would show most values as one."""
FAR = 3.0
"""How many times the distance between the quartiles a panel shows beyond them, where all would squash the rest."""


def grid(count: int, title: str, caption: str, share_y: bool = True) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels, with axes in common.

    Args:
        count: How many.
        title: What stands above.
        caption: What stands below.
        share_y: Whether what is up is common too.
    """
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(SIZE[0] * columns, 7.0), SIZE[1] * rows + 1.2))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=share_y).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    for ax in axes[max(count - columns, 0) : count]:  # the lowest of each column, whatever row that is
        ax.tick_params(labelbottom=True)
    entitle(figure, title, caption)
    return figure, axes[:count]


def entitle(figure: Figure, title: str, caption: str) -> None:
    """Put a title above a figure and a caption below it, in lines that its width holds."""
    figure.suptitle(title, x=0.01, ha="left")
    lines = [""]
    width = int(figure.get_figwidth() * 16)
    for word in caption.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color="0.35")


def log_axis(ax: Axes) -> None:
    """Put x on a log scale with decades as labels."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.xaxis.set_major_formatter(LogFormatterMathtext())
    ax.xaxis.set_minor_formatter(NullFormatter())


def swept_axis(ax: Axes, values: NDArray[np.float64]) -> None:
    """Put x on a scale that tells the values apart: logarithms where none is 0, and beside it where some are."""
    above = values[values > 0]
    if len(above) and (values > 0).all():
        log_axis(ax)
    elif len(above) and values.min() == 0 and above.max() >= WIDE * above.min():
        ax.set_xscale("symlog", linthresh=above.min(), linscale=0.5)
        ax.xaxis.set_minor_formatter(NullFormatter())


def window(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits that show all values, or most where a few would squash the others."""
    known: Any = np.asarray([x for x in values if math.isfinite(x)], dtype=float)
    if not len(known):
        return 0.0, 1.0
    low = float(known.min())
    high = float(known.max())
    first, third = np.quantile(known, [0.25, 0.75])
    reach = FAR * float(third - first)
    if reach > 0 and high - low > 2 * (third - first + 2 * reach):
        low = max(low, float(first) - reach)
        high = min(high, float(third) + reach)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
