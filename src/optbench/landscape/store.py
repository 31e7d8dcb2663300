"""Grids on disk: a finished one is found again by all that it depends on, an interrupted one goes on."""

import hashlib
import marshal
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbench.landscape.arrays import Floats
from optbench.landscape.plane import Plane
from optbench.landscape.task import Task

EVERY = 5.0
"""Seconds between two writes of an unfinished grid."""


def key(task: Task, plane: Plane, coordinates: Floats) -> str:
    """Return a digest of all that losses on a plane depend on."""
    digest = hashlib.blake2b(digest_size=16)
    modules = list(task.model.modules())
    modes = [(type(module).__module__, module.training) for module in modules]
    types = [str(p.dtype) for p in task.model.parameters()]
    digest.update(repr((str(task.model), modes, types, torch.__version__)).encode())
    for function in (task.loss, *(type(module).forward for module in modules)):
        digest.update(_described(function))
    tensors: list[Floats | Tensor] = [plane.origin, plane.basis, coordinates, task.x, task.y]
    for part in [*tensors, *task.model.buffers()]:
        array = np.ascontiguousarray(part.detach().cpu() if isinstance(part, Tensor) else part)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _described(function: Callable[..., Any]) -> bytes:
    """Return what tells functions apart: their text, their defaults and what they hold of their surroundings."""
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function).encode()
    held = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return marshal.dumps(code) + repr((getattr(function, "__defaults__", None), held)).encode()


class Store:
    """The file of one grid.

    Args:
        folder: Where it lies; made if it is missing.
        name: What it depends on, as `key` says it.

    Attributes:
        done: Pieces of work whose losses are in it.
        values: The losses, once all are.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{name}.npz"
        self.done = 0
        self.partial = np.zeros(0)
        self.values: Floats | None = None
        self.written = time.monotonic()
        try:
            with np.load(self.file, allow_pickle=False) as found:
                self.done = int(found["done"])
                self.partial = found["losses"]
        except (OSError, ValueError, KeyError, EOFError):  # none yet, or one that is damaged: begin anew
            return
        self.values = self.partial if self.done < 0 else None

    def sums(self, points: int) -> Floats:
        """Return what is known of the losses of so many points."""
        if self.partial.shape != (points,):
            self.done = 0
            self.partial = np.zeros(points)
        return self.partial.copy()

    def keep(self, sums: Floats, done: int, now: bool = False) -> None:
        """Write what is known, if it was not written a moment ago."""
        if now or time.monotonic() - self.written > EVERY:
            self._write(sums, done)

    def finish(self, values: Floats) -> None:
        """Write all losses."""
        self.values = values
        self._write(values, -1)

    def _write(self, losses: Floats, done: int) -> None:
        beside = self.file.with_name(f".{self.file.stem}.{os.getpid()}.npz")
        np.savez(beside, losses=losses, done=np.asarray(done))
        beside.replace(self.file)
        self.written = time.monotonic()
