"""Configs as plain values, with the defaults of everything that they make."""

import inspect
from collections.abc import Mapping
from typing import Any

import yaml
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from optbench.configs.known import GROUPS


def resolve(config: DictConfig) -> dict[str, Any]:
    """Return a config as plain values, with the defaults of everything that it makes filled in."""
    return with_defaults(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]


def with_defaults(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a config of plain values with the defaults of everything that it makes filled in."""
    for group in (group for group in GROUPS if group in plain):
        target = get_object(plain[group]["_target_"])
        names = getattr(target, "aliases", {})
        plain[group] = {names.get(key, key): value for key, value in plain[group].items()}
        parameters = inspect.signature(target).parameters.values()
        defaults = {
            p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str | tuple | None)
        }
        plain[group] = {**plain[group], **defaults, **plain[group]}
    return plain


def filled(text: str) -> str:
    """Return a config in YAML with the defaults of everything that it makes; what is no config stays as it is."""
    plain = yaml.safe_load(text)
    if not isinstance(plain, dict) or not all("_target_" in (plain.get(group) or {}) for group in GROUPS):
        return text
    return OmegaConf.to_yaml(OmegaConf.create(with_defaults(plain)))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted ones: `{"optimizer": {"lr": 1}}` becomes `{"optimizer.lr": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
