"""A report: tables and figures of finished runs, from their records alone."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from optbench import records
from optbench.checks import UserError, nearest
from optbench.plots import style
from optbench.records import Run
from optbench.results.frame import load
from optbench.results.table import compare, markdown, terminal

FIGURES = {
    "curves": "optbench.plots.curves:curves",
    "norms": "optbench.plots.curves:norms",
    "batch_size": "optbench.plots.curves:batch_size",
    "learning_rate": "optbench.plots.curves:learning_rate",
    "steps": "optbench.plots.curves:losses",
    "landscape": "optbench.plots.landscape:landscape",
}
"""What a config may list under `figures`; a figure is imported when it is drawn, since one of them needs torch."""


def report(directory: Path, out: Path | None = None) -> None:
    """Write the comparison and the figures that the runs' configs list, and print the comparison.

    Args:
        directory: Where the runs lie.
        out: Where `table.csv`, `table.md` and the figures go; `directory/report` if None.

    Raises:
        UserError: There is no run, a record is damaged, or a figure cannot be drawn, which spares everything else.
    """
    out = out or directory / "report"
    frame = load(directory)
    runs = records.find(directory)
    title = heading(runs)
    table = compare(frame)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; give another folder with --out") from None
    records.write(out / "table.csv", table.to_csv(index=False))
    records.write(out / "table.md", markdown(frame))
    console = Console()
    console.width = max(console.width, 0 if console.is_terminal else 140)
    console.print(terminal(frame, title))
    files, failures = [out / "table.csv", out / "table.md"], []
    for name in dict.fromkeys(name for run in runs for name in run.config.get("figures", [])):
        try:
            files += draw(name, frame, title, out)
        except Exception as error:  # whatever is wrong with one figure, the others and the table stand
            failures.append(f"no figure {name}: {' '.join(str(error).split()) or type(error).__name__}")
    for path in files:
        print(path)
    print(f"\nnext: tensorboard --logdir {directory}")
    if failures:
        raise UserError("; ".join(failures))


def draw(name: str, frame: pd.DataFrame, title: str, out: Path) -> list[Path]:
    """Draw one figure and return its files.

    Raises:
        UserError: There is no such figure.
    """
    if name not in FIGURES:
        raise nearest("figure", name, FIGURES, ", ".join(FIGURES))
    module, function = FIGURES[name].split(":")
    with style.context():
        return style.save(getattr(importlib.import_module(module), function)(frame, title), out / name)


def heading(runs: Sequence[Run]) -> str:
    """Return what the runs are of, in one line: the study, the data and the model, where they agree."""
    names = dict.fromkeys(str(run.config["name"]) for run in runs)
    parts = [", ".join(names)]
    for group in ("data", "model"):
        targets = {run.config[group]["_target_"].rpartition(".")[2] for run in runs}
        parts += targets if len(targets) == 1 else []
    return ": ".join([parts[0], ", ".join(parts[1:])])
