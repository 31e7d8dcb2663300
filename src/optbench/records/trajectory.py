"""Flat weights at some steps: trajectory.bin, and the trajectory.npz of older versions."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optbench.checks import UserError
from optbench.records.files import LIMITS, bytes_of, compare
from optbench.records.words import reading

if TYPE_CHECKING:
    import numpy as np

TRAJECTORY = b"OPTBTRJ1"
"""How trajectory.bin begins. Then the number of parameters follows, as int64, and for each recorded step a row: the
step as int64 and the flat weights as float32, all little-endian. A row that a kill cut short is none."""


def row_type(parameters: int) -> "np.dtype[np.void]":
    """Return how a step and its flat weights (parameters,) lie in a file."""
    import numpy as np

    return np.dtype([("step", "<i8"), ("weights", "<f4", (parameters,))])


def append(path: Path, step: int, weights: "np.ndarray") -> None:
    """Append the flat weights (parameters,) at a step, as float32."""
    import numpy as np

    row = np.zeros(1, row_type(weights.size))
    row["step"] = step
    row["weights"] = weights
    head = b"" if path.exists() else TRAJECTORY + np.array([weights.size], "<i8").tobytes()
    with path.open("ab") as file:
        file.write(head + row.tobytes())


def rows(path: Path, promise: Mapping[str, Any] | None) -> "tuple[np.ndarray, np.ndarray] | None":
    """Return steps (k,) and weights (k, parameters) of a trajectory.bin, which may grow; None before its first row.

    Raises:
        UserError: It is damaged.
    """
    import numpy as np

    with reading(path):
        if not path.is_file():  # a FIFO would wait for its writer
            raise UserError(f"{path.name} is no regular file")
        with path.open("rb") as file:
            head = file.read(16)
            size = path.stat().st_size
            file.seek(0)
            if promise is not None and promise.get("sha256") != hashlib.file_digest(file, "sha256").hexdigest():
                raise UserError(f"{path.name} has another checksum than status.json says")
        parameters = int(np.frombuffer(head[8:], "<i8")[0]) if len(head) == 16 else 1
        if not TRAJECTORY.startswith(head[:8]) or not 0 < parameters <= LIMITS[path.name]:
            raise UserError(f"{path.name} is no trajectory of ours")
        row = row_type(parameters)
        count = (size - 16) // row.itemsize
        if count < 1:
            return None
        found = np.memmap(path, row, "c", offset=16, shape=(count,))
    steps: np.ndarray = np.asarray(found["step"])
    last = np.minimum.accumulate(steps[::-1])[::-1]
    kept = np.append(steps[:-1] < last[1:], True)  # a run that went on from a checkpoint has been there before
    return (steps, found["weights"]) if kept.all() else (steps[kept], found["weights"][kept])


def arrays(path: Path, promise: Mapping[str, Any] | None) -> "tuple[np.ndarray, np.ndarray]":
    """Return steps (k,) and weights (k, parameters) of a trajectory.npz.

    Raises:
        UserError: It is damaged.
    """
    import numpy as np

    with reading(path):
        compare(bytes_of(path), path.name, promise)
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > LIMITS[path.name]:
                raise UserError(f"{path.name} unpacks to more than a record's")
        with np.load(path, allow_pickle=False) as file:
            steps = file["steps"]
            weights = file["weights"]
        shaped = steps.ndim == 1 and weights.ndim == 2 and len(steps) == len(weights)
        if not shaped or steps.dtype.kind not in "iu" or weights.dtype.kind != "f":
            raise UserError(f"{path.name} holds no steps (k,) and weights (k, parameters)")
    return steps, weights
