"""How long a command takes to start."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from optbench.speed.race import race
from optbench.speed.shell import OPTBENCH, optbench
from optbench.speed.table import Row, row


def commands(rounds: int = 7) -> Iterator[Row]:
    """Yield `optbench --help`, and `optbench train` from the shell to its first step, against what a user waits for."""
    times = race({"help": partial(optbench, "--help"), "train": train}, rounds)
    yield row("optbench --help", times["help"].median, "limit", 0.5, 1)
    yield row("optbench train, to its first step", times["train"].median, "limit", 4, 1)


def train() -> float:
    """Run `optbench train` for a step, and return the seconds until that is on disk."""
    with tempfile.TemporaryDirectory() as root:
        small = ["data.train_size=64", "data.test_size=64", "trainer.max_epochs=1", f"hydra.run.dir={root}/run"]
        start = time.perf_counter()
        with subprocess.Popen([OPTBENCH, "train", *small], stdout=subprocess.DEVNULL) as process:
            while not Path(root, "run", "steps.csv").exists():
                if process.poll() is not None:
                    raise RuntimeError(f"optbench train ended with exit code {process.returncode}")
                time.sleep(0.01)
            return time.perf_counter() - start
