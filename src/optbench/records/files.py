"""Files as wholes: written beside their place and renamed, read within limits, compared with their checksums."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optbench.checks import UserError
from optbench.records.words import short

LIMITS = {
    "config.yaml": 2**20,
    "status.json": 2**22,
    "metrics.csv": 2**28,
    "steps.csv": 2**32,
    "trajectory.bin": 2**40,
    "trajectory.npz": 2**35,
    "cells.json": 2**28,
    "jobs.json": 2**28,
    "stack.json": 2**24,
}
"""Bytes of a file beyond which it is no record of ours."""


def folder(given: str | None) -> Path:
    """Return a folder that the user named for results: the shell leaves a `~` after `=` alone.

    Raises:
        UserError: It is empty, as a variable is that is not set.
    """
    if not given:
        raise UserError(f"out={given or ''} names no folder; give one, or leave it out")
    return Path(given).expanduser()


def prepare(out: Path, option: str = "--out") -> None:
    """Make the folder that results go to, before anything that takes time.

    Args:
        out: The folder.
        option: What the user names another one with.

    Raises:
        UserError: It cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; give another folder with {option}") from None


def write(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that nobody ever reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def bytes_of(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        UserError: It is no regular file, or larger than a record's can be.
        OSError: It cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for its writer
    with os.fdopen(file, "rb") as opened:
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode):
            raise UserError(f"{path.name} is no regular file")
        if known.st_size > LIMITS[path.name]:
            raise UserError(f"{path.name} has {known.st_size} bytes, more than a record's {LIMITS[path.name]}")
        return opened.read(known.st_size)


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


def compare(content: bytes, name: str, promise: Mapping[str, Any] | None) -> None:
    """Raise a `UserError` where what a file holds is not what status.json promises."""
    if promise is None:
        return
    if len(content) != promise.get("bytes"):
        raise UserError(f"{name} has {len(content)} bytes, not the {short(promise.get('bytes'))} of status.json")
    if hashlib.sha256(content).hexdigest() != promise.get("sha256"):
        raise UserError(f"{name} has another checksum than status.json says")
