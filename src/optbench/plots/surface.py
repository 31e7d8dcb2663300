"""A scene as a figure: the surface with every path on it, and what the paths come to."""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from optbench.checks import UserError, nearest
from optbench.plots import style
from optbench.plots.surface_roots import roots, slopes
from optbench.plots.surface_shape import MINIMUM, ROUND, START, contour, curve, space
from optbench.plots.surface_steps import distance, iterates, loss, rate, recovery, regret
from optbench.plots.surface_totals import escape, index, matrices, sweep, variance
from optbench.surfaces.scene import Scene

Drawing = Callable[[Any, Scene], None]

FLAT = (
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
    index,
    roots,
    slopes,
)
PANELS: dict[str, tuple[Drawing, str | None]] = {
    "space": (space, "3d"),
    **{panel.__name__: (panel, None) for panel in FLAT},
}
"""What draws each panel, and the projection of its axes."""
PARAMETERS = {"space": 2, "contour": 2, "curve": 1}
"""How many parameters a surface has to have for a panel that shows the surface itself."""


def draw(scene: Scene) -> Figure:
    """Return the figure of a scene; call it, and save it, inside `style.context()`."""
    panels = [PANELS[name] for name in names(scene)]
    bars = names(scene) == ("escape",)
    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = {1: 7.0, 2: 5.6, 3: 4.6}[columns] * columns
    notes = textwrap.wrap(" ".join(scene.notes), int(15.5 * width))
    height = 1.5 + 0.17 * len(scene.tracks) if bars else 4.4 * rows
    height += 0.16 * max(0, len(notes) - 2) + 0.18 * max(0, lines_of_legend(scene, width) - 3)
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")  # to measure all text would cost as much as to draw
    figure.text(0.07 / width, 0.07 / height, "\n".join(notes), va="bottom", fontsize=8.5, color="#444444")
    grid = cells(
        figure,
        rows,
        columns,
        left=1.9 if bars else 0.6,
        right=0.15,
        top=legend(figure, scene) + 0.25,
        bottom=0.55 + 0.16 * len(notes),
    )
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
        surface = scene.surface
        if not names(scene):
            raise UserError("panels=[] shows nothing; leave it out for those that suit the surface")
        for name in names(scene):
            if name not in PANELS:
                raise nearest("panel", name, PANELS, ", ".join(PANELS))
            size = PARAMETERS.get(name, surface.size)
            if size != surface.size:
                raise UserError(f"{surface.name}: panel {name} is for {size} parameters, not {surface.size}")
            if name == "distance" and not surface.minima:
                raise UserError(f"{surface.name} has no minimum, so there is no distance to it; leave the panel out")


def names(scene: Scene) -> tuple[str, ...]:
    """Return the panels of a scene: those of its setting, else all that suit it."""
    if scene.setting.panels is not None:
        return tuple(scene.setting.panels)
    shown = {1: ["curve"], 2: ["space", "contour"]}.get(scene.surface.size, [])
    if scene.tracks:
        shown.append("loss")
    if scene.tracks and scene.surface.minima:
        shown.append("distance")
    return tuple(shown)


def legend(figure: Figure, scene: Scene) -> float:
    """Put the title, and under it one legend for all panels, above them; return their height in inches."""
    width = figure.get_figwidth()
    handles = entries(scene)
    title = textwrap.wrap(scene.title, int(10.5 * width))
    figure.legend(
        handles=handles,
        ncols=columns_of_legend(handles, width),
        handlelength=3,
        title="\n".join(title),
        title_fontsize=12,
        alignment="left",
        loc="outside upper left",
    )
    return 0.1 + 0.2 * len(title) + 0.18 * lines_of_legend(scene, width)


def entries(scene: Scene) -> list[Line2D]:
    """Return the lines of a scene's legend: its tracks, and what marks a start and a minimum."""
    shown = set(names(scene))
    handles = []
    if shown != {"escape"}:  # whose bars are named
        for track in scene.tracks:
            look = {**style.line(track.optimizer, track.variant, 1), "markevery": None}
            handles.append(Line2D([], [], label=track.label, **look))
    if scene.tracks and shown & {"space", "contour"}:
        handles.append(Line2D([], [], label="start", **START))
    if scene.surface.minima and shown & PARAMETERS.keys():
        handles.append(Line2D([], [], label="minimum", **MINIMUM))
    return handles


def columns_of_legend(handles: Sequence[Line2D], width: float) -> int:
    """Return how many entries fit side by side above a figure so many inches wide."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    return max(1, min(len(handles), int(width * 11 / (longest + 8))))


def lines_of_legend(scene: Scene, width: float) -> int:
    """Return how many lines the legend of a scene has above a figure so many inches wide."""
    handles = entries(scene)
    return math.ceil(len(handles) / columns_of_legend(handles, width))


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
