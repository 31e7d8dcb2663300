"""A whole study, from the shell, against the script that it replaces."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optbench.certificates.twins import TWINS
from optbench.records import find
from optbench.speed.shell import optbench
from optbench.speed.table import Row, row
from optbench.speed.training import textbook, write_digits


def seven(short: bool = False) -> Iterator[Row]:
    """Yield `study=seven` on 60,000 images with one seed, start, table and figures included, against tutorials' loops.

    Of the loops a single epoch an optimizer is timed, and taken ten times.
    """
    images = 1000 if short else 60_000
    epochs = 1 if short else 10
    with tempfile.TemporaryDirectory() as root:
        write_digits(Path(root) / "MNIST" / "raw", images)
        sweep = Path(root) / "sweep"
        study = ["study=seven", "data=mnist", f"data.root={root}", "seed=0", f"trainer.max_epochs={epochs}"]
        ours = optbench("train", "-m", *study, f"hydra.sweep.dir={sweep}")
        theirs = epochs * sum(epoch(root, run.config["optimizer"]) for run in find(sweep))
    yield row(f"study=seven, {images:,} images, one seed", ours, "DataLoader loops, one after another", theirs, 0.1)


def epoch(root: str, rule: dict[str, Any]) -> float:
    """Return the seconds of an epoch in the tutorials' way, with the optimizer of a config."""
    plain = TWINS[rule["_target_"].rpartition(".")[2]]
    start = time.perf_counter()
    textbook(root, lambda params: plain(params, rule))
    return time.perf_counter() - start
