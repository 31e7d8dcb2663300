"""Small panels, one for each optimizer, and what the evidence's figures share."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullFormatter
from numpy.typing import NDArray

WIDE = 10.0
"""How many times the smallest value above 0 the largest is, from where a linear axis would show most values as one."""
FAR = 3.0
"""How many times the distance between the quartiles a panel shows beyond them, where all would squash the rest."""


def grid(
    count: int,
    most: int = 6,
    size: tuple[float, float] = (2.3, 2.1),
    least: float = 7.0,
    share_x: bool = True,
    share_y: bool = True,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of small panels, and their axes.

    Args:
        count: Panels.
        most: Panels side by side at most.
        size: Of a panel, in inches.
        least: Inches of the figure's width, for its title, however few panels there are.
        share_x: Whether what is along is common to all.
        share_y: Whether what is up is common to all.
    """
    columns = min(count, most)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(size[0] * columns, least), size[1] * rows + 1.2))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    for ax in axes[max(count - columns, 0) : count]:  # the lowest of each column, whatever row that is
        ax.tick_params(labelbottom=True)
    return figure, axes[:count]


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
