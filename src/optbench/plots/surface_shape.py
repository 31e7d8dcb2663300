"""Panels of a surface over one or two parameters, and the paths on it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from optbench.plots import style
from optbench.surfaces.scene import Scene
from optbench.surfaces.surface import Surface

ROUND = (1, 2, 2.5, 5, 10)  # between ticks, and their powers of ten
COARSE = 70
FINE = 141  # points of a grid along each side, in space
AS_IS = "f"
START: dict[str, Any] = {"marker": "o", "color": "white", "markeredgecolor": "black", "markersize": 6, "linestyle": ""}
MINIMUM: dict[str, Any] = {
    "marker": "*",
    "color": "#ffd400",
    "markeredgecolor": "black",
    "markersize": 11,
    "linestyle": "",
}


def space(axes: Any, scene: Scene) -> None:
    """Draw the surface, its contours on a plane below, and every path on both."""
    surface = scene.surface
    points, values = surface.grid(FINE)
    raised, label = relief(values)
    if label == AS_IS:  # logarithms have creases, which a coarse grid draws as saws
        points, values = surface.grid(COARSE)
    x = points[..., 0].numpy()
    y = points[..., 1].numpy()
    z = raised(values).numpy()
    drop = z.min() - 0.55 * (z.max() - z.min())
    axes.computed_zorder = False
    axes.set_in_layout(False)  # its labels are inside its box, and asking where costs as much as drawing
    axes.contourf(x, y, z, 16, zdir="z", offset=drop, cmap=style.HEIGHTS, zorder=1)
    axes.contour(x, y, z, 16, zdir="z", offset=drop, colors="#7d8b9a", linewidths=0.4, linestyles="solid", zorder=1)
    axes.plot_surface(
        x,
        y,
        z,
        cmap=style.HEIGHTS,
        rcount=len(z),
        ccount=len(z),
        linewidth=0.15 * (COARSE / len(z)) ** 2,
        edgecolor="#7d8b9a",
        alpha=0.8,
        zorder=3,
        rasterized=True,
    )
    for track in scene.tracks:
        cut, _ = inside(track.points, surface)
        height = raised(surface.f(cut)).numpy()
        px, py = cut.numpy().T
        look = style.line(track.optimizer, track.variant)
        axes.plot(px, py, np.where(np.isnan(px), np.nan, drop), **look | {"linewidth": 1.1}, zorder=2)
        axes.plot(px, py, height, **look | {"linewidth": 1.9}, zorder=5)
        axes.plot(*px[:1, None], *py[:1, None], *height[:1, None], **START | {"markersize": 4.5}, zorder=6)
    for low in torch.tensor(surface.minima, dtype=torch.float64):
        axes.plot(*low[:, None].numpy(), raised(surface.f(low))[None].numpy(), **MINIMUM | {"markersize": 8}, zorder=4)
    axes.set(xlim=surface.window[0], ylim=surface.window[1], zlim=(drop, z.max()), title="")
    axes.set_zlabel(label, labelpad=1)
    heights = MaxNLocator(5, steps=ROUND).tick_values(z.min(), z.max())
    slack = 0.01 * (z.max() - z.min())
    axes.set(xlabel=surface.labels[0], ylabel=surface.labels[1])
    axes.view_init(elev=28, azim=-58)
    axes.set_box_aspect((1, 1, 0.85), zoom=1.2)
    axes.set_anchor("W")  # the labels are on its right
    axes.tick_params(labelsize=7.5, pad=0)
    axes.locator_params(axis="y", nbins=6, steps=ROUND)
    axes.locator_params(axis="x", nbins=6, steps=ROUND, prune="upper")  # it would meet the first of y
    axes.set_zticks([height for height in heights if z.min() - slack <= height <= z.max() + slack])
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_visible(False)
    for artist in axes.get_children():
        artist.set_clip_on(False)  # the corners of the surface lie outside the square that the axes are
    axes.grid(False)


def contour(axes: Axes, scene: Scene) -> None:
    """Draw the contours with the paths, their starts, and the minima."""
    surface = scene.surface
    from_above(axes, surface)
    for track in scene.tracks:
        x, y = track.points.numpy().T
        dots: dict[str, Any] = {"marker": ".", "markersize": 3.5} if len(x) <= 60 else {}
        halo = [withStroke(linewidth=3, foreground="white", alpha=0.7)]
        axes.plot(x, y, **style.line(track.optimizer, track.variant) | dots, path_effects=halo)
        axes.plot(x[:1], y[:1], **START, zorder=4)
        if within(track.points[-1].tolist(), surface):
            look = style.look(track.optimizer, track.variant)
            end: dict[str, Any] = {"marker": look.marker, "color": look.colour, "markeredgecolor": "white"}
            axes.plot(x[-1:], y[-1:], markersize=7, zorder=4, clip_on=False, **end)


def from_above(axes: Axes, surface: Surface) -> None:
    """Draw a surface from above, its minima, and where it may not be entered."""
    points, values = surface.grid(300)
    x = points[..., 0].numpy()
    y = points[..., 1].numpy()
    raised, _ = relief(values)
    z = raised(values).numpy()
    axes.contourf(x, y, z, 18, cmap=style.HEIGHTS)
    axes.contour(x, y, z, 18, colors="#7d8b9a", linewidths=0.5, linestyles="solid")
    for constraint in surface.constraints:
        margin = constraint(points).numpy()
        axes.contourf(x, y, margin, [0, math.inf], colors=["white"], alpha=0.6)
        axes.contour(x, y, margin, [0], colors="#333333", linewidths=1.2)
    for low in surface.minima:
        if within(low, surface):
            axes.plot(*([v] for v in low), **MINIMUM, zorder=5, clip_on=False)
    (left, right), (bottom, top) = surface.window
    if 0.7 < (right - left) / (top - bottom) < 1.5:
        axes.set_aspect("equal", anchor="W")  # a path then meets the contours at right angles
    axes.set(xlim=surface.window[0], ylim=surface.window[1], xlabel=surface.labels[0], ylabel=surface.labels[1])
    axes.grid(False)


def curve(axes: Axes, scene: Scene) -> None:
    """Draw a function of one parameter with the iterates on it."""
    surface = scene.surface
    points, values = surface.grid(600)
    axes.plot(points[:, 0].numpy(), values.numpy(), color="#9aa7b5", linewidth=3, zorder=1)
    for track in scene.tracks:
        x = track.points[:, 0].numpy()
        y = track.values.numpy()
        look = style.line(track.optimizer, track.variant) | {
            "marker": style.look(track.optimizer, track.variant).marker
        }
        axes.plot(x, y, **look | {"linewidth": 0.9, "markersize": 4.5})
    for low in surface.minima:
        axes.plot(low, surface.f(torch.tensor([low], dtype=torch.float64)).numpy(), **MINIMUM, zorder=5)
    margin = 0.06 * float(values.max() - values.min())
    axes.set(xlim=surface.window[0], ylim=(float(values.min()) - margin, float(values.max()) + margin))
    axes.set(title=surface.formula, xlabel=surface.labels[0])


def relief(values: Tensor) -> tuple[Callable[[Tensor], Tensor], str]:
    """Return how heights are drawn, and the label of their axis: as they are, or as logarithms where most are low."""
    low = float(values.min())
    middle = float(values.median())
    high = float(values.max())
    if high - low <= 10 * max(1.0, middle - low):
        return (lambda z: z), AS_IS
    return (lambda z: torch.log10(1 + (z - low).clamp(min=0))), "log₁₀(1 + f - min f)"


def within(point: Sequence[float], surface: Surface) -> bool:
    """Return whether a point lies in the window."""
    return all(low <= x <= high for x, (low, high) in zip(point, surface.window, strict=True))


def inside(points: Tensor, surface: Surface) -> tuple[Tensor, Tensor]:
    """Return a path (k, n) cut at the edges of the window, and the step at each of its points.

    The crossings are added, with steps between two whole ones; where the path is outside there is one NaN.
    """
    low, high = torch.tensor(surface.window, dtype=points.dtype).unbind(-1)
    a = points[:-1]
    step = points.diff(dim=0)
    crossings = torch.stack([(low - a) / step, (high - a) / step])  # 0 / 0 where a step runs along an edge
    enter = crossings.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf).amin(0).amax(-1).clamp(min=0)
    leave = crossings.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf).amax(0).amin(-1).clamp(max=1)
    seen = (enter <= leave) & points[1:].isfinite().all(-1)
    goes_on = torch.zeros_like(seen)
    goes_on[:-1] = seen[:-1] & (leave[:-1] == 1) & seen[1:] & (enter[1:] == 0)
    kept = torch.stack([seen & ~goes_on.roll(1), seen, seen & ~goes_on], dim=1)
    ends = torch.stack([a + enter[:, None] * step, a + leave[:, None] * step, torch.full_like(a, math.nan)], dim=1)
    times = torch.arange(len(a))[:, None] + torch.stack([enter, leave, leave], dim=1)
    return ends[kept], times[kept]
