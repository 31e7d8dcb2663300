"""The cells of a sweep as configs: Hydra takes a sixth of a second to compose one, so it composes only the choices.

A cell keeps its own settings as plain values, and shares all else with the cells of the same choices: a config of
OmegaConf takes ten times the memory, and to copy one is most of what a cell takes.
"""

import functools
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from optbench import configs, records
from optbench.checks import UserError
from optbench.training.private import overrides_dirname, set_values

LIVE = 64
"""Configs that are kept to set the values of the next cell in."""


@dataclass
class Cell:
    """One run of a sweep, composed once; the check, the launcher and the ledger pass it on.

    Attributes:
        num: Its place in the sweep.
        overrides: What makes it differ from the others, such as `["optimizer=adam", "seed=1"]`.
        task: The cell's own config as plain values, without `hydra`; `logger` as it is written, since only the job
            knows its folder.
        composed: The config of its choices as bytes, which many cells share.
        values: Those of its overrides that are set in that.
        dirname: What Hydra calls its overrides.
        root: The sweep's directory.
        directory: Where it is recorded.
        suspect: Whether its parts ended or hung the process that looked at them; nothing makes them in this one.
    """

    num: int
    overrides: list[str]
    task: dict[str, Any]
    composed: bytes
    values: list[Override]
    dirname: str
    root: Path
    directory: Path
    suspect: bool = False

    @property
    def config(self) -> DictConfig:
        """The composed config, `hydra` included; made anew each time."""
        config: DictConfig = pickle.loads(self.composed)
        adapt(config, self.values, self.overrides, self.num)
        with read_write(config.hydra):
            config.hydra.job.override_dirname = self.dirname
            config.hydra.sweep.subdir = str(self.directory.relative_to(self.root))
        return config

    @functools.cached_property
    def recorded(self) -> dict[str, Any]:
        """What its config.yaml will say, but for the logger; nothing is imported for a suspect."""
        task = {name: value for name, value in self.task.items() if name != "logger"}
        return task if self.suspect else configs.with_defaults(task)

    @functools.cached_property
    def key(self) -> str:
        """What the run is known by, see `records.identity`."""
        return records.identity(self.recorded)

    @property
    def name(self) -> str:
        """What was typed for it."""
        return " ".join(self.overrides) or "(no override)"

    def at(self, directory: Path) -> "Cell":
        """Return the cell, to be recorded elsewhere in the sweep."""
        return replace(self, directory=directory)


class Composer:
    """Composes cells as Hydra does; those that choose the same configs differ from one another in values alone.

    Args:
        loader: Hydra's config loader.
        sweep: Config of the sweep itself.
    """

    def __init__(self, loader: Any, sweep: DictConfig) -> None:
        self.loader = loader
        self.sweep = sweep
        self.parser = OverridesParser.create(config_loader=loader)
        self.composed: dict[tuple[str, ...], bytes] = {}
        self.live: dict[tuple[tuple[str, ...], tuple[str, ...]], DictConfig] = {}
        self.parsed: dict[str, Override] = {}
        self.values: dict[str, bool] = {}
        configs.enter(sweep)
        self.root = Path(sweep.hydra.sweep.dir)  # read, it is cached for all cells: there is a time in its name

    def cell(self, overrides: Sequence[str], num: int) -> Cell:
        """Return a cell.

        Args:
            overrides: Its own.
            num: Its place in the sweep.

        Raises:
            UserError: Its directory is none in the sweep's.
        """
        config = self(overrides, num)
        configs.enter(config)
        if Path(config.hydra.sweep.dir) != self.root:
            raise UserError(
                f"hydra.sweep.dir is {config.hydra.sweep.dir} for '{' '.join(overrides)}', and {self.root} for the "
                "sweep; a sweep has one directory, so let hydra.sweep.subdir depend on the cell"
            )
        below = Path(str(config.hydra.sweep.subdir))
        if below.is_absolute() or ".." in below.parts:
            raise UserError(f"hydra.sweep.subdir={below} is not in the sweep's directory; leave '..' and '/' out")
        values, choices = self.split(overrides)
        dirname = config.hydra.job.override_dirname
        task = own(config)
        composed = self.composed[choices]
        return Cell(num, list(overrides), task, composed, values, dirname, self.root, self.root / below)

    def __call__(self, overrides: Sequence[str], num: int) -> DictConfig:
        """Return the config of a cell, `hydra` included; another cell's values may be set in it later.

        Args:
            overrides: Its own.
            num: Its place in the sweep.
        """
        values, choices = self.split(overrides)
        if choices not in self.composed:
            self.composed[choices] = pickle.dumps(self.loader.load_sweep_config(self.sweep, list(choices)))
        key = choices, tuple(value.key_or_group for value in values)
        known = self.live.pop(key) if key in self.live else None
        config: DictConfig = known or pickle.loads(self.composed[choices])
        adapt(config, values, overrides, num)
        job = config.hydra.job
        dirname = overrides_dirname([self.parsed[line] for line in overrides], job.config.override_dirname)
        with open_dict(config):
            job.override_dirname = dirname
        if len(self.live) == LIVE:
            self.live.clear()
        if all(map(replaceable, values)):
            self.live[key] = config
        return config

    def split(self, overrides: Sequence[str]) -> tuple[list[Override], tuple[str, ...]]:
        """Return which overrides set values, and the words of those that are left to Hydra."""
        for line in overrides:
            if line not in self.parsed:
                override = replace(self.parser.parse_overrides([line])[0], config_loader=None)
                self.parsed[line] = override
                self.values[line] = self._is_value(override)
        choices = tuple(line for line in overrides if not self.values[line])
        return [self.parsed[line] for line in overrides if self.values[line]], choices

    def _is_value(self, override: Override) -> bool:
        """Return whether an override surely sets a value: all others are left to Hydra."""
        key = override.key_or_group
        chosen = key in self.sweep.hydra.runtime.choices or key in configs.groups()  # Hydra lists no choice of several
        known = key in self.sweep and not chosen
        return override.package is None and "/" not in key and ("." in key or known)


def adapt(config: DictConfig, values: Sequence[Override], overrides: Sequence[str], num: int) -> None:
    """Make the config of some choices that of a cell.

    Args:
        config: Composed for the choices, or of another cell of them with values of the same names.
        values: What is set in it.
        overrides: All of the cell's own.
        num: The cell's place in the sweep.
    """
    OmegaConf.set_readonly(config.hydra, False)  # as `configs.enter` left it
    set_values(values, config)
    job = config.hydra.job
    with open_dict(config):
        config.hydra.overrides.task = list(overrides)
        job.id = f"{job.name}_{num}"
        job.num = num


def replaceable(value: Override) -> bool:
    """Return whether what an override sets can be set anew by another one: a mapping would be merged."""
    return value.type in (OverrideType.CHANGE, OverrideType.FORCE_ADD) and not isinstance(value.value(), dict)


def own(config: DictConfig) -> dict[str, Any]:
    """Return a cell's own config as plain values, see `Cell.task`; `configs.enter` was told of it."""
    parts = {str(name): config[name] for name in config if name != "hydra"}
    return {
        name: OmegaConf.to_container(part, resolve=name != "logger") if OmegaConf.is_config(part) else part
        for name, part in parts.items()
    }


def refuse_twins(cells: Sequence[Cell]) -> None:
    """Raise where two cells are the same run, or would be recorded in the same directory.

    Raises:
        UserError: There are such cells; it names both.
    """
    by_key: dict[str, Cell] = {}
    by_place: dict[Path, Cell] = {}
    for cell in cells:
        twin = by_key.setdefault(cell.key, cell)
        if twin is not cell:
            names = [
                " ".join(line for line in one.overrides if line not in other.overrides) or one.name
                for one, other in ((twin, cell), (cell, twin))
            ]
            raise UserError(
                f"cells {twin.num} and {cell.num} of the sweep are the same run: '{names[0]}' and '{names[1]}'; "
                "give each value once"
            )
        other = by_place.setdefault(cell.directory, cell)
        if other is not cell:
            raise UserError(
                f"'{other.name}' and '{cell.name}' would both be recorded in {cell.directory}; "
                "let hydra.sweep.subdir depend on what differs, or on ${hydra:job.num}"
            )
