"""The command `optbench terrain`: critical points of a surface, the ground along paths, the ground under a network."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from optbench import records
from optbench.checks import UserError, refuse_idle
from optbench.plots import style, surface_terrain
from optbench.surfaces.compute import compute
from optbench.surfaces.request import DRAWN, Request, describe, formats
from optbench.surfaces.scene import Scene
from optbench.surfaces.terrain import Terrain, along, critical_points

USAGE = """usage: optbench terrain surface=<name> [optimizers=[...]] [field=value ...] | study=<name> | run=DIR

Critical points in the window, named by the Hessian, and the ground along each path: valley, ravine, canal, plateau.
With run=DIR, a run of optbench train, the extreme eigenvalues of the network's Hessian along its training.
Fields as of optbench surface, but for those of its figures and its page.

  optbench terrain surface=himmelblau
  optbench terrain surface=rosenbrock 'optimizers=[{name:adam,lr:0.05}]' steps=500
  optbench terrain run=results/runs/seven/2026-01-31_12-00-00/0_sgd_seed0"""


MOST = 40
"""Critical points in a table."""


def main(arguments: list[str]) -> None:
    """Name the terrain of a surface and of the paths on it, or of a trained network."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return
    console = Console(markup=False)
    runs = [argument.removeprefix("run=") for argument in arguments if argument.startswith("run=")]
    if runs:
        if len(arguments) > 1:
            raise UserError("run=DIR stands alone; leave the other fields out")
        network(Path(runs[0]), console)
        return
    request = Request.of(arguments)
    refuse_idle(request.typed, dict.fromkeys(DRAWN, "says nothing of a terrain, which is one figure and its tables"))
    config = request.config()
    kinds = formats(config)
    scenes = [compute(setting, request.folders) for setting in describe(request, config)]
    for scene in scenes:
        if scene.surface.size > 2:
            raise UserError(f"{scene.surface.name} has {scene.surface.size} parameters; terrain takes 1 or 2")
    out = records.folder(config["out"] if "out" in request.typed else f"results/terrain/{config['name']}")
    records.prepare(out, "out=")
    for scene in scenes:
        show(scene, out, kinds, console)


def show(scene: Scene, out: Path, kinds: Sequence[str], console: Console) -> None:
    """Print and draw the terrain of a scene.

    Args:
        scene: Surface and paths.
        out: Folder of the figure.
        kinds: File formats of the figure.
        console: Where the tables go.
    """
    critical = critical_points(scene.surface)
    terrains = [along(scene.surface, track.points) for track in scene.tracks]
    points = table(f"{scene.surface.name}: critical points in the window", "kind", "at", "f", "eigenvalues")
    for c in critical[:MOST]:
        points.add_row(c.name, vector(c.point), f"{c.value:.6g}", vector(c.eigenvalues))
    console.print(points)
    if len(critical) > MOST:
        console.print(f"and {len(critical) - MOST} more")
    console.print(ground(scene, terrains))
    with style.context():
        files = style.save(surface_terrain.draw(scene, critical, terrains), out / scene.name, kinds)
    console.print(f"written: {', '.join(map(str, files))}", soft_wrap=True)


def network(directory: Path, console: Console) -> None:
    """Print and draw the ground under a run."""
    from optbench.landscape.spectrum import along_run

    if not (directory / "config.yaml").exists():
        raise UserError(f"run={directory} is not the directory of a run; give one with a config.yaml in it")
    grounds = along_run(records.read(directory))
    rows = table(f"{directory}: the Hessian", "step", "loss", "gradient norm", "smallest", "largest", "ground")
    for g in grounds:
        numbers = (g.loss, g.gradient_norm, g.lowest, g.highest)
        rows.add_row(str(g.step), *(f"{x:.4g}" for x in numbers), g.name)
    console.print(rows)
    with style.context():
        files = style.save(
            surface_terrain.draw_run(grounds, f"The ground under {directory.name}"), directory / "terrain"
        )
    console.print(f"written: {', '.join(map(str, files))}", soft_wrap=True)


def ground(scene: Scene, terrains: list[Terrain]) -> Table:
    """Return how much of each path lies on which ground."""
    rows = table("the ground along the paths", "optimizer", "ground, in % of the points", "condition number")
    for track, terrain in zip(scene.tracks, terrains, strict=True):
        share = Counter(terrain.names)
        words = ", ".join(f"{name} {100 * n / share.total():.0f}" for name, n in share.most_common())
        known = terrain.condition[torch.isfinite(terrain.condition)]
        spread = f"{known.min():.3g} to {known.max():.3g}" if len(known) else "-"
        rows.add_row(track.label, words, spread)
    return rows


def table(title: str, *columns: str) -> Table:
    """Return an empty table."""
    rows = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        rows.add_column(column)
    return rows


def vector(x: Tensor) -> str:
    """Return a vector as text."""
    return ", ".join(f"{v:.6g}" for v in x.tolist())
