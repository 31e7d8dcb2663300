"""The cells of a sweep as configs: Hydra takes a sixth of a second to compose one, so it composes only the choices."""

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict


class Composer:
    """Composes cells as Hydra does; those that choose the same configs differ from one another in values alone.

    Args:
        loader: Hydra's config loader.
        sweep: Config of the sweep itself.
    """

    def __init__(self, loader: Any, sweep: DictConfig) -> None:
        self.loader, self.sweep = loader, sweep
        self.parser = OverridesParser.create(config_loader=loader)
        self.composed: dict[tuple[str, ...], DictConfig] = {}
        sweep.hydra.sweep.dir  # noqa: B018  (read, it is cached for all cells: there is a time in its name)

    def __call__(self, cell: Sequence[str], num: int) -> DictConfig:
        """Return the config of a cell, `hydra` included.

        Args:
            cell: Its overrides.
            num: Its place in the sweep.
        """
        overrides = self.parser.parse_overrides(list(cell))
        values = [override for override in overrides if self._is_value(override)]
        choices = tuple(line for line, override in zip(cell, overrides, strict=True) if override not in values)
        if choices not in self.composed:
            self.composed[choices] = self.loader.load_sweep_config(self.sweep, list(choices))
        config = copy.deepcopy(self.composed[choices])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        job = config.hydra.job
        with open_dict(config):
            config.hydra.overrides.task = list(cell)
            job.override_dirname = get_overrides_dirname(overrides, **job.config.override_dirname)
            job.id, job.num = f"{job.name}_{num}", num
        return config

    def _is_value(self, override: Override) -> bool:
        """Return whether an override surely sets a value: all others are left to Hydra."""
        key = override.key_or_group
        known = key in self.sweep and key not in self.sweep.hydra.runtime.choices
        return override.package is None and "/" not in key and ("." in key or known)
