"""What states to go on from cost a run, and a stack of runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from optbench import records
from optbench.speed.shell import optbench
from optbench.speed.table import Row, row

LIMIT = 0.02
"""Share of a run's time that the issue allows."""

MODES = {"a run alone": ["replicas=off"], "a stack of 4": ["seed=0,1,2,3", "replicas=4"]}


def saving(short: bool = False) -> Iterator[Row]:
    """Yield the seconds that runs of Adam on the embedded digits spend on saving, against those of the whole run.

    Both are of the same run, so that no other one's noise is in the ratio. States are asked for ever so often (after
    0.001 minutes), which leaves it to the limit how many there are.
    """
    epochs = 1 if short else 40
    for name, how in MODES.items():
        with tempfile.TemporaryDirectory() as folder:
            size = [f"trainer.max_epochs={epochs}", "model.hidden=[128]", "figures=[]", "logger=none"]
            often = ["checkpoint.every=0.001min", f"hydra.sweep.dir={folder}/sweep"]
            optbench("train", "-m", "optimizer=adam", *size, *how, *often)
            run = records.find(Path(folder, "sweep"))[0]
        spent = run.status["checkpoint_seconds"]
        whole = run.status["wall_seconds"]
        yield row(f"states of {name}, {epochs} epochs", max(spent, 1e-6), "all of it", whole, LIMIT)
