"""How long a command takes to start."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from optbench.speed.race import race
from optbench.speed.training import Row, row


def commands(rounds: int = 7) -> Iterator[Row]:
    """Yield `optbench --help`, and a run of a single step from the shell to its end, against what a user waits for.

    Args:
        rounds: Repeats.
    """
    times = race({"help": partial(call, "--help"), "train": train}, rounds)
    yield row("optbench --help", times["help"].median, "limit", 0.5, 1)
    yield row("optbench train, a run of one step", times["train"].median, "limit", 8, 1)


def train() -> None:
    """Run `optbench train` for a step."""
    with tempfile.TemporaryDirectory() as root:
        call("train", "data.train_size=64", "data.test_size=64", "trainer.max_epochs=1", f"hydra.run.dir={root}/run")


def call(*arguments: str) -> None:
    """Run the command."""
    subprocess.run([Path(sys.executable).with_name("optbench"), *arguments], check=True, capture_output=True)
