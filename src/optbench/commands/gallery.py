"""Every study at once, with an index and one page to explore them all."""

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from optbench.checks import Count, check
from optbench.commands.scenes import make
from optbench.plots import style, surface_page
from optbench.surfaces.request import Request

OWN = ("study", "out", "processes", "formats", "colours")
"""What the gallery decides for its studies; all else that was typed is handed on."""


def gallery(request: Request, console: Console) -> None:
    """Make the figures of every study, several at a time, and their index."""
    config = request.config()
    processes, out = check("surface", "processes", config["processes"], Count), Path(config["out"])
    same = (f"formats=[{','.join(config['formats'])}]", f"colours={config['colours'] or 'null'}")
    rest = tuple(text for text in request.overrides if text.split("=")[0] not in OWN)
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # which an optimizer's first step would import
    with Progress(console=console, transient=True) as progress, ProcessPoolExecutor(processes, context) as pool:
        jobs = []
        for study in request.studies:
            if study != "gallery":
                one = Request((f"study={study}", f"out={out / study}", *same, *rest), request.folders)
                whole = one.config()
                jobs += [pool.submit(draw, one, {**whole, "scenes": [scene]}) for scene in whole["scenes"]]
        for _ in progress.track(as_completed(jobs), len(jobs), description="figures"):
            pass
        figures = [job.result() for job in jobs]
    files = [style.write(out / "README", "md", lambda file: file.write_text(contents(figures, out)))]
    if config["page"]:
        page = surface_page.page([scene for one in figures for scene in one.explored], "Optimizers on surfaces")
        files.append(style.write(out / "explore", "html", lambda file: file.write_text(page)))
    console.print(f"written: {', '.join(map(str, files))} and {len(figures)} figures", soft_wrap=True)


@dataclass(frozen=True)
class Drawn:
    """One figure of the index, and what the page has to know of its scene."""

    study: str
    title: str
    notes: str
    file: Path
    explored: list[dict[str, Any]]


def draw(request: Request, config: dict[str, Any]) -> Drawn:
    """Draw a study of one scene, in a process of its own."""
    torch.set_num_threads(1)
    [scene], [file, *_] = make(request, config)
    explored = surface_page.describe_all([scene], config["name"]) if config["page"] else []
    return Drawn(request.typed["study"], scene.title, " ".join(scene.notes), file, explored)


def contents(figures: list[Drawn], out: Path) -> str:
    """Return the index in Markdown."""
    page = "[explore.html](explore.html) turns the surfaces, hides optimizers and walks through the steps."
    lines = ["# Gallery", "", page, "", "Made again by one command:", "", "    optbench surface study=gallery", ""]
    for study, drawn in groupby(figures, attrgetter("study")):
        lines += [f"## {study}", "", f"    optbench surface study={study}", ""]
        for one in drawn:
            lines += [f"![{one.title}]({one.file.relative_to(out)})", ""]
            lines += [one.notes, ""] if one.notes else []
    return "\n".join(lines)
