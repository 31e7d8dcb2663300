"""Gradients by layer and step, as a figure."""

import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from optbench.landscape.gradients import Gradients
from optbench.plots import style
from optbench.plots.panels import grid


def draw(found: Sequence[Gradients], results: Sequence[str], title: str) -> Figure:
    """Return the gradient's norm in each layer by step, a panel a run, on common axes.

    Args:
        found: At least one.
        results: What each run came to, for its panel's title.
        title: What stands above.
    """
    made, axes = grid(len(found), 4, (3.2, 2.35), share_x=False)
    deepest = max(len(one.layers) for one in found)
    shade = ScalarMappable(Normalize(1, max(2, deepest)), matplotlib.colormaps["viridis"])
    for ax, one, result in zip(axes, found, results, strict=True):
        for layer in range(len(one.layers)):
            norms = np.where(one.norms[:, layer] > 0, one.norms[:, layer], np.nan)
            ax.plot(one.steps, norms, color=shade.to_rgba(np.array(layer + 1)), linewidth=1.2)
        ax.set_title(textwrap.fill(one.name, 34) + f"\n{result}", fontsize=8)
        ax.set_yscale("log")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    positive = np.concatenate([one.norms[one.norms > 0] for one in found] or [np.ones(1)])
    positive = positive[np.isfinite(positive)]
    if len(positive):  # an exact zero, or what underflows, is below the panel
        axes[0].set_ylim(max(positive.min() / 2, positive.max() * 1e-16), 2 * positive.max())
    bar = made.colorbar(shade, ax=axes, shrink=0.9, pad=0.01)
    bar.set_label("layer, from the input to the output")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    made.supxlabel("step", fontsize=9)
    made.supylabel("norm of the gradient", fontsize=9)
    style.entitle(made, f"{title}: the gradient in each layer's weights")
    return made
