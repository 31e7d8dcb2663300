"""The command `optbench surface`: from what was typed to figures, a page and a table."""

import shlex

import torch
from rich.console import Console
from rich.table import Table

from optbench import records
from optbench.checks import refuse_idle
from optbench.commands.scenes import make
from optbench.plots import style, surface_page
from optbench.surfaces.request import DRAWN, Request
from optbench.surfaces.scene import Scene

USAGE = """usage: optbench surface study=<name> | surface=<name> [optimizers=[adam,lion]] [field=value ...]

A study (conf/surface_study) is one or several scenes; study=gallery makes them all. Without a study the fields are the
scene: surface, optimizers, starts, steps, lr, noise, seed, batch, schedule, window, panels, title, caption. Others:
  out=DIR           where to write (results/surfaces/<name>)
  formats=[png]     of the figures (png and svg)
  page=false        no interactive page
  animate=gif       also a moving picture; mp4 where ffmpeg is there
  --config-dir DIR  more configs than the suite's own

  optbench surface study=gd_vs_momentum
  optbench surface surface=rosenbrock optimizers=[adam,lion,nag] steps=200 noise=0.1 seed=0
  optbench surface surface=himmelblau 'optimizers=[{name:adam,lr:0.1},sgd]' 'starts=[[0,0],[-1,-1]]'"""


def main(arguments: list[str]) -> None:
    """Draw a study, or one scene."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return
    request = Request.of(arguments)
    console = Console(markup=False)
    if request.typed.get("study") == "gallery":
        from optbench.commands.gallery import gallery

        gallery(request, console)
        return
    refuse_idle(request.typed, {"processes": "is of study=gallery, which draws scenes side by side"})
    config = request.config()
    scenes, files = make(request, config)
    for scene in scenes:
        if scene.tracks:
            console.print(table(scene))
    if config["page"] and (shown := surface_page.describe_all(scenes, config["name"])):
        page = surface_page.page(shown, config["name"])
        files.append(style.write(records.folder(config["out"]) / "page", "html", lambda file: file.write_text(page)))
    console.print("written: " + ", ".join(map(str, files)), soft_wrap=True)
    console.print(f"next:    optbench terrain {shlex.join(request.but(DRAWN))}", soft_wrap=True)


def table(scene: Scene) -> Table:
    """Return what each path comes to."""
    minima = torch.tensor(scene.surface.minima, dtype=torch.float64)
    rows = Table(title=scene.title, title_justify="left")
    for column in ("optimizer", "steps", "f at the end", "distance to a minimum", ""):
        rows.add_column(column, justify="left" if column in ("optimizer", "") else "right")
    for track in scene.tracks:
        end = track.points[-1]
        away = f"{float((end - minima).norm(dim=-1).min()):.3g}" if len(minima) else "-"
        lost = "" if track.diverged is None else f"diverged at step {track.diverged}"
        rows.add_row(track.label, str(len(track.points) - 1), f"{float(track.values[-1]):.4g}", away, lost)
    return rows
