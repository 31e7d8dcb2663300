"""`scripts/speed`: every benchmark, one table, and `results/reference/speed.csv`."""

import argparse
import importlib
import inspect
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table

from optbench import records
from optbench.speed.table import Row
from optbench.terminal import wide

BENCHMARKS = {
    "training": ("optbench.speed.training", "steps"),
    "epoch": ("optbench.speed.training", "epoch"),
    "study": ("optbench.speed.study", "seven"),
    "optimizers": ("optbench.speed.optimizers", "steps"),
    "start": ("optbench.speed.start", "commands"),
    "sweep": ("optbench.speed.sweep", "sweep"),
    "scale": ("optbench.speed.scale", "sweeps"),
    "checkpoint": ("optbench.speed.checkpoint", "saving"),
    "surfaces": ("optbench.speed.surfaces", "paths"),
    "landscape": ("optbench.speed.landscape", "grids"),
    "gallery": ("optbench.speed.surfaces", "gallery"),
    "gpu": ("optbench.speed.gpu", "stacks"),
    "report": ("optbench.speed.report", "reports"),
}
"""What yields rows. Most take `rounds`, the repeats of each contender, or `short`, whether little of it will do."""


def main() -> None:
    """Run the benchmarks, print their table and write it beside the machine's name."""
    import torch

    from optbench.training.trainer import quiet

    parser = argparse.ArgumentParser(prog="scripts/speed", description=main.__doc__)
    parser.add_argument("benchmarks", nargs="*", help=f"some of {', '.join(BENCHMARKS)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=7, help="repeats of each contender; medians are shown")
    parser.add_argument("--short", action="store_true", help="one cold round of little: whether all is in order")
    parser.add_argument("--out", type=Path, default=Path("results/reference/speed.csv"))
    given = parser.parse_args()
    unknown = [name for name in given.benchmarks if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are {', '.join(BENCHMARKS)}")
    here = [name for name in BENCHMARKS if name != "gpu" or torch.cuda.is_available()]
    if "gpu" in given.benchmarks and "gpu" not in here:
        parser.error("gpu: there is none here; run it where torch.cuda.is_available()")
    torch.set_num_threads(1)
    quiet()
    rows = [row for name in given.benchmarks or here for row in measured(name, given.rounds, given.short)]
    machine = records.provenance()["machine"]
    frame = pd.DataFrame(rows).assign(machine=f"{machine['cpu']}, {machine['cores']} cores")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    records.write(given.out, pd.concat([kept(given.out, frame), frame]).to_csv(index=False, float_format="%.4g"))
    console = wide()
    console.print(shown(rows, frame["machine"][0]))
    console.print(given.out)


def measured(name: str, rounds: int, short: bool) -> list[Row]:
    """Return the rows of a benchmark.

    Args:
        name: The benchmark.
        rounds: Repeats of each contender.
        short: Whether one cold round of little will do.
    """
    module, function = BENCHMARKS[name]
    rows_of = getattr(importlib.import_module(module), function)
    known = {"rounds": 0 if short else rounds, "short": short}
    given = {key: value for key, value in known.items() if key in inspect.signature(rows_of).parameters}
    return [{"benchmark": name, **row} for row in rows_of(**given)]


def shown(rows: Sequence[Row], machine: str) -> Table:
    """Return the table as the terminal shows it."""
    table = Table("what", "time", "against", "time", "ratio", "quartiles", "aim", title=machine)
    for row in rows:
        quartiles = f"{row['low']:.2f} to {row['high']:.2f}" if "low" in row else ""
        aim = "" if math.isnan(row["target"]) else f"{row['target']:.3g}"
        ours = written(row["seconds"])
        theirs = written(row["seconds_against"])
        table.add_row(row["what"], ours, row["against"], theirs, f"{row['ratio']:.3f}", quartiles, aim)
    return table


def kept(file: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a file has of benchmarks that were not run now."""
    old = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["benchmark"])
    return old[~old["benchmark"].isin(frame["benchmark"])]


def written(seconds: float) -> str:
    """Return a time as the table has it."""
    return f"{seconds * 1e6:,.0f} us" if seconds < 0.1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    main()
