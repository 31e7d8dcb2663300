"""Runs read back from their directories: nothing is unpickled, and nothing believed without a look."""

import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optbench.checks import UserError
from optbench.records import trajectory
from optbench.records.files import bytes_of, compare
from optbench.records.key import identity
from optbench.records.lock import locked
from optbench.records.status import ENDS, check_status, parsed, status_of, unended
from optbench.records.tables import METRICS, STEPS, numbers
from optbench.records.words import harmless, line, path_line, short

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run read back from its directory.

    Attributes:
        directory: Where it lies.
        config: Contents of config.yaml.
        status: Contents of status.json; `status` is `running` or `stale` where the run has not ended.
    """

    directory: Path
    config: dict[str, Any]
    status: dict[str, Any]

    @property
    def key(self) -> str:
        """What the run is known by, see `identity`."""
        return identity(self.config)

    @functools.cached_property
    def metrics(self) -> "pd.DataFrame":
        """One row an evaluation, the columns of `METRICS`; empty for a run that failed before the first."""
        return numbers(self.directory, "metrics.csv", list(METRICS), self._promised("metrics.csv"))

    @functools.cached_property
    def steps(self) -> "pd.DataFrame":
        """One row a step: step, epoch, lr, loss."""
        return numbers(self.directory, "steps.csv", list(STEPS), self._promised("steps.csv"))

    @functools.cached_property
    def trajectory(self) -> "tuple[np.ndarray, np.ndarray] | None":
        """Steps (k,) and flat weights (k, parameters), or None where they were not kept; those so far of a running run.

        Of trajectory.bin only what is looked at stays in memory.
        """
        path, old = (self.directory / f"trajectory.{kind}" for kind in ("bin", "npz"))
        if path.exists():
            return trajectory.rows(path, self._promised(path.name))
        return trajectory.arrays(old, self._promised(old.name)) if old.exists() else None

    def _promised(self, name: str) -> dict[str, Any] | None:
        """Return what status.json says of a file; None where the run has not ended, or is of an older version."""
        return self.status.get("files", {}).get(name)  # type: ignore[no-any-return]


def read(directory: Path) -> Run:
    """Read one run.

    Raises:
        UserError: A file of the run is missing or damaged.
    """
    import yaml

    try:
        text = bytes_of(directory / "config.yaml")
        config = harmless(_yaml(text.decode()))
        status = parsed(bytes_of(directory / "status.json"))
        check_config(config)
        check_status(status)
        compare(text, "config.yaml", status.get("files", {}).get("config.yaml"))
    except UserError as error:
        raise UserError(f"{path_line(directory)} holds no readable run: {error}") from None
    except (OSError, ValueError, RecursionError, MemoryError, yaml.YAMLError) as error:
        raise UserError(f"{path_line(directory)} holds no readable run: {line(error)}") from None
    if status["status"] not in ENDS:
        status |= {"status": "running" if locked(directory) else "stale", "reason": unended(directory, status)}
    return Run(directory, config, status)


def survey(root: Path) -> tuple[list[Run], dict[Path, str]]:
    """Read all runs at and below a directory, in the order of their names.

    Returns:
        The runs that are whole, and why each of the others is not, in one line.
    """
    runs: list[Run] = []
    damaged: dict[Path, str] = {}
    for path in sorted(_below(root), key=natural):
        try:
            runs.append(inspect(read(path)))
        except UserError as error:
            damaged[path] = str(error)
    return runs, damaged


def inspect(run: Run) -> Run:
    """Return a run after a look at all of its files, which are not kept in memory but for the metrics.

    Raises:
        UserError: One of them is damaged.
    """
    at = run.directory
    promised = run.status.get("files", {})
    _ = run.metrics
    numbers(at, "steps.csv", list(STEPS), promised.get("steps.csv"))
    _ = run.trajectory  # the largest file by far: who deletes it loses the landscape, not the run
    del run.__dict__["trajectory"]
    return run


def find(root: Path) -> list[Run]:
    """Read all runs at and below a directory, in the order of their names; one that is damaged is named and left out.

    Raises:
        UserError: There is none.
    """
    runs, damaged = survey(root)
    for reason in damaged.values():
        print(f"optbench: left out: {reason}", file=sys.stderr)
    if not runs:
        raise UserError(f"no runs in {root}; give a directory that `optbench train` wrote")
    return runs


def _below(root: Path) -> Iterator[Path]:
    """Yield the directories at and below a root that hold a status.json, through no link."""
    for folder, folders, names in os.walk(root):
        if "status.json" in names or "status.json" in folders:
            yield Path(folder)


DEEPEST = 50
"""Levels of a config; libyaml's own recursion overflows the stack on a stranger's thousands."""


def _yaml(text: str) -> Any:
    """Return what a YAML text says, in plain values.

    Raises:
        UserError: It is nested too deeply, or says a thing twice: by an alias, which can stand for billions of values,
            or by a key.
        yaml.YAMLError: It is none.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, _loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError("config.yaml is nested more deeply than any of ours")
        if isinstance(event, yaml.AliasEvent):
            raise UserError("config.yaml has an alias, as none of ours")
    return yaml.load(text, _loader())


@functools.cache
def _loader() -> Any:
    """Return libyaml's loader of plain values, which refuses a key that is there twice."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """YAML itself takes the last of such values, in silence."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            found = super().construct_mapping(node, deep=deep)
            if len(found) < len(node.value):
                raise UserError("config.yaml has a key twice")
            return found

    return Loader


def check_config(config: Any) -> None:
    """Raise a `UserError` where a config lacks what every run has."""
    if not isinstance(config, dict):
        raise UserError("config.yaml is no mapping")
    for group in ("data", "model", "optimizer"):
        part = config.get(group)
        if not (isinstance(part, dict) and isinstance(part.get("_target_"), str)):
            raise UserError(f"config.yaml: {group}={short(part)} names nothing that was made")
    for name, kind in {"trainer": dict, "schedule": dict, "figures": list}.items():
        if name in config and not isinstance(config[name], kind):
            raise UserError(f"config.yaml: {name}={short(config[name])} is no {kind.__name__}")
    if type(config.get("seed")) is not int:
        raise UserError(f"config.yaml: seed={short(config.get('seed'))} is no whole number")
    config.setdefault("name", "train")


def key_of(directory: Path) -> str | None:
    """Return what the run of a directory is known by, or None where there is none that can be read."""
    status = status_of(directory)
    if status is None:
        return None
    if isinstance(status.get("key"), str):
        return str(status["key"])
    try:
        return read(directory).key
    except UserError:
        return None


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort `2_adam` before `10_adam`."""
    return [(int(head), part) if (head := part.split("_")[0]).isdigit() else (-1, part) for part in path.parts]
