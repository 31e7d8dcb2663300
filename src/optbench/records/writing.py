"""The files of one run, as they grow."""

import csv
import functools
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optbench.checks import UserError
from optbench.records import trajectory
from optbench.records.files import inventory, write
from optbench.records.key import identity
from optbench.records.lock import Lock
from optbench.records.origin import provenance
from optbench.records.place import clear, taken
from optbench.records.status import now, resumable, status_of
from optbench.records.tables import METRICS, STEPS

if TYPE_CHECKING:
    import numpy as np

Resume = Literal["stack", "longer"]


class Finished(UserError):
    """A directory already holds this very run, and it has come to its end."""


class Record:
    """The files of one run, as they grow.

    The directory may hold the same run, begun before: one that was cut off goes on from its checkpoint, and one that
    failed starts anew.

    Args:
        directory: Where they go; created if missing.
        config: The resolved config.
        overrides: What was typed to get it, such as `["optimizer=adam", "seed=1"]`.
        resume: `stack`: it goes on with its stack, or has ended and only takes part in it; `longer`: it goes on
            from its checkpoint though it had ended, or was another one; None: as said above.
        flags: What stood before the overrides, such as `["--config-dir", "mine/conf"]`.
        content: What tells the versions of the user's own files and classes apart, by group; see `configs.content`.

    Attributes:
        resumed: Whether the run goes on from the checkpoint that is there.
        over: Whether it had come to its end before.

    Raises:
        Busy: Another process is training this run.
        Finished: The directory holds this run, done or diverged.
        UserError: The directory holds another run, or cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        overrides: Sequence[str],
        resume: Resume | None = None,
        flags: Sequence[str] = (),
        content: Mapping[str, str] | None = None,
    ) -> None:
        key = identity(config)
        self.lock = Lock(directory) if resume == "longer" else taken(directory, key)
        before = status_of(directory) or {}
        self.over = bool(before.get("finished")) and not before.get("cut", False)
        if before.get("status") in ("done", "diverged") and resume is None:
            raise Finished(f"{directory}: this run is {before['status']} already; rerun=all trains it again")
        self.directory = directory
        self.rows: list[dict[str, Any]] = []
        self.config = in_yaml(config)
        self.resumed = resumable(directory, before) if resume is None else True
        self.status: dict[str, Any] = {
            "status": "running",
            "reason": "",
            "key": key,
            "seed": config["seed"],
            "command": f"optbench train {shlex.join([*flags, *overrides])}".strip(),
            "overrides": list(overrides),
            "started": before.get("started") if self.resumed else now(),
            "finished": None,
            "train_seconds": 0.0,
            "pid": os.getpid(),
            "content": through(before, content or {}) if self.resumed else content or {},
            **provenance(),
        }
        if self.over and resume == "stack":
            self.lock.release()
            return
        if self.resumed:
            self.status["continued"] = [*before.get("continued", []), now()]
            self._write_head()
        else:
            self.begin()

    def begin(self) -> None:
        """Start anew: nothing of an earlier try is left."""
        self.resumed = False
        clear(self.directory)
        self._write_head()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to know of the files, to cut off later what comes after it."""
        sizes = {path.name: path.stat().st_size for path in self._growing() if path.exists()}
        return {"rows": self.rows, "bytes": sizes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Bring the files back to where they were at a checkpoint."""
        self.rows = [dict(row) for row in state["rows"]]
        self._write_rows()
        for path in self._growing():
            if path.exists():
                os.truncate(path, min(state["bytes"].get(path.name, 0), path.stat().st_size))

    def _growing(self) -> list[Path]:
        """Return the files that are appended to."""
        return [self.directory / name for name in ("steps.csv", "trajectory.bin")]

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Add a row to metrics.csv; unknown columns are an error, missing ones stay empty."""
        self.rows.append({name: row.get(name, "") for name in METRICS} | dict(row))
        self._write_rows()
        self.status["train_seconds"] = row["train_seconds"]

    def _write_rows(self) -> None:
        lines = [",".join(METRICS), *(",".join(str(r[name]) for name in METRICS) for r in self.rows)]
        write(self.directory / "metrics.csv", "\n".join(lines) + "\n")

    def steps(self, first: int, per_epoch: int, lrs: Iterable[float], losses: Iterable[float]) -> None:
        """Append consecutive steps to steps.csv.

        Args:
            first: Number of the first of them, from 1.
            per_epoch: Steps in an epoch.
            lrs: Learning rates.
            losses: Losses of the mini-batches.
        """
        path = self.directory / "steps.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(STEPS)
            pairs = enumerate(zip(lrs, losses, strict=True), first)
            writer.writerows((i, -(-i // per_epoch), f"{lr:.9g}", f"{loss:.9g}") for i, (lr, loss) in pairs)

    def trajectory(self, step: int, weights: "np.ndarray") -> None:
        """Append the flat weights (parameters,) at a step to trajectory.bin, as float32."""
        trajectory.append(self.directory / "trajectory.bin", step, weights)

    def finish(self, status: str, reason: str = "", cut: bool = False) -> None:
        """Close the run, which publishes it: one rename makes its status and the checksums of its files known.

        Args:
            status: One of `ENDS`.
            reason: Why, in one line.
            cut: Whether it only was cut off, and may go on from its checkpoint.
        """
        self.status |= {"status": status, "reason": reason, "finished": now(), "cut": cut}
        self.status["files"] = inventory(self.directory)
        self._write_status()
        self.lock.release()

    def _write_head(self) -> None:
        write(self.directory / "config.yaml", self.config)
        self._write_status()

    def _write_status(self) -> None:
        write(self.directory / "status.json", json.dumps(self.status, indent=2) + "\n")


def through(before: Mapping[str, Any], now: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of files and classes that a run goes through, by group, such as `0a1b2c3d+4e5f6a7b`.

    Args:
        before: Its status until now.
        now: The versions from now on.
    """
    known = before.get("content")
    found = dict(known) if isinstance(known, dict) else {}
    for group, version in now.items():
        old = str(found.get(group, version))
        found[group] = old if old.endswith(version) else f"{old}+{version}"
    return found


class Silent(Record):
    """The record of a process that takes part in a run which another one records: nothing is written.

    Args:
        directory: The run's.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rows = []
        self.status = {}

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Write nothing."""

    def steps(self, first: int, per_epoch: int, lrs: Iterable[float], losses: Iterable[float]) -> None:
        """Write nothing."""

    def trajectory(self, step: int, weights: "np.ndarray") -> None:
        """Write nothing."""

    def state(self) -> dict[str, Any]:
        """Return nothing: the other process's checkpoint knows."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Leave the files to the other process."""


def in_yaml(config: Mapping[str, Any]) -> str:
    """Return a config of plain values in YAML, as OmegaConf would write it, in a tenth of the time."""
    import yaml

    return str(yaml.dump(dict(config), Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=False))


@functools.cache
def _dumper() -> Any:
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Writes each value where it stands, and quotes texts that OmegaConf would read as numbers, such as 1e3."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: Any) -> Any:
        word = str(value)
        try:
            float(word)
        except ValueError:
            return dumper.represent_scalar("tag:yaml.org,2002:str", word)
        return dumper.represent_scalar("tag:yaml.org,2002:str", word, style="'")

    Dumper.add_representer(str, text)
    Dumper.add_multi_representer(object, text)
    return Dumper
