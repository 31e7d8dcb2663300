"""`scripts/speed`: every benchmark, one table, and `results/reference/speed.csv`."""

import argparse
import importlib
import inspect
import math
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from optbench import records

BENCHMARKS = {
    "training": ("optbench.speed.training", "steps"),
    "epoch": ("optbench.speed.training", "epoch"),
    "study": ("optbench.speed.study", "seven"),
    "optimizers": ("optbench.speed.optimizers", "steps"),
    "start": ("optbench.speed.start", "commands"),
    "sweep": ("optbench.speed.sweep", "sweep"),
    "surfaces": ("optbench.speed.surfaces", "paths"),
    "landscape": ("optbench.speed.landscape", "grids"),
    "gallery": ("optbench.speed.surfaces", "gallery"),
    "report": ("optbench.speed.report", "reports"),
}
"""What yields rows: functions that take the number of rounds, and most of them also whether to be short."""


def main() -> None:
    """Run the benchmarks, print their table and write it beside the machine's name."""
    parser = argparse.ArgumentParser(prog="scripts/speed", description=main.__doc__)
    parser.add_argument("benchmarks", nargs="*", help=f"some of {', '.join(BENCHMARKS)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=7, help="repeats of each contender; medians are shown")
    parser.add_argument("--short", action="store_true", help="one round of little: whether all is in order")
    parser.add_argument("--out", type=Path, default=Path("results/reference/speed.csv"))
    given = parser.parse_args()
    unknown = [name for name in given.benchmarks if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are {', '.join(BENCHMARKS)}")

    import torch

    from optbench.training.trainer import quiet

    torch.set_num_threads(1)
    quiet()
    rows = []
    for name in given.benchmarks or BENCHMARKS:
        module, function = BENCHMARKS[name]
        rows_of = getattr(importlib.import_module(module), function)
        options = {"short": True} if given.short and "short" in inspect.signature(rows_of).parameters else {}
        found = rows_of(rounds=1 if given.short else given.rounds, **options)
        rows += [{"benchmark": name, **row} for row in found]
    machine = records.provenance()["machine"]
    frame = pd.DataFrame(rows).assign(machine=f"{machine['cpu']}, {machine['cores']} cores")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    records.write(given.out, pd.concat([kept(given.out, frame), frame]).to_csv(index=False, float_format="%.4g"))
    table = Table("what", "time", "against", "time", "ratio", "quartiles", "aim", title=frame["machine"][0])
    for row in rows:
        quartiles = f"{row['low']:.2f} to {row['high']:.2f}" if "low" in row else ""
        aim = "" if math.isnan(row["target"]) else f"{row['target']:.3g}"
        ours, theirs = written(row["seconds"]), written(row["seconds_against"])
        table.add_row(row["what"], ours, row["against"], theirs, f"{row['ratio']:.3f}", quartiles, aim)
    console = Console()
    console.width = max(console.width, 0 if console.is_terminal else 160)
    console.print(table)
    console.print(given.out)


def kept(file: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a file has of benchmarks that were not run now."""
    old = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["benchmark"])
    return old[~old["benchmark"].isin(frame["benchmark"])]


def written(seconds: float) -> str:
    """Return a time as the table has it."""
    return f"{seconds * 1e6:,.0f} us" if seconds < 0.1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    main()
