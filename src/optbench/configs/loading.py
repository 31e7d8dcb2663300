"""The data that a config names, loaded once for the runs that share it."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from optbench.configs.making import construct


def key(config: DictConfig) -> str:
    """Return what tells data apart: a config in YAML, but for the seed, which is of the mini-batches."""
    return OmegaConf.to_yaml({**config, "seed": 0}, resolve=True)


def dataset(config: DictConfig, loaded: Mapping[str, Any] | None = None) -> Any:
    """Return a data module, loaded, to be read only.

    Args:
        config: That of the data.
        loaded: Data modules that are there already, by `key`.
    """
    name = key(config)
    return loaded[name] if loaded and name in loaded else _loaded(name)


@functools.lru_cache(1)
def _loaded(name: str) -> Any:
    """Return a data module by its key; the last one is kept, for the runs that differ in other things."""
    data = construct("data", OmegaConf.create(name))()
    data.setup()
    return data


def load(config: DictConfig, loaded: Mapping[str, Any] | None = None) -> Any:
    """Return the data module of a run, with the tensors that this process already has; see `dataset`."""
    data = copy.copy(dataset(config, loaded))
    if "seed" in config:
        data.seed = config.seed
    data.splits = dict(data.splits)
    data.setup()
    return data
