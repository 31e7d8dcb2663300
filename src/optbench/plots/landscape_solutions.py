"""What the surface says about solutions, as figures: spectra by optimizer, and the barriers between all pairs."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from optbench.landscape.solutions import Barriers, Spectrum
from optbench.plots import style
from optbench.plots.panels import grid

WIDTH = 0.01
"""Of a node, as a share of the range of all eigenvalues."""
LOWEST = 1e-6
NAMED = 16
"""Solutions up to which every height is written."""


def spectra(found: Sequence[Spectrum], title: str) -> Figure:
    """Return the densities of the Hessian's eigenvalues, a panel each on common axes.

    A zero eigenvalue is where most lie in a network; the scale is a logarithm, so that single large ones are seen.
    """
    made, axes = grid(len(found), 4, (3.1, 2.2))
    nodes = np.concatenate([one.density.values for one in found])
    low = float(nodes.min())
    high = float(nodes.max())
    width = WIDTH * (high - low) or 1e-3
    points = np.linspace(low - 5 * width, high + 5 * width, 1500)
    densities = [one.density.at(points, width) for one in found]
    highest = max(float(density.max()) for density in densities)
    for ax, one, density in zip(axes, found, densities, strict=True):
        colour = style.look(one.optimizer).colour
        ax.fill_between(points, LOWEST, density, color=colour, alpha=0.3, linewidth=0)
        ax.plot(points, density, color=colour, linewidth=1.1)
        ends = one.density.values
        ax.set_title(textwrap.fill(f"{one.name}: {ends.min():.2g} to {ends.max():.3g}", 34), fontsize=8.5)
        ax.set(yscale="log", ylim=(LOWEST, 3 * highest))
        ax.axvline(0, color="0.6", linewidth=0.6)
    made.supxlabel("eigenvalue of the Hessian", fontsize=9)
    made.supylabel("density", fontsize=9)
    style.entitle(made, f"{title}: spectrum at the end, by stochastic Lanczos quadrature")
    return made


def barrier_map(table: Barriers, title: str) -> Figure:
    """Return the barriers between all pairs of solutions as a heat map."""
    count = len(table.names)
    side = max(4.5, 0.34 * count + 2.5)
    made = Figure(figsize=(side + 1.2, side))
    ax = made.subplots()
    heights = np.ma.masked_invalid(table.heights)
    image = ax.imshow(heights, cmap="cividis_r", vmin=0)
    ax.set_xticks(range(count), table.names, rotation=90, fontsize=7.5)
    ax.set_yticks(range(count), table.names, fontsize=7.5)
    ax.grid(False)
    if count <= NAMED:
        middle = float(heights.max()) / 2
        for i, j in np.ndindex(count, count):
            value = table.heights[i, j]
            ax.text(
                j, i, f"{value:.2g}", ha="center", va="center", fontsize=7, color="white" if value > middle else "black"
            )
    bar = made.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label("height above the line between the ends")
    said = "; ".join(["barriers of the loss on the segments between solutions", *table.notes])
    style.entitle(made, f"{title}: {said}")
    return made
