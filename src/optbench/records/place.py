"""The directory of a run: free for it, or cleared of an earlier try."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from optbench.checks import UserError
from optbench.records.lock import Busy, Lock
from optbench.records.reading import key_of

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


def restart(directory: Path) -> None:
    """Remove what a run left, so that it starts anew; not while another process is training it."""
    try:
        lock = Lock(directory)
    except Busy:
        return
    clear(directory)
    lock.release()


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


def taken(directory: Path, key: str) -> Lock:
    """Return the right to write a run to a directory, see `vacant`.

    Raises:
        Busy: Another process is training it.
    """
    vacant(directory, key)
    lock = Lock(directory)
    vacant(directory, key)  # what another process did meanwhile
    return lock
