"""Every study at once, with an index and one page to explore them all."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from optbench import processes, records
from optbench.checks import UserError
from optbench.commands.scenes import make
from optbench.plots import style, surface_page
from optbench.surfaces.request import Request

OWN = ("study", "out", "processes", "formats", "colours")
"""What the gallery decides for its studies; all else that was typed is handed on."""


def gallery(request: Request, console: Console) -> None:
    """Make the figures of every study, several at a time, and their index.

    Raises:
        UserError: A value will not do, or figures could not be drawn; then there is no index.
    """
    config = request.config()
    at_a_time = processes.count(config["processes"], "surface", "processes", gpus=False)
    out = records.folder(config["out"])
    figures = drawn(list(jobs(request, config)), at_a_time, console)
    files = [style.write(out / "README", "md", lambda file: file.write_text(contents(figures, out)))]
    if config["page"]:
        page = surface_page.page([scene for one in figures for scene in one.explored], "Optimizers on surfaces")
        files.append(style.write(out / "explore", "html", lambda file: file.write_text(page)))
    console.print(f"written: {', '.join(map(str, files))} and {len(figures)} figures", soft_wrap=True)


@dataclass(frozen=True)
class Picture:
    """A scene of a study: the request of the study, and its config with this scene alone."""

    request: Request
    config: dict[str, Any]

    @property
    def study(self) -> str:
        """Name of the study."""
        return self.request.typed["study"]


def jobs(request: Request, config: dict[str, Any]) -> Iterator[Picture]:
    """Yield every scene of every study, in the order of the index."""
    same = (f"formats=[{','.join(config['formats'])}]", f"colours={config['colours'] or 'null'}")
    rest = tuple(request.but(OWN))
    for study in request.studies:
        if study == "gallery":
            continue
        one = Request((f"study={study}", f"out={Path(config['out']) / study}", *same, *rest), request.folders)
        whole = one.config()
        for scene in whole["scenes"]:
            yield Picture(one, {**whole, "scenes": [scene]})


def drawn(jobs: list[Picture], at_a_time: int, console: Console) -> list["Drawn"]:
    """Draw all scenes side by side, and return their figures in the same order.

    Raises:
        UserError: Some could not be drawn; the first of them is named, once the others are there.
    """
    processes.prepare([__name__, "torch._dynamo"])  # which an optimizer's first step would import
    figures: dict[int, Drawn] = {}
    failed: dict[int, ChildProcessError] = {}
    with Progress(console=console, transient=True) as progress:
        working = processes.side_by_side(draw, jobs, at_a_time)
        for i, done in progress.track(working, len(jobs), description="figures"):
            if isinstance(done, ChildProcessError):
                failed[i] = done
            else:
                figures[i] = done
    if failed:
        first = min(failed)
        study = jobs[first].study
        others = f", and {len(failed) - 1} more of {len(jobs)} scenes" if len(failed) > 1 else ""
        raise UserError(
            f"study={study}: its process {failed[first]}{others}; optbench surface study={study} tells more"
        )
    return [figures[i] for i in range(len(jobs))]


@dataclass(frozen=True)
class Drawn:
    """One figure of the index, and what the page has to know of its scene."""

    study: str
    title: str
    notes: str
    file: Path
    explored: list[dict[str, Any]]


def draw(job: Picture) -> Drawn:
    """Draw a study of one scene, in a process of its own."""
    torch.set_num_threads(1)
    [scene], [file, *_] = make(job.request, job.config)
    explored = surface_page.describe_all([scene], job.config["name"]) if job.config["page"] else []
    return Drawn(job.study, scene.title, " ".join(scene.notes), file, explored)


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
