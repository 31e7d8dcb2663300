"""What a run leaves behind, written and read in one place.

A run is a directory:

    config.yaml       the resolved config, every hyperparameter of the optimizer included
    status.json       done, diverged or failed, the reason, times, versions, commit, machine, seed, command
    metrics.csv       one row an evaluation, see `METRICS`
    steps.csv         one row a step: step, epoch, lr, loss
    trajectory.npz    flat weights at some steps: `steps` (k,), `weights` (k, parameters), float32
    checkpoint.ckpt   Lightning's
    events.out.*      TensorBoard's view of the metrics

Nothing here is unpickled, and whole files are written beside and renamed.
"""

import csv
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optbench.checks import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

METRICS = {
    "epoch": "epochs trained; 0 is the untrained model",
    "step": "optimizer steps taken",
    "grad_evals": "gradients evaluated",
    "loss_evals": "losses evaluated without a gradient, by line searches and the like",
    "hvp_evals": "Hessian-vector products evaluated",
    "train_seconds": "time spent training; the clock stands still during evaluation",
    "lr": "learning rate of the last step",
    "train_loss": "mean loss over the training split, at the weights of this row",
    "train_accuracy": "share of the training split classified right",
    "val_loss": "the same on the validation split, if there is one",
    "val_accuracy": "share of the validation split classified right",
    "test_loss": "the same on the test split",
    "test_accuracy": "share of the test split classified right",
    "grad_norm": "2-norm of the last mini-batch's gradient",
    "weight_norm": "2-norm of all weights",
    "update_norm": "2-norm of the weights' change since the previous row",
}
"""Columns of metrics.csv; a measure that a problem lacks stays empty."""

STATUSES = ("done", "diverged", "failed", "missing")


def write(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that nobody ever reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


class Record:
    """The files of one run, as they grow.

    Args:
        directory: Where they go; created if missing.
        config: The resolved config.
        overrides: What was typed to get it, such as `["optimizer=adam", "seed=1"]`.

    Raises:
        UserError: The directory holds another run, or cannot be written.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        from omegaconf import OmegaConf

        vacant(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.rows: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {
            "status": "running",
            "reason": "",
            "seed": config["seed"],
            "command": f"optbench train {shlex.join(overrides)}".strip(),
            "overrides": list(overrides),
            "started": _now(),
            "finished": None,
            "train_seconds": 0.0,
            **provenance(),
        }
        write(directory / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))))
        self._write_status()

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Add a row to metrics.csv; unknown columns are an error, missing ones stay empty."""
        self.rows.append({name: row.get(name, "") for name in METRICS} | dict(row))
        lines = [",".join(METRICS), *(",".join(str(r[name]) for name in METRICS) for r in self.rows)]
        write(self.directory / "metrics.csv", "\n".join(lines) + "\n")
        self.status["train_seconds"] = row["train_seconds"]

    def steps(self, first: int, epoch: int, lrs: Iterable[float], losses: Iterable[float]) -> None:
        """Append consecutive steps to steps.csv, `first` being the number of the first of them, from 1."""
        path = self.directory / "steps.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "epoch", "lr", "loss"])
            pairs = enumerate(zip(lrs, losses, strict=True), first)
            writer.writerows((i, epoch, f"{lr:.9g}", f"{loss:.9g}") for i, (lr, loss) in pairs)

    def trajectory(self, steps: Sequence[int], weights: "np.ndarray") -> None:
        """Write trajectory.npz: weights (len(steps), parameters)."""
        import numpy as np

        beside = self.directory / f".trajectory.{os.getpid()}.npz"
        np.savez(beside, steps=np.asarray(steps), weights=weights)
        beside.replace(self.directory / "trajectory.npz")

    def finish(self, status: str, reason: str = "") -> None:
        """Close the run as done, diverged or failed, with the reason in one line."""
        self.status |= {"status": status, "reason": reason, "finished": _now()}
        self._write_status()

    def _write_status(self) -> None:
        write(self.directory / "status.json", json.dumps(self.status, indent=2) + "\n")


@dataclass(frozen=True)
class Run:
    """A run read back from its directory.

    Attributes:
        directory: Where it lies.
        config: Contents of config.yaml.
        status: Contents of status.json; `status` is `missing` where the run never ended.
    """

    directory: Path
    config: dict[str, Any]
    status: dict[str, Any]

    @functools.cached_property
    def metrics(self) -> "pd.DataFrame":
        """One row an evaluation, the columns of `METRICS`; empty for a run that failed before the first."""
        import pandas as pd

        path = self.directory / "metrics.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(METRICS))

    @functools.cached_property
    def steps(self) -> "pd.DataFrame":
        """One row a step: step, epoch, lr, loss."""
        import pandas as pd

        path = self.directory / "steps.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["step", "epoch", "lr", "loss"])

    @functools.cached_property
    def trajectory(self) -> "tuple[np.ndarray, np.ndarray] | None":
        """Steps (k,) and flat weights (k, parameters), or None where they were not kept."""
        import numpy as np

        path = self.directory / "trajectory.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as file:
            return file["steps"], file["weights"]


def read(directory: Path) -> Run:
    """Read one run.

    Raises:
        UserError: A file of the run is missing or damaged.
    """
    import yaml

    try:
        config = yaml.safe_load((directory / "config.yaml").read_text())
        status = json.loads((directory / "status.json").read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{directory} holds no readable run: {' '.join(str(error).split())}") from None
    if status["status"] not in STATUSES:
        status |= {"status": "missing", "reason": "the run never ended"}
    return Run(directory, config, status)


def find(root: Path) -> list[Run]:
    """Read all runs at and below a directory, in the order of their names.

    Raises:
        UserError: There is none.
    """
    runs = [read(path.parent) for path in sorted(root.rglob("status.json"), key=_natural)]
    if not runs:
        raise UserError(f"no runs in {root}; give a directory that `optbench train` wrote")
    return runs


def ended(directory: Path) -> bool:
    """Return whether the run of a directory has come to its end, whichever it was."""
    try:
        return json.loads((directory / "status.json").read_text())["finished"] is not None
    except FileNotFoundError:
        return False


def lose(directory: Path, reason: str) -> None:
    """Close the run of a directory as failed if it began, and its process ended before it."""
    path = directory / "status.json"
    if path.exists() and not ended(directory):
        status = json.loads(path.read_text()) | {"status": "failed", "reason": reason, "finished": _now()}
        write(path, json.dumps(status, indent=2) + "\n")


def vacant(directory: Path) -> None:
    """Make sure that a run may be written to a directory, creating nothing that was not there.

    Raises:
        UserError: It holds another run, or cannot be written.
    """
    if (directory / "status.json").exists():
        raise UserError(f"{directory} already holds a run; give another hydra.run.dir or hydra.sweep.dir, or remove it")
    parent = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=parent).close()
    except OSError:
        raise UserError(f"{parent} cannot be written; give another hydra.run.dir or hydra.sweep.dir") from None


@functools.cache
def provenance() -> dict[str, Any]:
    """Return versions, commit and machine of this process."""
    packages = ("optbench", "torch", "lightning", "hydra-core")
    return {
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}},
        "commit": _commit(),
        "machine": {"name": platform.node(), "system": platform.platform(), "cpu": _cpu(), "cores": os.cpu_count()},
    }


def _commit() -> str | None:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort `2_adam` before `10_adam`."""
    return [(int(head), part) if (head := part.split("_")[0]).isdigit() else (-1, part) for part in path.parts]
