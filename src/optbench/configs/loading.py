"""The data that a config names, loaded once for the runs that share it."""

import copy
import inspect
import json
from collections.abc import Mapping
from typing import Any

from optbench.checks import UserError
from optbench.configs.defaults import values
from optbench.configs.making import construct, located


def key(config: Mapping[str, Any]) -> str:
    """Return what tells data apart: a config, but for the seed, which is of the mini-batches."""
    return json.dumps({**values(config), "seed": 0}, default=str)


_last: dict[str, Any] = {}
"""The data module that was loaded last, by its key, for the runs that differ in other things."""


def dataset(config: Mapping[str, Any], loaded: Mapping[str, Any] | None = None) -> Any:
    """Return a data module, loaded, to be read only.

    Args:
        config: That of the data.
        loaded: Data modules that are there already, by `key`.
    """
    name = key(config)
    if loaded and name in loaded:
        return loaded[name]
    if name not in _last:
        cls = located("data", config)
        if not hasattr(cls, "batches_per_epoch"):
            raise UserError(
                f"data: {config['_target_']} is no optbench.data.DataModule; build on optbench.data.Samples, or of a "
                "torch Dataset give data=dataset data.dataset._target_=<it>"
            )
        if "__init__" in vars(cls) and "seed" not in inspect.signature(cls).parameters:
            raise UserError(
                f"data: {config['_target_']} has an __init__ without `seed`; leave it out, and make its arguments "
                "fields of the class, with @dataclass(kw_only=True, eq=False) above it"
            )
        data = construct("data", {**values(config), "seed": 0})()
        data.setup()
        _last.clear()
        _last[name] = data
    return _last[name]


def load(config: Mapping[str, Any], loaded: Mapping[str, Any] | None = None) -> Any:
    """Return the data module of a run, with the tensors that this process already has; see `dataset`."""
    data = copy.copy(dataset(config, loaded))
    if "seed" in config:
        data.seed = config["seed"]
    data.splits = dict(data.splits)
    data.setup()
    return data
