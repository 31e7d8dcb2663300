"""Every study at once, with an index and one page to explore them all."""

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from optbench.checks import Count, check
from optbench.plots import style, surface_page
from optbench.surfaces.command import Request, make

OWN = ("study", "out", "processes", "formats", "colours")
"""What the gallery decides for its studies; all else that was typed is handed on."""


def gallery(request: Request, console: Console) -> None:
    """Make every study, several at a time, and their index."""
    config = request.config()
    processes, out = check("surface", "processes", config["processes"], Count), Path(config["out"])
    same = (f"formats=[{','.join(config['formats'])}]", f"colours={config['colours'] or 'null'}")
    rest = tuple(text for text in request.overrides if text.split("=")[0] not in OWN)
    requests = {
        study: Request((f"study={study}", f"out={out / study}", *same, *rest), request.folders)
        for study in request.studies
        if study != "gallery"
    }
    chapters: dict[str, Chapter] = {}
    with Progress(console=console) as progress, ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        task = progress.add_task("studies", total=len(requests))
        jobs = {pool.submit(chapter, one): study for study, one in requests.items()}
        for job in as_completed(jobs):
            chapters[jobs[job]] = job.result()
            progress.advance(task)
    ordered = [chapters[study] for study in sorted(chapters)]
    files = [style.write(out / "README", "md", lambda file: file.write_text(contents(ordered, out)))]
    if config["page"]:
        page = surface_page.page([scene for one in ordered for scene in one.scenes], "Optimizers on surfaces")
        files.append(style.write(out / "explore", "html", lambda file: file.write_text(page)))
    figures = sum(len(one.entries) for one in ordered)
    console.print(f"written: {', '.join(map(str, files))} and {figures} figures", soft_wrap=True)


@dataclass(frozen=True)
class Entry:
    """One figure of the index."""

    title: str
    notes: str
    figure: Path


@dataclass(frozen=True)
class Chapter:
    """A study in the gallery: its figures, and what the page has to know."""

    study: str
    entries: list[Entry]
    scenes: list[dict[str, Any]]


def chapter(request: Request) -> Chapter:
    """Make one study, in a process of its own."""
    torch.set_num_threads(1)
    study, config = request.typed["study"], request.config()
    scenes, _ = make(request, config)
    picture = f"{{}}.{config['formats'][0]}".format
    entries = [Entry(s.title, " ".join(s.notes), Path(config["out"]) / picture(s.name)) for s in scenes]
    return Chapter(study, entries, surface_page.describe_all(scenes, study) if config["page"] else [])


def contents(chapters: list[Chapter], out: Path) -> str:
    """Return the index in Markdown."""
    lines = ["# Gallery", "", "Every figure here, and the page to explore them, made again by one command:", ""]
    lines += ["    optbench surface study=gallery", ""]
    for one in chapters:
        lines += [f"## {one.study}", "", f"    optbench surface study={one.study}", ""]
        for entry in one.entries:
            lines += [f"![{entry.title}]({entry.figure.relative_to(out)})", ""]
            lines += [entry.notes, ""] if entry.notes else []
    return "\n".join(lines)
