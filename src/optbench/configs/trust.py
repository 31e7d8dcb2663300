"""The parts of a stranger's config that may be made again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from optbench.checks import UserError
from optbench.configs.foreign import targets_in
from optbench.configs.known import CONF, GROUPS, files

LARGEST = 10_000
"""Values in a record's config: a few dozen in a real one."""


def trusted(config: Mapping[str, Any], folders: Sequence[Path] = (CONF,)) -> dict[str, Any]:
    """Return the groups of a record's config that may be made again: nothing in them can do harm.

    A record may be anybody's. Only what a config of the same group in one of the folders names as its target may be
    made; the comparison is one of words, and nothing is imported or called.

    Args:
        config: Contents of a config.yaml.
        folders: Folders of configs: the suite's own, and those that this command line gives with `--config-dir`.

    Returns:
        Those of `GROUPS` that the config has.

    Raises:
        UserError: Something else is to be made, or a group is no plain mapping.
    """
    if not isinstance(config, Mapping):
        raise UserError("the record's config.yaml is no mapping")
    found: dict[str, Any] = {}
    for group in (group for group in GROUPS if group in config):
        if not isinstance(config[group], Mapping) or "_target_" not in config[group]:
            raise UserError(f"the record's {group} names nothing to make: it has no _target_")
        _harmless(group, config[group], _named(folders, group), [LARGEST])
        found[group] = config[group]
    root = found.get("data", {}).get("root")
    if root is not None and not (isinstance(root, str) and Path(root).expanduser().is_dir()):
        raise UserError(f"the record's data.root={_quoted(root)} is no folder here; nothing is downloaded for a record")
    return found


def _named(folders: Sequence[Path], group: str) -> set[str]:
    """Return the targets that the configs of a group name, in their own words."""
    return {target for path in files(folders, group) for target in targets_in(yaml.safe_load(path.read_text()))}


def _harmless(where: str, value: Any, known: set[str], left: list[int]) -> None:
    """Raise where a value of a record's config is more than data and known targets; `left` counts down the values."""
    left[0] -= 1
    if left[0] < 0:
        raise UserError(f"the record's {where} has more than {LARGEST} values; no run of ours has")
    if type(value) is list:
        for item in value:
            _harmless(where, item, known, left)
    elif type(value) is dict:
        for key, item in value.items():
            _harmless_key(where, key, item, known)
            _harmless(f"{where}.{_quoted(key)[1:-1]}", item, known, left)
    elif type(value) is str and "${" in value:
        raise UserError(f"the record's {where}={_quoted(value)} would be computed; a record holds plain values")
    elif value is not None and type(value) not in (bool, int, float, str):
        raise UserError(f"the record's {where} is of the type {type(value).__name__}; a record holds plain values")


def _harmless_key(where: str, key: Any, value: Any, known: set[str]) -> None:
    if type(key) is not str:
        raise UserError(f"the record's {where} has the key {_quoted(key)}; keys are words")
    if key == "_target_" and not (type(value) is str and value in known):
        hint = "if it is yours, give --config-dir with a config that names it"
        group = where.partition(".")[0]
        raise UserError(f"the record's {where} is {_quoted(value)}, which no config of the group {group} names; {hint}")
    if key.startswith("_") and key not in ("_target_", "_partial_"):
        raise UserError(f"the record's {where} has the key {_quoted(key)}, which would change how it is made")


def _quoted(value: Any) -> str:
    """Return a stranger's value as one short harmless line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
