"""What was typed for a surface, and the scenes that it asks for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from optbench.checks import UserError, check, nearest
from optbench.configs import CONF, explain, quoted, split_folders
from optbench.surfaces.setting import Setting

DRAWN = ("panels", "caption", "page", "animate", "colours", "processes")
"""Fields that say how `optbench surface` draws, which `optbench terrain` does in its own way."""


@dataclass(frozen=True)
class Request:
    """What was typed: overrides of `conf/surface.yaml`, and the folders of configs, the suite's own last."""

    overrides: tuple[str, ...]
    folders: tuple[Path, ...]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Request":
        """Return the request of a command line."""
        rest, folders = split_folders(arguments)
        for argument in rest:
            if "=" not in argument or argument.startswith("-"):
                raise UserError(f"'{argument}' is not field=value; see optbench surface --help")
        return cls(tuple(map(quoted, rest)), (*folders, CONF))

    @property
    def typed(self) -> dict[str, str]:
        """Values by field, as text."""
        return dict(override.split("=", 1) for override in self.overrides)

    def but(self, fields: Collection[str]) -> list[str]:
        """Return the overrides without those of some fields."""
        return [override for override in self.overrides if override.partition("=")[0].partition(".")[0] not in fields]

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
            raise nearest("surface study", study, self.studies, "optbench list studies")
        fields = OmegaConf.load(CONF / "surface.yaml").keys() - {"defaults"} | {"study"}
        for field in self.typed:
            if field.partition(".")[0] not in fields:
                raise nearest("field", field, map(str, fields), "optbench surface --help")
        search = f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in self.folders[:-1])}]"
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                config = compose("surface", [search, *([f"surface_study={study}"] if study else [])])
            OmegaConf.set_struct(config, False)
            values = self.but(["study"])
            for override in OverridesParser.create().parse_overrides(values):  # compose would take schedule for a group
                if override.is_sweep_override():
                    raise UserError(f"{override.input_line}: give one value, or a list in brackets")
                OmegaConf.update(config, str(override.key_or_group), override.value())
            return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from None


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
    typed = {field: whole[field] for field in (key.partition(".")[0] for key in request.typed) if field in whole}
    settings = [Setting.of({**whole, **scene, **typed}) for scene in config["scenes"] or [{}]]
    refuse_unheeded(request, settings)
    names = [setting.name or setting.surface for setting in settings]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{config['name']}: two scenes are called '{name}'; give one of them another name")
    return settings


def refuse_unheeded(request: Request, settings: Sequence[Setting]) -> None:
    """Raise where something would say nothing: the rate of an optimizer that is not drawn, steps of a population.

    Raises:
        UserError: It would.
    """
    entries = [entry for setting in settings for entry in setting.optimizers]
    drawn = {str(entry.get("name")) if isinstance(entry, dict) else str(entry) for entry in entries}
    for setting in settings:
        for name in setting.lr if isinstance(setting.lr, dict) and "all" not in drawn else ():
            if name not in drawn:
                raise nearest("optimizer here to give a lr", str(name), drawn, ", ".join(sorted(drawn)))
        if setting.population is not None and "steps" in request.typed:
            raise UserError("steps say nothing of a population, which takes one for each mini-batch; give its epochs")
