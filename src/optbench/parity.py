"""`python -m optbench.parity DIR`: finished runs beside plain PyTorch loops with the same settings.

Nothing of ours takes part in the loops but the data and its order: the network is `nn.Sequential`, the optimizers are
`torch.optim`'s. Both start from the same weights; rounding then parts them, and a wild rule within an epoch.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.utils import instantiate
from rich.console import Console
from torch import nn

from optbench import records
from optbench.data import DataModule
from optbench.records import Run

PLAIN: dict[str, Callable[[Any, dict[str, Any]], torch.optim.Optimizer]] = {
    "SGD": lambda p, h: torch.optim.SGD(p, lr=h["lr"]),
    "Momentum": lambda p, h: torch.optim.SGD(p, lr=h["lr"], momentum=h["beta"]),
    "NAG": lambda p, h: torch.optim.SGD(p, lr=h["lr"], momentum=h["beta"], nesterov=True),
    "Adagrad": lambda p, h: torch.optim.Adagrad(p, lr=h["lr"]),
    "RMSprop": lambda p, h: torch.optim.RMSprop(p, lr=h["lr"], alpha=h["alpha"]),
    "Adadelta": lambda p, h: torch.optim.Adadelta(p, lr=h["lr"], rho=h["rho"]),
    "Adam": lambda p, h: torch.optim.Adam(p, lr=h["lr"], betas=(h["beta1"], h["beta2"])),
}


def main() -> None:
    """Compare all runs below a directory and write one row an optimizer."""
    parser = argparse.ArgumentParser(prog="python -m optbench.parity", description=main.__doc__)
    parser.add_argument("directory", type=Path, help="what `optbench train -m study=seven` wrote")
    parser.add_argument("--out", type=Path, default=Path("results/reference/parity.csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    frame = pd.DataFrame([compare(run) for run in records.find(given.directory)])
    table = frame.groupby("optimizer", sort=False).agg(
        runs=("seed", "count"), optbench=("optbench", "mean"), plain=("plain", "mean")
    )
    table["difference"] = table["optbench"] - table["plain"]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    records.write(given.out, table.to_csv(float_format="%.2f"))
    Console().print(table.round(2).to_string(), given.out, sep="\n", highlight=False)


def compare(run: Run) -> dict[str, Any]:
    """Return the final test accuracy, in per cent, of a run and of the plain loop with its settings and seed."""
    name = run.config["optimizer"]["_target_"].rpartition(".")[2]
    data = instantiate(run.config["data"])
    data.setup()
    return {
        "optimizer": name,
        "seed": run.config["seed"],
        "optbench": 100 * run.metrics["test_accuracy"].iloc[-1],
        "plain": 100 * plain(run.config, data),
    }


def plain(config: dict[str, Any], data: DataModule) -> float:
    """Train a 784-hidden-10 network with torch.optim and return its test accuracy."""
    torch.manual_seed(config["seed"])
    (hidden,) = config["model"]["hidden"]
    model = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    optimizer = PLAIN[config["optimizer"]["_target_"].rpartition(".")[2]](model.parameters(), config["optimizer"])
    (x, y), (x_test, y_test) = data.split("train"), data.split("test")
    loader = data.train_dataloader()
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
