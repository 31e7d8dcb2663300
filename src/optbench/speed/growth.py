"""`python -m optbench.speed.growth`: how cost grows with what a user turns up, each on log-log axes with its slope."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from rich.console import Console
from torch import nn

from optbench import records
from optbench.data import MNISTSubset
from optbench.models import mlp
from optbench.optimizers import SGD, Adam, Optimizer
from optbench.plots import style
from optbench.speed.optimizers import repeat
from optbench.speed.race import race
from optbench.speed.shell import optbench
from optbench.speed.training import suite
from optbench.sweep.stack import Stack
from optbench.training.trainer import quiet

Curve = tuple[str, str, Callable[[int], float], Sequence[int]]

SIZES = [10**3, 10**4, 10**5, 10**6, 10**7]
REPLICAS = [1, 2, 4, 8, 16, 32, 64]
AXES = {
    "parameters": ("parameters", "s a step"),
    "replicas": ("replicas in a stack", "s a training step of all"),
    "memory": ("replicas in a stack", "MB above one process"),
    "cells": ("cells of a sweep", "s from the shell"),
    "evaluations": ("epochs, each with its evaluation", "s a run"),
    "examples": ("examples", "s an evaluation"),
}


def curves() -> Iterator[Curve]:
    """Yield what is measured: panel, line, function from the size to seconds or MB, sizes."""
    for rule in (SGD, Adam):
        yield "parameters", rule.__name__, partial(optimizer_step, rule), SIZES
    for hidden in (20, 128):
        yield "replicas", f"hidden {hidden}", partial(stack_step, hidden), REPLICAS
        yield "memory", f"hidden {hidden}", partial(stack_memory, hidden), REPLICAS[2::2]
    for replicas in ("off", "auto"):
        yield "cells", f"replicas={replicas}", partial(sweep, replicas), [1, 4, 16, 64]
    yield "evaluations", "SGD, 600 examples", run, [1, 4, 16, 64]
    yield "examples", "hidden 128", evaluation, [100, 1000, 10_000, 60_000]


def median(task: Callable[[], object], rounds: int = 5) -> float:
    """Return the median seconds of a task."""
    return race({"": task}, rounds)[""].median


def optimizer_step(rule: type[Optimizer], size: int) -> float:
    """Return the seconds of a step with one tensor of parameters."""
    p = nn.Parameter(torch.randn(size))
    p.grad = torch.randn(size)
    optimizer, repeats = rule([p]), max(1, 10**5 // size)
    return median(partial(repeat, optimizer.step, repeats)) / repeats


def stack(hidden: int, replicas: int) -> Callable[[], object]:
    """Return a training step of a stack: 784-hidden-10, Adam, one mini-batch of 64 for all."""
    models = [mlp(784, 10, hidden=(hidden,)) for _ in range(replicas)]
    both = Stack(models, [Adam(model.parameters()) for model in models], nn.functional.cross_entropy)
    x, y = torch.randn(1, 64, 784), torch.randint(10, (1, 64))
    rates = next(both.rates([[1e-3]] * replicas))
    return partial(both.step, x, y, rates)


def stack_step(hidden: int, replicas: int) -> float:
    """Return the seconds of a training step of a stack."""
    return median(partial(repeat, stack(hidden, replicas), 10)) / 10


def stack_memory(hidden: int, replicas: int) -> float:
    """Return by how many MB a stack and three of its steps raise the peak memory of a process of its own."""
    code = "from optbench.speed.growth import peak; import sys; print(peak(*map(int, sys.argv[1:])))"
    command = [sys.executable, "-c", code, str(hidden), str(replicas)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak(hidden: int, replicas: int) -> float:
    """Return by how many MB a stack and three of its steps raise the peak memory of this process."""
    torch.set_num_threads(1)
    stack(1, 1)()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    repeat(stack(hidden, replicas), 3)
    return resident("VmHWM") - before


def resident(what: str) -> float:
    """Return MB of this process's memory as Linux counts it: VmRSS now, VmHWM at most."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return float(status[what].split()[0]) / 1024


def sweep(replicas: str, cells: int) -> float:
    """Return the seconds of a sweep over learning rates, from the shell: 1,000 digits, two epochs, hidden 20."""
    with tempfile.TemporaryDirectory() as root:
        rates = ",".join(f"{rate:.4g}" for rate in np.geomspace(1e-4, 1e-1, cells))
        small = ["data.train_size=1000", "trainer.max_epochs=2", "model.hidden=[20]", "logger=none", "figures=[]"]
        where = [f"replicas={replicas}", f"optimizer.lr={rates}", f"hydra.sweep.dir={root}/sweep"]
        return optbench("train", "-m", *small, *where)


def run(epochs: int) -> float:
    """Return the seconds of a run of many short epochs."""
    data = MNISTSubset(train_size=600, test_size=200)
    data.setup()

    def whole() -> None:
        suite(data, SGD, epochs)  # whose own seconds leave the evaluations out

    return median(whole, 3)


@torch.no_grad()
def evaluation(examples: int) -> float:
    """Return the seconds of the outputs and the loss on examples."""
    x, y, model = torch.randn(examples, 784), torch.randint(10, (examples,)), mlp(784, 10)
    return median(lambda: nn.functional.cross_entropy(model(x), y))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the exponent with which y grows between its two largest x; not a number where there is one alone."""
    if len(x) < 2:
        return float("nan")
    return float(np.diff(np.log(y[-2:]))[0] / np.diff(np.log(x[-2:]))[0])


def draw(frame: pd.DataFrame) -> Figure:
    """Return a panel for each thing that grows.

    Args:
        frame: Columns panel, line, x, y.
    """
    figure, grid = plt.subplots(2, 3, figsize=(12, 7))
    for axes, (panel, (across, up)) in zip(grid.flat, AXES.items(), strict=True):
        for i, (name, part) in enumerate(frame[frame["panel"] == panel].groupby("line", sort=False)):
            x, y = part["x"].to_numpy(float), part["y"].to_numpy(float)
            look = style.line(("sgd", "adam")[i], points=len(x))
            axes.loglog(x, y, label=f"{name}: slope {slope(x, y):.2f}", **look)
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set(xlabel=across, ylabel=up)
        axes.legend()
    figure.suptitle("How cost grows; the slope is that between the two largest sizes", x=0.01, ha="left", fontsize=11)
    return figure


def main() -> None:
    """Measure all curves, and write growth.csv and growth.png."""
    parser = argparse.ArgumentParser(prog="python -m optbench.speed.growth", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/reference"))
    parser.add_argument("--short", action="store_true", help="the smallest size of each curve only")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    rows = [
        (panel, line, x, measure(x))
        for panel, line, measure, sizes in curves()
        for x in sizes[: 1 if given.short else None]
    ]
    machine = records.provenance()["machine"]
    frame = pd.DataFrame(rows, columns=["panel", "line", "x", "y"])
    given.out.mkdir(parents=True, exist_ok=True)
    written = frame.assign(machine=f"{machine['cpu']}, {machine['cores']} cores")
    records.write(given.out / "growth.csv", written.to_csv(index=False, float_format="%.4g"))
    with style.context():
        files = style.save(draw(frame), given.out / "growth", ["png"], colours=64)
    Console().print(frame.to_string(index=False), *files, sep="\n", highlight=False)


if __name__ == "__main__":
    main()
