"""The family tree of the optimizers: who extends whom, and by which idea."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from optbench.plots import style

CLEAR = {"facecolor": "white", "linewidth": 0, "pad": 0.8}
BESIDE: dict[str, Any] = {"textcoords": "offset points", "va": "center", "zorder": 3}


def family(frame: pd.DataFrame) -> Figure:
    """Draw each optimizer at its year, below what it extends, its ideas beside it.

    Args:
        frame: Rows with `class`, `year` and `extends`, as `optbench.certificates.properties.table` returns them.
    """
    years = dict(zip(frame["class"], frame["year"], strict=True))
    extends: dict[str, dict[str, str]] = dict(zip(frame["class"], frame["extends"], strict=True))
    rows = {name: i for i, name in enumerate(lineage(years, extends))}
    early = min(years.values())
    figure = Figure(figsize=(13, 0.235 * len(rows) + 1))
    axes = figure.subplots()
    for name, row in rows.items():
        look = style.look(name)
        at = place(years[name], early)
        parent = next((parent for parent in extends[name] if parent in rows), None)
        if parent:
            x = place(years[parent], early)
            colour = style.look(parent).colour
            axes.plot([x, x, at], [rows[parent], row, row], color=colour, linewidth=1, zorder=1)
        axes.plot(at, row, "o", color=look.colour, markersize=5, zorder=4)
        ideas = "; ".join(f"{parent}, {idea}" for parent, idea in extends[name].items())
        text = axes.annotate(f"{name} ", (at, row), (7, 0), bbox=CLEAR, **BESIDE)
        axes.annotate(ideas, (1, 0.5), (1, 0), xycoords=text, color="0.4", size=7.5, bbox=CLEAR, **BESIDE)
    ticks = [y for y in (1951, 1964, 1980, 1993, 2005, 2010, 2015, 2020, 2025) if y >= early]
    axes.set_xticks([place(y, early) for y in ticks], [str(y) for y in ticks])
    axes.set_xlim(-0.5, place(2025, early) + 11)
    axes.set_ylim(len(rows) - 0.3, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.5)
    axes.set_title("Who extends whom, and by which idea; the line leads to the first that is named")
    return figure


def place(year: float, early: float) -> float:
    """Return where a year stands: six years before 2005 take as much room as one after."""
    return (min(year, 2005) - early) / 6 + max(year - 2005, 0)


def lineage(years: dict[str, int], extends: dict[str, dict[str, str]]) -> list[str]:
    """Return all names so that each family stands together: a parent, then its children by year, each with theirs."""
    children: dict[str | None, list[str]] = {}
    for name in sorted(years, key=lambda name: (years[name], name)):
        first = next((parent for parent in extends[name] if parent in years), None)
        children.setdefault(first, []).append(name)

    def walk(name: str) -> list[str]:
        return [name, *(below for child in children.get(name, []) for below in walk(child))]

    return [name for root in children.get(None, []) for name in walk(root)]
