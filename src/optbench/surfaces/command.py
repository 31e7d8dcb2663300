"""The command `optbench surface`: from what was typed to figures, a page and a table."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table

from optbench.checks import Interval, UserError, check, nearest
from optbench.cli import CONF, explain
from optbench.plots import style, surface, surface_page
from optbench.surfaces.scene import Scene, compute
from optbench.surfaces.setting import Setting

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
            if field.partition(".")[0] not in fields:
                raise nearest("field", field, map(str, fields), "optbench surface --help")
        search = f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in self.folders[:-1])}]"
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                config = compose("surface", [search, *([f"surface_study={study}"] if study else [])])
            OmegaConf.set_struct(config, False)
            values = [text for text in self.overrides if not text.startswith("study=")]
            for override in OverridesParser.create().parse_overrides(values):  # compose would take schedule for a group
                if override.is_sweep_override():
                    raise UserError(f"{override.input_line}: give one value, or a list in brackets")
                OmegaConf.update(config, str(override.key_or_group), override.value())
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
    console = Console(markup=False)
    if request.typed.get("study") == "gallery":
        from optbench.surfaces.gallery import gallery

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


def formats(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the extensions that figures are to have, checked."""
    found: tuple[str, ...] = check("surface", "formats", config["formats"], tuple[Literal["png", "svg", "pdf"], ...])
    if not found:
        raise UserError("formats=[] names none; give png, svg or pdf")
    return found


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


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"optbench: {error}")
