"""`python -m optbench.speed.growth`: how cost grows with what a user turns up, each on log-log axes with its slope."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from rich.console import Console
from scipy import stats
from torch import nn

from optbench import records
from optbench.data import MNISTSubset
from optbench.models import mlp
from optbench.optimizers import SGD, Adam, Optimizer
from optbench.plots import style
from optbench.speed import limits
from optbench.speed.optimizers import repeat
from optbench.speed.race import race
from optbench.speed.shell import optbench
from optbench.speed.training import suite
from optbench.sweep.stack import Stack
from optbench.training.trainer import quiet

SIZES = [10**3, 10**4, 10**5, 10**6, 10**7]
REPLICAS = [1, 2, 4, 8, 16, 32, 64]
ROUNDS = 5
MOVED = {"SGD": 12, "Adam": 28}
"""Bytes that an update of a parameter reads and writes at least: gradient, weight, state."""


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Attributes:
        panel: The panel.
        line: Its name.
        measure: From a size to seconds or MB.
        sizes: The sizes.
        limit: What the machine cannot beat, in the same unit.
    """

    panel: str
    line: str
    measure: Callable[[int], float]
    sizes: Sequence[int]
    limit: Callable[[int], float]


@dataclass(frozen=True)
class GrowthPanel:
    """What a panel shows.

    Attributes:
        title: What is done.
        across: Name of the size.
        limit: What the limit counts.
        write: How its values are written.
    """

    title: str
    across: str
    limit: str
    write: Callable[[float], str]


def plain(value: float) -> str:
    """Return a count as people write it."""
    return f"{value / 1e6:g} million" if value >= 1e6 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return a time in the unit that suits it."""
    for name, unit in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= 0.999 * unit:
            return f"{value / unit:g} {name}"
    return f"{value / 1e-9:g} ns"


def megabytes(value: float) -> str:
    """Return an amount of memory, given in MB, in the unit that suits it."""
    if value >= 999:
        return f"{value / 1e3:g} GB"
    return f"{value:g} MB" if value >= 0.999 else f"{value * 1e3:g} kB"


PANELS = {
    "parameters": GrowthPanel("A step of an optimizer", "parameters", "main memory, past all caches", seconds),
    "replicas": GrowthPanel("A training step of a stack, Adam", "replicas", "arithmetic", seconds),
    "memory": GrowthPanel("Memory of a stack, above one process", "replicas", "weights, gradients, state", megabytes),
    "cells": GrowthPanel("A sweep from the shell, hidden 20", "runs", "arithmetic", seconds),
    "evaluations": GrowthPanel("A run on 600 examples, SGD", "epochs, each with its evaluation", "arithmetic", seconds),
    "examples": GrowthPanel("An evaluation, hidden 128", "examples", "arithmetic", seconds),
}


def curves() -> Iterator[Curve]:
    """Yield what is measured."""
    for rule in (SGD, Adam):
        name = rule.__name__
        yield Curve("parameters", name, partial(optimizer_step, rule), SIZES, partial(step_limit, name))
    for hidden in (20, 128):
        name = f"hidden {hidden}"
        yield Curve("replicas", name, partial(stack_step, hidden), REPLICAS, partial(stack_limit, hidden))
        yield Curve("memory", name, partial(stack_memory, hidden), REPLICAS[2::2], partial(memory_limit, hidden))
    for replicas in ("off", "auto"):
        yield Curve("cells", f"replicas={replicas}", partial(sweep, replicas), [1, 4, 16, 64], sweep_limit)
    yield Curve("evaluations", "SGD", run, [1, 4, 16, 64], run_limit)
    yield Curve("examples", "hidden 128", evaluation, [100, 1000, 10_000, 60_000], evaluation_limit)


def first_of_each() -> Iterator[Curve]:
    """Yield the first curve of each panel, at its smallest size."""
    panels = {curve.panel: curve for curve in reversed(list(curves()))}
    for curve in panels.values():
        yield replace(curve, sizes=curve.sizes[:1])


def step_limit(rule: str, size: int) -> float:
    """Return the seconds in which what an update needs can be moved."""
    return MOVED[rule] * size / limits.copies()


def stack_limit(hidden: int, replicas: int) -> float:
    """Return the seconds of the arithmetic of `stack_step`."""
    return replicas * limits.training(hidden) / limits.products()


def memory_limit(hidden: int, replicas: int) -> float:
    """Return the MB of weights, gradients and Adam's two averages."""
    return 16 * replicas * limits.size(hidden) / 2**20


def sweep_limit(cells: int) -> float:
    """Return the seconds of the arithmetic of `sweep`: two epochs, and three evaluations on 1,000 and 2,000 digits."""
    each = 2 * limits.training(20, 1000) + 3 * limits.pass_through(20, 3000)
    return cells * each / limits.products()


def run_limit(epochs: int) -> float:
    """Return the seconds of the arithmetic of `run`."""
    each = limits.training(128, 600) + limits.pass_through(128, 800)
    return epochs * each / limits.products()


def evaluation_limit(examples: int) -> float:
    """Return the seconds of the arithmetic of `evaluation`."""
    return limits.pass_through(128, examples) / limits.products()


def once(task: Callable[[], object]) -> float:
    """Return the seconds of a task, once it is warm."""
    return race({"": task}, 1)[""].median


def optimizer_step(rule: type[Optimizer], size: int) -> float:
    """Return the seconds of a step with one tensor of parameters."""
    p = nn.Parameter(torch.randn(size))
    p.grad = torch.randn(size)
    optimizer = rule([p])
    repeats = max(1, 10**5 // size)
    return once(partial(repeat, optimizer.step, repeats)) / repeats


def stack(hidden: int, replicas: int) -> Callable[[], object]:
    """Return a training step of a stack: 784-hidden-10, Adam, one mini-batch of 64 for all."""
    models = [mlp(784, 10, hidden=(hidden,)) for _ in range(replicas)]
    both = Stack(models, [Adam(model.parameters()) for model in models], nn.functional.cross_entropy)
    x = torch.randn(1, 64, 784)
    y = torch.randint(10, (1, 64))
    rates = next(both.rates([[1e-3]] * replicas))
    return partial(both.step, x, y, rates)


def stack_step(hidden: int, replicas: int) -> float:
    """Return the seconds of a training step of a stack."""
    return once(partial(repeat, stack(hidden, replicas), 10)) / 10


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

    return once(whole)


@torch.no_grad()
def evaluation(examples: int) -> float:
    """Return the seconds of the outputs and the loss on examples."""
    x = torch.randn(examples, 784)
    y = torch.randint(10, (examples,))
    model = mlp(784, 10)
    return once(lambda: nn.functional.cross_entropy(model(x), y))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the exponent with which y grows between its two largest x; not a number where there is one alone."""
    if len(x) < 2:
        return float("nan")
    return float(np.diff(np.log(y[-2:]))[0] / np.diff(np.log(x[-2:]))[0])


def interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of a mean, by Student's t; not a number for a single value."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def caption(name: str, part: pd.DataFrame) -> str:
    """Return a line's name with its slope, and the interval of that where there were several rounds.

    Args:
        name: The line.
        part: Its rows.
    """
    slopes = [slope(own["x"].to_numpy(float), own["y"].to_numpy(float)) for _, own in part.groupby("round")]
    mean = float(np.mean(slopes))
    half = interval(slopes)
    if np.isnan(mean):
        return name
    return f"{name}: slope {mean:.2f}" if np.isnan(half) else f"{name}: slope {mean:.2f} ± {half:.2f}"


def draw(frame: pd.DataFrame) -> Figure:
    """Return a panel for each thing that grows.

    Args:
        frame: Columns panel, line, x, round, y, limit.
    """
    figure, grid = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    for axes, (name, panel) in zip(grid.flat, PANELS.items(), strict=True):
        draw_panel(axes, panel, frame[frame["panel"] == name])
    count = frame["round"].nunique()
    what = f"medians of {count} rounds; slopes are those between the two largest sizes, with their 95 % intervals"
    figure.suptitle(f"How cost grows: {what}", x=0.01, ha="left", fontsize=11)
    return figure


def draw_panel(axes: Axes, panel: GrowthPanel, rows: pd.DataFrame) -> None:
    """Draw the lines of a panel and, dotted, what the machine cannot beat.

    Args:
        axes: Where.
        panel: What it shows.
        rows: Its rows.
    """
    for i, (line, part) in enumerate(rows.groupby("line", sort=False)):
        middle = part.groupby("x", sort=True)[["y", "limit"]].median()
        look = style.line(("sgd", "adam")[i], points=len(middle))
        axes.loglog(middle.index, middle["y"], label=caption(str(line), part), **look)
        limit = f"limit: {panel.limit}" if i == 0 else None
        axes.loglog(middle.index, middle["limit"], ":", color=look["color"], label=limit)
    for axis, write, (low, high) in (
        (axes.xaxis, plain, axes.get_xlim()),
        (axes.yaxis, panel.write, axes.get_ylim()),
    ):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _, write=write: write(value)))
        axis.set_minor_formatter(NullFormatter())
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel(panel.across)
    axes.legend(fontsize=8)


def measure(short: bool) -> Iterator[pd.DataFrame]:
    """Yield after every round what all curves are by then: columns panel, line, x, round, y, limit.

    Args:
        short: Whether the smallest size of each panel's first curve in one round will do.
    """
    chosen = list(first_of_each() if short else curves())
    rows = []
    for turn in range(1 if short else ROUNDS):
        for curve in chosen:
            rows += [(curve.panel, curve.line, x, turn, curve.measure(x), curve.limit(x)) for x in curve.sizes]
        yield pd.DataFrame(rows, columns=["panel", "line", "x", "round", "y", "limit"])


def main() -> None:
    """Measure all curves, and write growth.csv and growth.png after every round, so that none is lost."""
    parser = argparse.ArgumentParser(prog="python -m optbench.speed.growth", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/reference"))
    parser.add_argument("--short", action="store_true", help="the smallest size of each panel's first curve, once")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    machine = records.provenance()["machine"]
    given.out.mkdir(parents=True, exist_ok=True)
    for frame in measure(given.short):
        written = frame.assign(machine=f"{machine['cpu']}, {machine['cores']} cores")
        records.write(given.out / "growth.csv", written.to_csv(index=False, float_format="%.4g"))
        with style.context():
            files = style.save(draw(frame), given.out / "growth", ["png"], colours=64)
        Console().print(frame.to_string(index=False), *files, sep="\n", highlight=False)


if __name__ == "__main__":
    main()
