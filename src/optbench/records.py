"""What a run leaves behind, written and read in one place.

A run is a directory:

    config.yaml       the resolved config, every hyperparameter of the optimizer included
    status.json       done, diverged or failed, the reason, times, versions, commit, machine, seed, command
    metrics.csv       one row an evaluation, see `METRICS`
    steps.csv         one row a step: step, epoch (from 1), lr, loss
    trajectory.bin    flat weights at some steps, see `TRAJECTORY`; runs of older versions have a trajectory.npz
    checkpoint.ckpt   Lightning's
    events.out.*      TensorBoard's view of the metrics

Nothing here is unpickled, and whole files are written beside and renamed. At its end status.json says how many rows and
bytes each file has and its SHA-256; `read` believes none of it without a look. Whoever trains a run holds a lock on
`.lock`, which the kernel takes back when that process ends, however it ends.
"""

import csv
import datetime
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optbench.checks import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

METRICS = {
    "epoch": "epochs trained, passes over all training samples: a part of one is a fraction; 0 is the untrained model",
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

STATUSES = ("done", "diverged", "failed", "timed out", "running", "stale", "waiting", "missing")
"""What can have become of a run. Stale: cut off without a word; waiting: a cell of a sweep that has not begun yet;
missing: one that an older sweep lacks."""

ENDS = ("done", "diverged", "failed", "timed out")
"""The statuses that a run writes when it ends; the first two are results."""

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
    "workloads",
)
"""Keys of a config that change nothing of what is trained."""

LIMITS = {
    "config.yaml": 2**20,
    "status.json": 2**22,
    "metrics.csv": 2**28,
    "steps.csv": 2**32,
    "trajectory.bin": 2**40,
    "trajectory.npz": 2**35,
}
"""Bytes of a file beyond which it is no record of ours."""

TRAJECTORY = b"OPTBTRJ1"
"""How trajectory.bin begins. Then the number of parameters follows, as int64, and for each recorded step a row: the
step as int64 and the flat weights as float32, all little-endian. A row that a kill cut short is none."""


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


def prepare(out: Path) -> None:
    """Make the folder that results go to, before anything that takes time.

    Raises:
        UserError: It cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; give another folder with --out") from None


def write(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that nobody ever reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


class Busy(UserError):
    """Another process is training this run."""


class Lock:
    """The right to write to a run's directory, for as long as the process lives.

    Args:
        directory: The run's; created if missing.
        patience: Seconds to wait for a lock that another holds; a reader's look takes a moment too.

    Raises:
        Busy: Another process holds it.
    """

    def __init__(self, directory: Path, patience: float = 0.5) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(self.file)
                    raise Busy(f"{directory} is being written by another process; wait for its end") from None
                time.sleep(0.02)

    def release(self) -> None:
        """Give the right back."""
        if self.file >= 0:
            os.close(self.file)
        self.file = -1

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.release()


def locked(directory: Path) -> bool:
    """Return whether a process is training the run of a directory at this moment."""
    try:
        file = os.open(directory / ".lock", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


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
    ) -> None:
        from omegaconf import OmegaConf

        key = identity(config)
        if resume != "longer":
            vacant(directory, key)
        self.lock = Lock(directory)
        if resume != "longer":
            vacant(directory, key)  # what another process did meanwhile
        before = status_of(directory) or {}
        self.over = bool(before.get("finished")) and not before.get("cut", False)
        if before.get("status") in ("done", "diverged") and resume is None:
            raise Finished(f"{directory}: this run is {before['status']} already; rerun=all trains it again")
        self.directory = directory
        self.rows: list[dict[str, Any]] = []
        self.config = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
        self.resumed = resumable(directory, before) if resume is None else True
        self.status: dict[str, Any] = {
            "status": "running",
            "reason": "",
            "key": key,
            "seed": config["seed"],
            "command": f"optbench train {shlex.join([*flags, *overrides])}".strip(),
            "overrides": list(overrides),
            "started": before.get("started") if self.resumed else _now(),
            "finished": None,
            "train_seconds": 0.0,
            "pid": os.getpid(),
            **provenance(),
        }
        if self.over and resume == "stack":
            self.lock.release()
            return
        if self.resumed:
            self.status["continued"] = [*before.get("continued", []), _now()]
            write(directory / "config.yaml", self.config)
            self._write_status()
        else:
            self.begin()

    def begin(self) -> None:
        """Start anew: nothing of an earlier try is left."""
        self.resumed = False
        clear(self.directory)
        write(self.directory / "config.yaml", self.config)
        self._write_status()

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
                os.truncate(path, state["bytes"].get(path.name, 0))

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
                writer.writerow(["step", "epoch", "lr", "loss"])
            pairs = enumerate(zip(lrs, losses, strict=True), first)
            writer.writerows((i, -(-i // per_epoch), f"{lr:.9g}", f"{loss:.9g}") for i, (lr, loss) in pairs)

    def trajectory(self, step: int, weights: "np.ndarray") -> None:
        """Append the flat weights (parameters,) at a step to trajectory.bin, as float32."""
        import numpy as np

        path = self.directory / "trajectory.bin"
        row = np.zeros(1, _row(weights.size))
        row["step"], row["weights"] = step, weights
        head = b"" if path.exists() else TRAJECTORY + np.array([weights.size], "<i8").tobytes()
        with path.open("ab") as file:
            file.write(head + row.tobytes())

    def finish(self, status: str, reason: str = "", cut: bool = False) -> None:
        """Close the run, which publishes it: one rename makes its status and the checksums of its files known.

        Args:
            status: One of `ENDS`.
            reason: Why, in one line.
            cut: Whether it only was cut off, and may go on from its checkpoint.
        """
        self.status |= {"status": status, "reason": reason, "finished": _now(), "cut": cut}
        self.status["files"] = inventory(self.directory)
        self._write_status()
        self.lock.release()

    def _write_status(self) -> None:
        write(self.directory / "status.json", json.dumps(self.status, indent=2) + "\n")


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
        return _numbers(self.directory, "metrics.csv", list(METRICS), self._promised("metrics.csv"))

    @functools.cached_property
    def steps(self) -> "pd.DataFrame":
        """One row a step: step, epoch, lr, loss."""
        return _numbers(self.directory, "steps.csv", ["step", "epoch", "lr", "loss"], self._promised("steps.csv"))

    @functools.cached_property
    def trajectory(self) -> "tuple[np.ndarray, np.ndarray] | None":
        """Steps (k,) and flat weights (k, parameters), or None where they were not kept; those so far of a running run.

        Of trajectory.bin only what is looked at stays in memory.
        """
        path, old = (self.directory / f"trajectory.{kind}" for kind in ("bin", "npz"))
        if path.exists():
            return _rows(path, self._promised(path.name))
        return _arrays(old, self._promised(old.name)) if old.exists() else None

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
        text = _text(directory / "config.yaml")
        config = _yaml(text)
        status = json.loads(_text(directory / "status.json"))
        _check_config(config)
        _check_status(status)
        promised = status.get("files", {}).get("config.yaml")
        _verify(directory / "config.yaml", promised)
    except UserError as error:
        raise UserError(f"{_name(directory)} holds no readable run: {error}") from None
    except (OSError, ValueError, RecursionError, MemoryError, yaml.YAMLError) as error:
        raise UserError(f"{_name(directory)} holds no readable run: {_line(error)}") from None
    if status["status"] not in ENDS:
        status |= {"status": "running" if locked(directory) else "stale", "reason": _unended(directory, status)}
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
    at, promised = run.directory, run.status.get("files", {})
    _ = run.metrics
    _numbers(at, "steps.csv", ["step", "epoch", "lr", "loss"], promised.get("steps.csv"))
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


def _text(path: Path) -> str:
    """Return a file's text.

    Raises:
        UserError: It is no regular file, or larger than a record's can be.
        OSError: It cannot be read.
        UnicodeDecodeError: It is no text.
    """
    return _bytes(path).decode()


def _bytes(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its writer
    with os.fdopen(file, "rb") as opened:
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode):
            raise UserError(f"{path.name} is no regular file")
        if known.st_size > LIMITS[path.name]:
            raise UserError(f"{path.name} has {known.st_size} bytes, more than a record's {LIMITS[path.name]}")
        return opened.read(known.st_size)


DEEPEST = 50
"""Levels of a config; libyaml's own recursion overflows the stack on a stranger's thousands."""


def _yaml(text: str) -> Any:
    """Return what a YAML text says, in plain values.

    Raises:
        UserError: It is nested too deeply.
        yaml.YAMLError: It is none.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for event in yaml.parse(text, loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError("config.yaml is nested more deeply than any of ours")
    return yaml.load(text, loader)


STATUS = {"status": str, "reason": str, "seed": int, "command": str, "overrides": list}
"""What every status.json holds, and of which type."""


def _check_status(status: Any) -> None:
    """Raise a `UserError` where a status is not what `Record` writes."""
    if not isinstance(status, dict):
        raise UserError("status.json is no object")
    for name, kind in STATUS.items():
        if type(status.get(name)) is not kind:
            raise UserError(f"status.json: {name}={_short(status.get(name))} is no {kind.__name__}")
    if not all(type(override) is str for override in status["overrides"]):
        raise UserError("status.json: overrides are no words")
    if status["status"] not in STATUSES:
        raise UserError(f"status.json: status={_short(status['status'])} is none of {', '.join(STATUSES)}")
    if type(status.get("stacked", 1)) is not int:
        raise UserError(f"status.json: stacked={_short(status['stacked'])} is no int")
    files = status.setdefault("files", {})
    if not (isinstance(files, dict) and all(isinstance(promise, dict) for promise in files.values())):
        raise UserError("status.json: files is no object of objects")
    if not files:
        del status["files"]


def _check_config(config: Any) -> None:
    """Raise a `UserError` where a config lacks what every run has."""
    if not isinstance(config, dict):
        raise UserError("config.yaml is no mapping")
    for group in ("data", "model", "optimizer"):
        part = config.get(group)
        if not (isinstance(part, dict) and isinstance(part.get("_target_"), str)):
            raise UserError(f"config.yaml: {group}={_short(part)} names nothing that was made")
    for name, kind in {"trainer": dict, "schedule": dict, "figures": list}.items():
        if name in config and not isinstance(config[name], kind):
            raise UserError(f"config.yaml: {name}={_short(config[name])} is no {kind.__name__}")
    if type(config.get("seed")) is not int:
        raise UserError(f"config.yaml: seed={_short(config.get('seed'))} is no whole number")
    config.setdefault("name", "train")


def _numbers(directory: Path, name: str, columns: list[str], promise: Mapping[str, Any] | None) -> "pd.DataFrame":
    """Return a file of numbers; empty where there is none and none is promised.

    Raises:
        UserError: It is damaged.
    """
    import io

    import pandas as pd

    path = directory / name
    if not path.exists() and promise is None:
        return pd.DataFrame(columns=columns)
    try:
        content = _bytes(path)
        _compare(content, name, promise)
        frame = pd.read_csv(io.BytesIO(content), on_bad_lines="error")
        missing = [column for column in columns if column not in frame]
        if missing:
            raise UserError(f"{name} lacks the column {missing[0]}")
        words = [column for column in columns if frame[column].dtype.kind not in "ifb" and frame[column].notna().any()]
        if words:
            raise UserError(f"{name}: the column {words[0]} is no column of numbers")
    except UserError as error:
        raise UserError(f"{_name(directory)} is damaged: {error}") from None
    except (OSError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise UserError(f"{_name(directory)} is damaged: {name}: {_line(error)}") from None
    return frame


def _row(parameters: int) -> "np.dtype[np.void]":
    import numpy as np

    return np.dtype([("step", "<i8"), ("weights", "<f4", (parameters,))])


def _rows(path: Path, promise: Mapping[str, Any] | None) -> "tuple[np.ndarray, np.ndarray] | None":
    """Return steps and weights of a trajectory.bin, which may be growing; None before its first whole row.

    Raises:
        UserError: It is damaged.
    """
    import numpy as np

    if not path.is_file():  # a FIFO would wait for its writer
        raise UserError(f"{_name(path.parent)} is damaged: {path.name} is no regular file")
    with path.open("rb") as file:
        head, size = file.read(16), path.stat().st_size
        file.seek(0)
        if promise is not None and promise.get("sha256") != hashlib.file_digest(file, "sha256").hexdigest():
            raise UserError(f"{_name(path.parent)} is damaged: {path.name} has another checksum than status.json says")
    parameters = int(np.frombuffer(head[8:], "<i8")[0]) if len(head) == 16 else 1
    if not TRAJECTORY.startswith(head[:8]) or not 0 < parameters <= LIMITS[path.name]:
        raise UserError(f"{_name(path.parent)} is damaged: {path.name} is no trajectory of ours")
    row = _row(parameters)
    count = (size - 16) // row.itemsize
    if count < 1:
        return None
    found = np.memmap(path, row, "c", offset=16, shape=(count,))
    steps: np.ndarray = np.asarray(found["step"])
    last = np.minimum.accumulate(steps[::-1])[::-1]
    kept = np.append(steps[:-1] < last[1:], True)  # a run that went on from a checkpoint has been there before
    return (steps, found["weights"]) if kept.all() else (steps[kept], found["weights"][kept])


def _arrays(path: Path, promise: Mapping[str, Any] | None) -> "tuple[np.ndarray, np.ndarray]":
    """Return steps and weights of a trajectory.

    Raises:
        UserError: It is damaged.
    """
    import zipfile

    import numpy as np

    try:
        _verify(path, promise)
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > LIMITS[path.name]:
                raise UserError(f"{path.name} unpacks to more than a record's")
        with np.load(path, allow_pickle=False) as file:
            steps, weights = file["steps"], file["weights"]
    except UserError as error:
        raise UserError(f"{_name(path.parent)} is damaged: {error}") from None
    except Exception as error:  # zip and npy raise whatever they meet
        raise UserError(f"{_name(path.parent)} is damaged: {path.name}: {_line(error)}") from None
    shaped = steps.ndim == 1 and weights.ndim == 2 and len(steps) == len(weights)
    if not shaped or steps.dtype.kind not in "iu" or weights.dtype.kind != "f":
        raise UserError(f"{_name(path.parent)} is damaged: {path.name} holds no steps (k,) and weights (k, parameters)")
    return steps, weights


def inventory(directory: Path) -> dict[str, dict[str, Any]]:
    """Return rows, bytes and SHA-256 of each file of a run."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("config.yaml", "metrics.csv", "steps.csv", "trajectory.bin", "trajectory.npz", "checkpoint.ckpt"):
        path = directory / name
        if path.exists():
            with path.open("rb") as file:
                found[name] = {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            if name.endswith(".csv"):
                found[name]["rows"] = path.read_bytes().count(b"\n") - 1
    return found


def _verify(path: Path, promise: Mapping[str, Any] | None) -> None:
    """Raise a `UserError` where a file is not what status.json promises."""
    if promise is not None:
        _compare(_bytes(path), path.name, promise)


def _compare(content: bytes, name: str, promise: Mapping[str, Any] | None) -> None:
    if promise is None:
        return
    if len(content) != promise.get("bytes"):
        raise UserError(f"{name} has {len(content)} bytes, not the {_short(promise.get('bytes'))} of status.json")
    if hashlib.sha256(content).hexdigest() != promise.get("sha256"):
        raise UserError(f"{name} has another checksum than status.json says")


def _unended(directory: Path, status: Mapping[str, Any]) -> str:
    """Return in words since when and where a run that has not ended has been running, or when it was last seen."""
    machine = status.get("machine")
    host = machine.get("name", "?") if isinstance(machine, Mapping) else "?"
    if locked(directory):
        return f"since {_short(status.get('started'))} on {_short(host)}"
    return f"cut off; begun {_short(status.get('started'))} on {_short(host)}"


def _short(value: Any) -> str:
    """Return a stranger's value as one short line."""
    text = value if isinstance(value, str) and value.isprintable() and value else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _name(path: Path) -> str:
    """Return a path as one line."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def status_of(directory: Path) -> dict[str, Any] | None:
    """Return the status of a directory's run, or None where there is none that can be read."""
    try:
        status = json.loads(_text(directory / "status.json"))
    except (OSError, ValueError, RecursionError):
        return None
    return status if isinstance(status, dict) else None


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


def ended(directory: Path) -> bool:
    """Return whether the run of a directory has come to its end, whichever it was."""
    status = status_of(directory)
    return status is not None and status.get("finished") is not None


def resumable(directory: Path, status: Mapping[str, Any]) -> bool:
    """Return whether a run that did not come to its end left a checkpoint to go on from."""
    cut = status.get("status") == "running" or status.get("cut", False)
    return bool(cut) and (directory / "checkpoint.ckpt").is_file()


def lose(directory: Path, reason: str, status: str = "failed") -> None:
    """Close the run of a directory if it began, and its process ended before it."""
    known = status_of(directory)
    if known is not None and known.get("finished") is None:
        known |= {"status": status, "reason": reason, "finished": _now(), "cut": True}
        write(directory / "status.json", json.dumps(known, indent=2) + "\n")


OWN = (
    "status.json",
    "metrics.csv",
    "steps.csv",
    "trajectory.bin",
    "trajectory.npz",
    "checkpoint.ckpt",
    "error.txt",
    "stack.json",
    "stack.ckpt",
)
"""Files that a run writes, besides TensorBoard's."""


def clear(directory: Path) -> None:
    """Remove what an earlier try of a run left, so that it starts anew."""
    for path in (*(directory / name for name in OWN), *directory.glob("events.out.*"), *directory.glob(".*.[0-9]*")):
        with suppress(FileNotFoundError):
            path.unlink()


NAME = 255
"""Bytes in the name of a file or folder, on every common file system."""


def vacant(directory: Path, key: str | None = None) -> None:
    """Make sure that a run may be written to a directory, creating nothing that was not there.

    Args:
        directory: Where the run would go.
        key: What it is known by; the same run may be there already.

    Raises:
        UserError: It holds another run, or cannot be written.
    """
    if any(len(os.fsencode(part)) > NAME for part in directory.parts):
        raise UserError(f"{directory} will not do: File name too long; give another name, or hydra.run.dir")
    if (directory / "status.json").exists() and (key is None or key_of(directory) != key):
        raise UserError(
            f"{directory} already holds a run, another one; give another hydra.run.dir or hydra.sweep.dir, or remove it"
        )
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


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort `2_adam` before `10_adam`."""
    return [(int(head), part) if (head := part.split("_")[0]).isdigit() else (-1, part) for part in path.parts]
