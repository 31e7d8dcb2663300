"""JAX, as a process of its own; see `in_jax`."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from optbench.data.mnist import SUBSET

JAX = "JAX + optax"
"""Its name in the tables."""


def installed() -> bool:
    """Return whether it can be compared with: it comes with the extra `speed`."""
    return all(importlib.util.find_spec(name) for name in ("jax", "optax"))


def run(hidden: int, rates: int, seeds: int, epochs: int, cores: int | None = None) -> tuple[dict[str, float], float]:
    """Train on the embedded digits; return what `in_jax` tells of its seconds, and those of the whole process.

    Args:
        hidden: Width of the hidden layer.
        rates: Learning rates.
        seeds: Seeds.
        epochs: Epochs.
        cores: To how many cores it is bound; None for all.
    """
    script = Path(__file__).with_name("in_jax.py")
    command = [sys.executable, "-P", str(script), str(SUBSET), *map(str, (hidden, rates, seeds, epochs))]
    mine = sorted(os.sched_getaffinity(0))[:cores]
    start = time.perf_counter()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=partial(os.sched_setaffinity, 0, mine)
    )
    whole = time.perf_counter() - start
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told, whole
