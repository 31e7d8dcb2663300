"""Sweeps of many cells: what a cell takes beyond its training, and what the sweep's own process needs of memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from optbench.speed.shell import spent
from optbench.speed.table import Row, row

SIZES = (100, 500, 2000)
TOY = ["data=linear_regression", "model=mlp", "model.hidden=[2]", "optimizer=sgd", "trainer.max_epochs=1"]
MOST = 2**30
"""Bytes that a sweep's own process may take, of which what it imports is two thirds."""


def sweeps(short: bool = False) -> Iterator[Row]:
    """Yield what a cell of a toy problem takes by sweeps of 100 to 2,000 cells, start, check and report included.

    Training such a cell takes a millisecond, so that what is measured is all else. The aim is 0.05 s a cell.
    """
    for size in (4,) if short else SIZES:
        seconds, memory = swept(size)
        yield row(f"a cell of {size} in one sweep, all included", seconds / size, "limit", 0.05, 1.0)
        yield row(f"its parent's memory, {memory / 2**20:.0f} MB for seconds", memory / MOST, "1 GB", 1.0, 1.0)


def swept(size: int) -> tuple[float, int]:
    """Return the seconds of a sweep of so many cells, and the peak memory of its own process in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        own = [f"seed=range({size})", "logger=none", "figures=[]", f"hydra.sweep.dir={folder}/sweep"]
        seconds, memory = spent("train", "-m", *TOY, *own)
        done = len(list(Path(folder, "sweep").glob("*/metrics.csv")))
        if done != size:
            raise RuntimeError(f"a sweep of {size} cells left {done}")
        return seconds, memory
