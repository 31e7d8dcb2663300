"""The command `optbench surface`: from what was typed to figures, a page and a table."""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from optbench.checks import Count, UserError, check, nearest
from optbench.cli import CONF, explain
from optbench.plots import style, surface
from optbench.surfaces.scene import Scene, compute
from optbench.surfaces.setting import Setting

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


@dataclass(frozen=True)
class Request:
    """What was typed: overrides of `conf/surface.yaml`, and the folders of configs, the suite's own last."""

    overrides: tuple[str, ...]
    folders: tuple[Path, ...]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Request":
        """Return the request of a command line."""
        rest, folders = list(arguments), []
        while "--config-dir" in rest:
            at = rest.index("--config-dir")
            folders += [Path(folder).resolve() for folder in rest[at + 1 : at + 2]]
            del rest[at : at + 2]
        for argument in rest:
            if "=" not in argument or argument.startswith("-"):
                raise UserError(f"'{argument}' is not field=value; see optbench surface --help")
        return cls(tuple(rest), (*folders, CONF))

    @property
    def typed(self) -> dict[str, str]:
        """Values by field, as text."""
        return dict(override.split("=", 1) for override in self.overrides)

    @property
    def studies(self) -> list[str]:
        """Names of all surface studies."""
        return sorted({path.stem for folder in self.folders for path in folder.glob("surface_study/*.yaml")})

    def config(self) -> dict[str, Any]:
        """Return the composed config.

        Raises:
            UserError: There is no such study or field, or a value cannot be read.
        """
        study = self.typed.get("study")
        if study is not None and study not in self.studies:
            if (CONF / "study" / f"{study}.yaml").exists():
                raise UserError(f"study '{study}' trains networks; run it with optbench train -m study={study}")
            raise nearest("surface study", study, self.studies, "optbench list surfaces")
        fields = OmegaConf.load(CONF / "surface.yaml").keys() - {"defaults"} | {"study"}
        for field in self.typed:
            if field.lstrip("+~").partition(".")[0] not in fields:
                raise nearest("field", field, map(str, fields), "optbench surface --help")
        search = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in self.folders[:-1])}]"]
        overrides = [f"surface_{text}" if text.startswith("study=") else text for text in self.overrides]
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                config = compose("surface", [*search, *overrides])
            return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from None


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
    console = Console()
    if request.typed.get("study") == "gallery":
        gallery(request, console)
        return
    scenes, files = make(request)
    for scene in scenes:
        if scene.tracks:
            console.print(table(scene))
    console.print("written: " + ", ".join(map(str, files)), soft_wrap=True)
    console.print(f"next:    optbench terrain surface={scenes[0].surface.name}", soft_wrap=True)


def make(request: Request) -> tuple[list[Scene], list[Path]]:
    """Compute and draw all scenes of a request; return them and the files."""
    config = request.config()
    out = Path(config["out"])
    scenes = [compute(setting, request.folders) for setting in describe(request, config)]
    surface.check_panels(scenes)
    files = []
    with style.context():
        for scene in scenes:
            files += style.save(surface.draw(scene), out / scene.name, config["formats"])
            if config["animate"]:
                files.append(surface.animate(scene, out / scene.name, config["animate"]))
    return scenes, files


def describe(request: Request, config: dict[str, Any]) -> list[Setting]:
    """Return the settings of a config's scenes; what was typed holds for each of them."""
    fields = Setting.__dataclass_fields__.keys() - {"name"}
    whole = {field: config[field] for field in fields if config[field] is not None}
    typed = {field: whole[field] for field in request.typed if field in whole}
    settings = [Setting.of({**whole, **scene, **typed}) for scene in config["scenes"] or [{}]]
    names = [setting.name or setting.surface for setting in settings]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{config['name']}: two scenes are called '{name}'; give one of them another name")
    return settings


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


def gallery(request: Request, console: Console) -> None:
    """Make every study, several at a time, and their index."""
    config = request.config()
    processes, out = check("surface", "processes", config["processes"], Count), Path(config["out"])
    rest = tuple(text for text in request.overrides if text.split("=")[0] not in ("study", "out", "processes"))
    requests = {
        study: Request(
            (f"study={study}", f"out={out / study}", f"formats=[{','.join(config['formats'])}]", *rest), request.folders
        )
        for study in request.studies
        if study != "gallery"
    }
    chapters: dict[str, list[Entry]] = {}
    with Progress(console=console) as progress, ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        task = progress.add_task("studies", total=len(requests))
        jobs = {pool.submit(chapter, one): study for study, one in requests.items()}
        for job in as_completed(jobs):
            chapters[jobs[job]] = job.result()
            progress.advance(task)
    index = style.write(out / "README", "md", lambda file: file.write_text(contents(chapters, out)))
    console.print(f"written: {index} and {sum(map(len, chapters.values()))} figures", soft_wrap=True)


@dataclass(frozen=True)
class Entry:
    """One figure of the index."""

    title: str
    notes: tuple[str, ...]
    figure: Path


def chapter(request: Request) -> list[Entry]:
    """Make one study in a process of its own."""
    torch.set_num_threads(1)
    scenes, files = make(request)
    figures = {file.stem: file for file in files}
    return [Entry(scene.title, tuple(scene.notes), figures[scene.name]) for scene in scenes]


def contents(chapters: dict[str, list[Entry]], out: Path) -> str:
    """Return the index in Markdown."""
    lines = ["# Gallery", "", "All of it again: `optbench surface study=gallery`", ""]
    for study in sorted(chapters):
        lines += [f"## {study}", "", f"`optbench surface study={study}`", ""]
        for entry in chapters[study]:
            lines += [f"![{entry.title}]({entry.figure.relative_to(out)})", "", " ".join(entry.notes), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"optbench: {error}")
