"""A scene as a figure: the surface with every path on it, and what the paths come to."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.animation import FFMpegWriter
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from optbench.checks import UserError, nearest
from optbench.plots import style
from optbench.surfaces.scene import Scene, Track, step_variance
from optbench.surfaces.surface import Surface

Array = NDArray[np.float64]

ROUND = (1, 2, 2.5, 5, 10)  # between ticks, and their powers of ten
FPS = 15  # of a moving picture
TINY = 1e-16  # what a log axis shows for 0
START: dict[str, Any] = {"marker": "o", "color": "white", "markeredgecolor": "black", "markersize": 6, "linestyle": ""}
MINIMUM: dict[str, Any] = {
    "marker": "*",
    "color": "#ffd400",
    "markeredgecolor": "black",
    "markersize": 11,
    "linestyle": "",
}


def draw(scene: Scene) -> Figure:
    """Return the figure of a scene; call it, and save it, inside `style.context()`."""
    panels = [PANELS[name] for name in names(scene)]
    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = {1: 7.0, 2: 5.6, 3: 4.6}[columns] * columns
    height = 1.5 + 0.17 * len(scene.tracks) if names(scene) == ("escape",) else 4.4 * rows
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")  # to measure all text would cost as much as to draw
    notes = textwrap.wrap(" ".join(scene.notes), int(15.5 * width))
    figure.text(0.07 / width, 0.07 / height, "\n".join(notes), va="bottom", fontsize=8.5, color="#444444")
    margins = (
        1.25 if names(scene) == ("escape",) else 0.6,
        0.15,
        legend(figure, scene) + 0.25,
        0.55 + 0.16 * len(notes),
    )
    grid = cells(figure, rows, columns, *margins)
    for i, (panel, projection) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(i, columns)], projection=projection)
        panel(axes, scene)
        if projection is None:
            ticks(axes.xaxis, whole=axes.get_xlabel() == "step")
            ticks(axes.yaxis)
    return figure


def cells(
    figure: Figure, rows: int, columns: int, left: float, right: float, top: float, bottom: float, gap: float = 0.7
) -> GridSpec:
    """Return a grid of equal cells inside margins in inches, with gaps between them for labels."""
    width, height = figure.get_size_inches()
    return GridSpec(
        rows,
        columns,
        figure,
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap * columns / (width - left - right - gap * (columns - 1)),
        hspace=gap * rows / (height - top - bottom - gap * (rows - 1)),
    )


def check_panels(scenes: Sequence[Scene]) -> None:
    """Refuse panels that do not exist, or that a scene has no data for.

    Raises:
        UserError: It names the panel.
    """
    for scene in scenes:
        for name in names(scene):
            if name not in PANELS:
                raise nearest("panel", name, PANELS, ", ".join(PANELS))
            size = {"space": 2, "contour": 2, "curve": 1}.get(name, scene.surface.size)
            if size != scene.surface.size:
                raise UserError(
                    f"{scene.surface.name}: panel {name} is for {size} parameters, not {scene.surface.size}"
                )
            if name == "distance" and not scene.surface.minima:
                raise UserError(
                    f"{scene.surface.name} has no minimum, so there is no distance to it; leave the panel out"
                )


def names(scene: Scene) -> tuple[str, ...]:
    """Return the panels of a scene: those of its setting, else all that suit it."""
    if scene.setting.panels is not None:
        return tuple(scene.setting.panels)
    shape = {1: ("curve",), 2: ("space", "contour")}.get(scene.surface.size, ())
    by_step = ("loss", *(("distance",) if scene.surface.minima else ())) if scene.tracks else ()
    return (*shape, *by_step)


def legend(figure: Figure, scene: Scene) -> float:
    """Put the title, and under it one legend for all panels, above them; return their height in inches."""
    handles = (
        []
        if names(scene) == ("escape",)
        else [
            Line2D([], [], label=t.label, **{**style.line(t.optimizer, t.variant, 1), "markevery": None})
            for t in scene.tracks
        ]
    )
    seen = {"space", "contour", "curve"} & set(names(scene))
    if scene.tracks and seen - {"curve"}:
        handles += [Line2D([], [], label="start", **START)]
    if scene.surface.minima and seen:
        handles += [Line2D([], [], label="minimum", **MINIMUM)]
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11 / (longest + 8))))
    title = textwrap.wrap(scene.title, int(10.5 * figure.get_figwidth()))
    figure.legend(
        handles=handles,
        ncols=columns,
        handlelength=3,
        title="\n".join(title),
        title_fontsize=12,
        alignment="left",
        loc="outside upper left",
    )
    return 0.1 + 0.2 * len(title) + 0.18 * math.ceil(len(handles) / columns)


def ticks(axis: Axis, whole: bool = False) -> None:
    """Put few and round ticks on an axis, at least two of them where it is logarithmic."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "log":
        axis.set_minor_locator(NullLocator())
        if high < 100 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FormatStrFormatter("%g"))
    elif not isinstance(axis.get_major_locator(), FixedLocator):
        axis.set_major_locator(MaxNLocator(6, steps=ROUND, integer=whole))


# Panels ----------------------------------------------------------------------------------------------------------


def space(axes: Any, scene: Scene) -> None:
    """Draw the surface, its contours on a plane below, and every path on both."""
    surface = scene.surface
    points, values = surface.grid(70)
    raised, label = relief(values)
    x, y, z = points[..., 0].numpy(), points[..., 1].numpy(), raised(values).numpy()
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
        rcount=60,
        ccount=60,
        linewidth=0.15,
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
    axes.set(xlabel=surface.labels[0], ylabel=surface.labels[1])
    axes.view_init(elev=28, azim=-58)
    axes.set_box_aspect((1, 1, 0.85), zoom=1.2)
    axes.set_anchor("W")  # the labels are on its right
    axes.tick_params(labelsize=7.5, pad=0)
    axes.locator_params(nbins=6, steps=ROUND)
    axes.locator_params(axis="x", prune="upper")  # it would meet the first of y
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_visible(False)
    for artist in axes.get_children():
        artist.set_clip_on(False)  # the corners of the surface lie outside the square that the axes are
    axes.grid(False)


def contour(axes: Axes, scene: Scene) -> None:
    """Draw the contours with the paths, their starts, and the minima."""
    surface = scene.surface
    ground(axes, surface)
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


def ground(axes: Axes, surface: Surface) -> None:
    """Draw a surface from above, its minima, and where it may not be entered."""
    points, values = surface.grid(200)
    x, y = points[..., 0].numpy(), points[..., 1].numpy()
    raised, _ = relief(values)
    z = raised(values).numpy()
    axes.contourf(x, y, z, 18, cmap=style.HEIGHTS)
    axes.contour(x, y, z, 18, colors="#7d8b9a", linewidths=0.5, linestyles="solid")
    for constraint in surface.constraints:
        margin = constraint(points).numpy()
        axes.contourf(x, y, margin, [0, math.inf], colors="none", hatches=["////"])
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
        x, y = track.points[:, 0].numpy(), track.values.numpy()
        look = style.line(track.optimizer, track.variant) | {
            "marker": style.look(track.optimizer, track.variant).marker
        }
        axes.plot(x, y, **look | {"linewidth": 0.9, "markersize": 4.5})
    for low in surface.minima:
        axes.plot(low, surface.f(torch.tensor([low], dtype=torch.float64)).numpy(), **MINIMUM, zorder=5)
    margin = 0.06 * float(values.max() - values.min())
    axes.set(xlim=surface.window[0], ylim=(float(values.min()) - margin, float(values.max()) + margin))
    axes.set(title=surface.formula)


def loss(axes: Axes, scene: Scene) -> None:
    """Draw the loss by step, above the lowest value where that is known."""
    floor = scene.surface.floor
    floor = 0.0 if floor is not None and abs(floor) < 1e-12 else floor
    for track in scene.tracks:
        values = track.values.numpy()
        lines(axes, track, values if floor is None else np.abs(values - floor))
    if floor is None and scene.tracks and min(float(t.values.nan_to_num(0).min()) for t in scene.tracks) <= 0:
        axes.set(title="f by step", xlabel="step")
    else:
        shown = "f" if not floor else f"f + {-floor:.4g}" if floor < 0 else f"f - {floor:.4g}"
        bars = shown if not scene.surface.constraints else f"|{shown}|"
        axes.set(title=f"{bars} by step", xlabel="step", yscale="log")


def distance(axes: Axes, scene: Scene) -> None:
    """Draw the distance to the nearest minimum by step."""
    minima = torch.tensor(scene.surface.minima, dtype=torch.float64)
    for track in scene.tracks:
        lines(axes, track, (track.points[:, None] - minima).norm(dim=-1).amin(-1).numpy())
    nearest = "nearest minimum" if len(minima) > 1 else "minimum"
    axes.set(title=f"distance to the {nearest} by step", xlabel="step", yscale="log")


def iterates(axes: Axes, scene: Scene) -> None:
    """Draw the parameters by step."""
    for track in scene.tracks:
        for i, values in enumerate(track.points.numpy().T):
            lines(axes, track, values, linewidth=1.6 - 0.6 * i)
    thick, *thin = scene.surface.labels[: scene.surface.size]
    what = f"{thick} (thick) and {thin[0]} (thin)" if thin else thick
    axes.set(title=f"{what} by step", xlabel="step")


def rate(axes: Axes, scene: Scene) -> None:
    """Draw the learning rate by step."""
    for track in scene.tracks:
        lines(axes, track, np.array(track.rates))
    axes.set(title="learning rate by step", xlabel="step")


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


def regret(axes: Axes, scene: Scene) -> None:
    """Draw what the steps so far have lost, on average, by not being at the minimum."""
    surface = scene.surface
    best = torch.tensor(surface.minima[0], dtype=torch.float64)
    step_loss, settled = surface.stream(scene.setting.batch or 1, scene.setting.seed), [1e-9]
    for track in scene.tracks:
        lost = [float(step_loss(x, t) - step_loss(best, t)) for t, x in enumerate(track.points[:-1], 1)]
        mean = np.cumsum(lost) / np.arange(1, len(lost) + 1)
        lines(axes, track, mean)
        settled += [np.abs(mean[len(mean) // 20 :]).max()]
    axes.axhline(0, color="#9aa7b5", linewidth=1)
    axes.set_ylim(-0.1 * max(settled), 1.3 * max(settled))
    axes.set(title="mean regret of the steps so far", xlabel="step")


def escape(axes: Axes, scene: Scene) -> None:
    """Draw how many steps each optimizer takes until it is a whole unit below where it would rest on the saddle."""
    last = scene.setting.steps
    took = [int(low[0]) if len(low := (track.values < -1).nonzero()) else last for track in scene.tracks]
    order = sorted(range(len(took)), key=took.__getitem__, reverse=True)
    for place, i in enumerate(order):
        look = style.look(scene.tracks[i].optimizer, scene.tracks[i].variant)
        axes.barh(place, took[i], color=look.colour, height=0.7)
        stays = "stays" if took[i] == last else str(took[i])
        axes.text(took[i], place, f" {stays}", va="center", fontsize=7.5)
    axes.set_yticks(range(len(order)), [scene.tracks[i].optimizer for i in order], fontsize=7.5)
    axes.set(title="steps until f < -1", xlabel="step", xlim=(0, 1.06 * last), ylim=(-0.7, len(order) - 0.3))
    axes.grid(axis="y", visible=False)


def variance(axes: Axes, scene: Scene) -> None:
    """Draw the variance of a step on level ground, where the gradient is noise and nothing else."""
    beta = np.linspace(0, 0.995, 200)
    axes.plot(beta, (1 - beta) / (1 + beta), color="#9aa7b5", linewidth=3, label="(1 - β) / (1 + β)")
    for track in scene.tracks:
        look = style.look(track.optimizer, track.variant)
        at, measured = step_variance(track.factory)
        axes.plot(at, measured, look.marker, color=look.colour, markersize=8, markeredgecolor="white")
    axes.set(title="variance of a step, in those of SGD", xlabel="β", yscale="log")
    axes.legend()


def matrices(axes: Axes, scene: Scene) -> None:
    """Draw a matrix, what is known of it, and what was found."""
    from optbench.surfaces.problems import Factorization

    problem = Factorization.draw()
    found = [problem.product(track.points[-1]) for track in scene.tracks]
    known = torch.where(problem.known, problem.matrix, torch.nan)
    gap = torch.full((len(known), 2), torch.nan, dtype=torch.float64)
    tiles = [problem.matrix, known, *found]
    picture = torch.cat([part for tile in tiles for part in (tile, gap)][:-1], dim=1)
    axes.imshow(picture.numpy(), cmap="PuOr", vmin=-4, vmax=4)
    step = known.shape[1] + 2
    labels = ["A", "known", *(t.optimizer for t in scene.tracks)]
    axes.set_xticks([i * step + known.shape[1] / 2 - 0.5 for i in range(len(tiles))], labels)
    axes.set(yticks=[], title="the matrix, what is known of it, and U V' at the end")
    axes.grid(False)


def recovery(axes: Axes, scene: Scene) -> None:
    """Draw the error where the matrix is not known by step."""
    from optbench.surfaces.problems import Factorization

    for track in scene.tracks:
        lines(axes, track, Factorization.draw().error(track.points).numpy())
    axes.set(title="relative error of the entries that are not known", xlabel="step", yscale="log")


Panel = Callable[[Any, Scene], None]
PANELS: dict[str, tuple[Panel, str | None]] = {
    panel.__name__: (panel, "3d" if panel is space else None)
    for panel in (
        space,
        contour,
        curve,
        loss,
        distance,
        iterates,
        rate,
        sweep,
        regret,
        escape,
        variance,
        matrices,
        recovery,
    )
}


def lines(axes: Axes, track: Track, values: Array, **look: Any) -> None:
    """Draw values by step, and a cross where they end early."""
    noisy = bool((np.diff(np.sign(np.diff(values))) != 0).mean() > 0.4)
    keywords = style.line(track.optimizer, track.variant, len(values)) | ({"linewidth": 0.9} if noisy else {}) | look
    positive = bool((values[np.isfinite(values)] >= 0).all())
    axes.plot(np.maximum(values, TINY) if positive else values, **keywords)
    if track.diverged is not None:
        last = track.diverged - 1
        axes.plot(last, values[last], "x", color=keywords["color"], markersize=9, markeredgewidth=2.2)


def relief(values: Tensor) -> tuple[Callable[[Tensor], Tensor], str]:
    """Return how heights are drawn, and the label of their axis: as they are, or as logarithms where most are low."""
    low, middle, high = float(values.min()), float(values.median()), float(values.max())
    if high - low <= 10 * max(1.0, middle - low):
        return (lambda z: z), "f"
    return (lambda z: torch.log10(1 + (z - low).clamp(min=0))), "log₁₀(1 + f - min f)"


def within(point: Sequence[float], surface: Surface) -> bool:
    """Return whether a point lies in the window."""
    return all(low <= x <= high for x, (low, high) in zip(point, surface.window, strict=True))


def inside(points: Tensor, surface: Surface) -> tuple[Tensor, Tensor]:
    """Return a path (k, n) cut at the edges of the window, and the step at each of its points.

    The crossings are added, with steps between two whole ones; where the path is outside there is one NaN.
    """
    low, high = torch.tensor(surface.window, dtype=points.dtype).unbind(-1)
    a, step = points[:-1], points.diff(dim=0)
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


# Animation -------------------------------------------------------------------------------------------------------


def check_animation(scenes: Sequence[Scene], kind: str) -> None:
    """Refuse a moving picture that cannot be made.

    Raises:
        UserError: ffmpeg is missing, or a scene has no path over one or two parameters.
    """
    if kind == "mp4" and not FFMpegWriter.isAvailable():
        raise UserError("animate=mp4 needs ffmpeg, which is not installed; use animate=gif")
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
    figure = Figure(figsize=(9.0, 4.8), dpi=90)
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    surface = scene.surface
    if surface.size == 2:
        ground(left, surface)
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
    shown = np.unique(np.geomspace(1, last + 1, frames).round().astype(int)) - 1

    def picture(step: int) -> Image.Image:
        for track, (trail, head), line, full in zip(scene.tracks, heads, grown, final, strict=True):
            x = track.points[: step + 1].numpy()
            y = x[:, 1] if surface.size == 2 else track.values[: step + 1].numpy()
            trail.set_data(x[:, 0], y)
            head.set_data(x[-1:, 0], y[-1:])
            line.set_data(full[: step + 1, 0], full[: step + 1, 1])
        right.set_xlabel(f"step {step}")
        canvas.draw()  # type: ignore[no-untyped-call]
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]

    def gif(file: Path) -> None:
        pictures = [picture(step) for step in shown]
        palette = pictures[-1].quantize(128, Image.Quantize.FASTOCTREE)
        first, *rest = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures]
        times = [1000 // FPS] * len(rest) + [2000]
        first.save(file, save_all=True, append_images=rest, duration=times, loop=0)

    def mp4(file: Path) -> None:
        writer = FFMpegWriter(fps=FPS)
        with writer.saving(figure, str(file), dpi=90):
            for step in [*shown, *[last] * 2 * FPS]:
                picture(step)
                writer.grab_frame()

    return style.write(path, kind, gif if kind == "gif" else mp4)
