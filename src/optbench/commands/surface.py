"""The command `optbench surface`: from what was typed to figures, a page and a table."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from optbench.checks import Interval, UserError, check
from optbench.plots import style, surface, surface_page
from optbench.surfaces.request import Request, describe, formats
from optbench.surfaces.scene import Scene, compute

Colours = Annotated[int, Interval("[2, 256]")]

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
    """Draw a study, or one scene.

    Args:
        arguments: Overrides of `conf/surface.yaml`, and `--config-dir DIR`.

    Raises:
        UserError: Anything in them is wrong; nothing has been written then.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return
    request = Request.of(arguments)
    console = Console(markup=False)
    if request.typed.get("study") == "gallery":
        from optbench.commands.gallery import gallery

        gallery(request, console)
        return
    config = request.config()
    scenes, files = make(request, config)
    for scene in scenes:
        if scene.tracks:
            console.print(table(scene))
    if config["page"] and (shown := surface_page.describe_all(scenes, config["name"])):
        page = surface_page.page(shown, config["name"])
        files.append(style.write(Path(config["out"]) / "page", "html", lambda file: file.write_text(page)))
    console.print("written: " + ", ".join(map(str, files)), soft_wrap=True)
    console.print(f"next:    optbench terrain {shlex.join(request.overrides)}", soft_wrap=True)


def make(request: Request, config: dict[str, Any]) -> tuple[list[Scene], list[Path]]:
    """Compute all scenes of a request, then draw them; return the scenes and the files.

    Raises:
        UserError: Anything in the config is wrong, and nothing has been written; or the files cannot be written.
    """
    check("surface", "colours", config["colours"], Colours | None)
    kinds = formats(config)
    kind = check("surface", "animate", config["animate"], Literal["gif", "mp4"] | None)
    scenes = [compute(setting, request.folders) for setting in describe(request, config)]
    surface.check_panels(scenes)
    if kind:
        surface.check_animation(scenes, kind)
    files = []
    try:
        with style.context():
            for scene in scenes:
                path = Path(config["out"]) / scene.name
                files += style.save(surface.draw(scene), path, kinds, config["colours"])
                files += [surface.animate(scene, path, kind)] if kind else []
    except OSError as error:
        raise UserError(f"out={config['out']} cannot be written: {error.strerror}; choose another") from None
    return scenes, files


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


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"optbench: {error}")
