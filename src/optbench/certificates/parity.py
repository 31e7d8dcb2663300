"""`python -m optbench.certificates.parity DIR`: finished runs beside plain PyTorch loops with the same settings.

Nothing of ours takes part in the loops but the data and its order: the network is `nn.Sequential`, the optimizers are
`torch.optim`'s. Both start from the same weights; rounding then parts them, and a wild rule within an epoch. A second
loop orders its mini-batches in its own way: how far that alone moves a rule, its spread over the seeds tells.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.progress import track
from torch import nn

from optbench import records
from optbench.certificates.twins import TWINS
from optbench.configs import trusted
from optbench.data import DataModule
from optbench.data.chunks import Chunks
from optbench.records import Run


def main() -> None:
    """Compare all runs below a directory and write one row an optimizer."""
    parser = argparse.ArgumentParser(prog="python -m optbench.certificates.parity", description=main.__doc__)
    parser.add_argument("directory", type=Path, help="what `optbench train -m study=seven` wrote")
    parser.add_argument("--out", type=Path, default=Path("results/reference/parity.csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    frame = pd.DataFrame([compare(run) for run in track(records.find(given.directory), "plain loops")])
    table = frame.groupby("optimizer", sort=False).agg(
        runs=("seed", "count"),
        optbench=("optbench", "mean"),
        spread=("optbench", "std"),
        same_batches=("same_batches", "mean"),
        own_batches=("own_batches", "mean"),
    )
    for column in ("same_batches", "own_batches"):
        table[f"minus_{column}"] = table["optbench"] - table[column]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    records.write(given.out, table.to_csv(float_format="%.2f"))
    Console().print(table.round(2).to_string(), given.out, sep="\n", highlight=False)


def compare(run: Run) -> dict[str, Any]:
    """Return the final test accuracy, in per cent, of a run and of two plain loops with its settings."""
    name = run.config["optimizer"]["_target_"].rpartition(".")[2]
    data = instantiate(trusted(run.config)["data"])
    data.setup()
    same = data.train_dataloader()
    own = Chunks(same.x, same.y, same.batch_size, seed=same.seed + 1000)
    return {
        "optimizer": name,
        "seed": run.config["seed"],
        "optbench": 100 * run.metrics["test_accuracy"].iloc[-1],
        "same_batches": 100 * plain(run.config, data, same),
        "own_batches": 100 * plain(run.config, data, own),
    }


def plain(config: dict[str, Any], data: DataModule, loader: Chunks) -> float:
    """Train a 784-hidden-10 network with torch.optim, in a loader's order, and return its test accuracy."""
    torch.manual_seed(config["seed"])
    (hidden,) = config["model"]["hidden"]
    model = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    optimizer = TWINS[config["optimizer"]["_target_"].rpartition(".")[2]](model.parameters(), config["optimizer"])
    (x, y) = data.split("train")
    (x_test, y_test) = data.split("test")
    for epoch in range(config["trainer"]["max_epochs"]):
        for rows in torch.split(loader.order(epoch), config["data"]["batch_size"]):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        return float((model(x_test).argmax(1) == y_test).double().mean())


if __name__ == "__main__":
    main()
