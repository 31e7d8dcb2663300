"""What `surface` and `gallery` share: the scenes of a request, computed and drawn."""

from pathlib import Path
from typing import Any, Literal

from optbench import records
from optbench.checks import check
from optbench.plots import style, surface, surface_animation
from optbench.plots.palette import Colours, refuse_colours
from optbench.surfaces.compute import compute
from optbench.surfaces.request import Request, describe, formats
from optbench.surfaces.scene import Scene


def make(request: Request, config: dict[str, Any]) -> tuple[list[Scene], list[Path]]:
    """Compute all scenes of a request, then draw them; return the scenes and the files.

    Raises:
        UserError: Anything in the config is wrong, or the folder cannot be written; nothing has been written then.
    """
    check("surface", "page", config["page"], bool)
    check("surface", "colours", config["colours"], Colours | None)
    kinds = formats(config)
    refuse_colours(request.typed, kinds)
    kind = check("surface", "animate", config["animate"], Literal["gif", "mp4"] | None)
    scenes = [compute(setting, request.folders) for setting in describe(request, config)]
    surface.check_panels(scenes)
    if kind:
        surface_animation.check_animation(scenes, kind)
    out = records.folder(config["out"])
    records.prepare(out, "out=")
    files = []
    with style.context():
        for scene in scenes:
            files += style.save(surface.draw(scene), out / scene.name, kinds, config["colours"])
            if kind:
                files.append(surface_animation.animate(scene, out / scene.name, kind))
    return scenes, files
