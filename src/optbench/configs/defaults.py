"""Configs as plain values, with the defaults of everything that they make."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from optbench.configs.known import GROUPS


def values(config: Any) -> Any:
    """Return a part of a config as plain values."""
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as plain values, with the defaults of everything that it makes filled in."""
    return with_defaults(values(config))


def with_defaults(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config of plain values with the defaults of everything that it makes filled in."""
    made = {group: _filled(plain[group]) for group in GROUPS if group in plain}
    return {**plain, **made}


def _filled(given: Mapping[str, Any]) -> dict[str, Any]:
    aliases, defaults = _defaults(given["_target_"])
    own = {aliases.get(key, key): value for key, value in given.items()}
    return {**own, **defaults, **own}


@functools.cache
def _defaults(name: str) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return the other names of what a target takes, and the defaults that are plain values."""
    target = get_object(name)
    parameters = inspect.signature(target).parameters.values()
    plain = {p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str | tuple | None)}
    return getattr(target, "aliases", {}), plain


def filled(text: str) -> str:
    """Return a config in YAML with the defaults of everything that it makes; what is no config stays as it is."""
    plain = yaml.safe_load(text)
    if not isinstance(plain, dict) or not all("_target_" in (plain.get(group) or {}) for group in GROUPS):
        return text
    return OmegaConf.to_yaml(OmegaConf.create(with_defaults(plain)))


def at(tree: Any, path: str) -> Any:
    """Return what nested mappings have at a dotted path; None where they have nothing there."""
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted ones: `{"optimizer": {"lr": 1}}` becomes `{"optimizer.lr": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
