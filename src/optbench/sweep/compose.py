"""The cells of a sweep as configs: Hydra takes a sixth of a second to compose one, so it composes only the choices.

Configs are copied and kept as bytes: a copy by pickle takes a tenth of a deep one's time, and thousands of cells as
objects fill the memory and keep the garbage collector busy.
"""

import functools
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from optbench import configs, records
from optbench.checks import UserError
from optbench.training.private import overrides_dirname, set_values


@dataclass
class Cell:
    """One run of a sweep, composed once; the check, the launcher and the ledger pass it on.

    Attributes:
        num: Its place in the sweep.
        overrides: What makes it differ from the others, such as `["optimizer=adam", "seed=1"]`.
        task: The cell's own config, resolved, without what only its job will know: `hydra` and `logger`.
        packed: The composed config as bytes.
        directory: Where it is recorded.
        suspect: Whether its parts ended or hung the process that looked at them; nothing makes them in this one.
    """

    num: int
    overrides: list[str]
    task: DictConfig
    packed: bytes
    directory: Path
    suspect: bool = False

    @property
    def config(self) -> DictConfig:
        """The composed config, `hydra` included; made anew each time."""
        return pickle.loads(self.packed)  # type: ignore[no-any-return]

    @functools.cached_property
    def key(self) -> str:
        """What the run is known by, see `records.identity`."""
        return records.identity(configs.resolve(self.task))

    @property
    def name(self) -> str:
        """What was typed for it."""
        return " ".join(self.overrides) or "(no override)"

    def at(self, directory: Path) -> "Cell":
        """Return the cell, to be recorded elsewhere in the sweep."""
        config = self.config
        with read_write(config.hydra):
            config.hydra.sweep.subdir = str(directory.relative_to(config.hydra.sweep.dir))
        return replace(self, packed=pickle.dumps(config), directory=directory)


class Composer:
    """Composes cells as Hydra does; those that choose the same configs differ from one another in values alone.

    Args:
        loader: Hydra's config loader.
        sweep: Config of the sweep itself.
    """

    def __init__(self, loader: Any, sweep: DictConfig) -> None:
        self.loader, self.sweep = loader, sweep
        self.parser = OverridesParser.create(config_loader=loader)
        self.composed: dict[tuple[str, ...], bytes] = {}
        self.parsed: dict[str, Override] = {}
        configs.enter(sweep)
        self.root = Path(sweep.hydra.sweep.dir)  # read, it is cached for all cells: there is a time in its name

    def cell(self, overrides: Sequence[str], num: int) -> Cell:
        """Return a cell.

        Args:
            overrides: Its own.
            num: Its place in the sweep.

        Raises:
            UserError: Its `hydra.sweep.dir` is not the sweep's.
        """
        config = self(overrides, num)
        configs.enter(config)
        if Path(config.hydra.sweep.dir) != self.root:
            raise UserError(
                f"hydra.sweep.dir is {config.hydra.sweep.dir} for '{' '.join(overrides)}', and {self.root} for the "
                "sweep; a sweep has one directory, so let hydra.sweep.subdir depend on the cell"
            )
        directory = self.root / config.hydra.sweep.subdir
        return Cell(num, list(overrides), own(config), pickle.dumps(config), directory)

    def __call__(self, overrides: Sequence[str], num: int) -> DictConfig:
        """Return the config of a cell, `hydra` included.

        Args:
            overrides: Its own.
            num: Its place in the sweep.
        """
        for line in overrides:
            if line not in self.parsed:
                self.parsed[line] = self.parser.parse_overrides([line])[0]
        parsed = [self.parsed[line] for line in overrides]
        values = [override for override in parsed if self._is_value(override)]
        choices = tuple(line for line, override in zip(overrides, parsed, strict=True) if override not in values)
        if choices not in self.composed:
            self.composed[choices] = pickle.dumps(self.loader.load_sweep_config(self.sweep, list(choices)))
        config: DictConfig = pickle.loads(self.composed[choices])
        set_values(values, config)
        job = config.hydra.job
        with open_dict(config):
            config.hydra.overrides.task = list(overrides)
            job.override_dirname = overrides_dirname(parsed, job.config.override_dirname)
            job.id, job.num = f"{job.name}_{num}", num
        return config

    def _is_value(self, override: Override) -> bool:
        """Return whether an override surely sets a value: all others are left to Hydra."""
        key = override.key_or_group
        chosen = key in self.sweep.hydra.runtime.choices or key in configs.groups()  # Hydra lists no choice of several
        known = key in self.sweep and not chosen
        return override.package is None and "/" not in key and ("." in key or known)


def own(config: DictConfig) -> DictConfig:
    """Return a cell's own config, resolved; `configs.enter` was told of it."""
    left = {k: config[k] for k in config if k not in ("hydra", "logger")}
    plain = {k: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v for k, v in left.items()}
    return OmegaConf.create(plain)


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
