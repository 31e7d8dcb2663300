"""A report on many runs: time, memory, and how both grow."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optbench import records
from optbench.speed.shell import spent
from optbench.speed.table import Row, row

SEEDS = 10
EVALUATIONS = 100
MOST = 2**30
"""Bytes that a report on 1,000 runs may take."""


def reports(short: bool = False) -> Iterator[Row]:
    """Yield `optbench report` on 1,000 runs of 100 evaluations, start and imports included, and on ten times as many.

    The aims are 10 s, a gigabyte, and ten times the time for ten times the runs; a row's `against` holds these.
    """
    sizes = (20,) if short else (1000, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        took = []
        for size in sizes:
            root = Path(folder) / str(size)
            write(root, size)
            seconds, memory = spent("report", str(root))
            took.append(seconds)
            yield row(f"report on {size} runs of {EVALUATIONS} evaluations", seconds, "the aim", size / 100, 1.0)
            yield row(f"its memory, {memory / 2**20:.0f} MB for seconds", memory / MOST, "1 GB", size / 1000, 1.0)
        for size, seconds in list(zip(sizes, took, strict=True))[1:]:
            growth = size / sizes[0]
            yield row(f"{size} runs", seconds, f"{growth:.0f} times those of {sizes[0]}", growth * took[0], 1.1)


def write(root: Path, runs: int) -> None:
    """Write the records of so many runs: optimizers at ten seeds each, whose losses fall at their own pace."""
    rng = np.random.default_rng(0)
    epochs = np.arange(EVALUATIONS + 1)
    for i in range(runs):
        setting, seed = divmod(i, SEEDS)
        falling = np.exp(-epochs / (5 + setting % 17)) + 0.01 * rng.random(len(epochs))
        config = {
            "name": "many",
            "seed": seed,
            "figures": ["curves"],
            "data": {"_target_": "optbench.data.MNISTSubset", "batch_size": 64, "seed": seed},
            "model": {"_target_": "optbench.models.mlp", "hidden": [128]},
            "optimizer": {"_target_": "optbench.optimizers.Adam", "lr": 1e-4 * 1.01**setting},
            "schedule": {"_target_": "optbench.schedules.constant", "unit": "step"},
            "trainer": {"max_epochs": EVALUATIONS},
        }
        record = records.Record(root / f"{i}_adam_seed{seed}", config, ["optimizer=adam", f"seed={seed}"])
        losses = zip(epochs.tolist(), falling.tolist(), strict=True)
        record.rows = [{name: "" for name in records.METRICS} | evaluation(t, loss) for t, loss in losses]
        record.evaluation(record.rows.pop())
        record.finish("done")


def evaluation(epoch: int, loss: float) -> dict[str, float]:
    """Return a row of metrics."""
    accuracy = 1 - loss / 2
    counts = {"epoch": epoch, "step": 100 * epoch, "grad_evals": 100 * epoch, "train_seconds": 0.1 * epoch}
    splits = {f"{split}_loss": loss for split in ("train", "test")}
    return counts | splits | {f"{split}_accuracy": accuracy for split in ("train", "test")}
