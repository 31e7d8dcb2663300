"""What a run is known by."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

IRRELEVANT = (
    "name",
    "figures",
    "logger",
    "replicas",
    "checkpoint",
    "timeout",
    "resume",
    "rerun",
    "fail_fast",
    "hydra",
    "budget",
    "search",
    "widen",
    "workload",
    "workloads",
)
"""Keys of a config that change nothing of what is trained."""


def identity(config: Mapping[str, Any]) -> str:
    """Return what a run is known by: a hash of the resolved config, as far as it matters to training.

    Args:
        config: Contents of config.yaml, or what will be written there.
    """
    told = {k: _canonical(v) for k, v in config.items() if k not in IRRELEVANT}
    rule = told.get("optimizer")
    if isinstance(rule, dict):
        rule.pop("search", None)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    """Return a value such that equal ones are written alike: 1 as 1.0, a tuple as a list."""
    if isinstance(value, Mapping):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
