"""The comparison over seeds: a row for each setting, best first, as CSV, Markdown and in the terminal."""

import math
import re
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from optbench.records import STATUSES
from optbench.results.frame import MEASURES, labels, written

COLUMNS = {
    "final_test_accuracy": "test accuracy, %",
    "best_test_accuracy": "best, %",
    "final_train_accuracy": "train accuracy, %",
    "final_test_loss": "test loss",
    "best_test_loss": "best",
    "final_train_loss": "train loss",
    "train_seconds": "seconds",
}
"""What a reader sees of a comparison, and the headings; `best_test_loss` only where there are no classes."""


def compare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each setting of a frame of runs, the best first and those with unfinished runs last.

    Runs on fewer examples are a block of their own, below: their ends are no measure of the optimizer. See `blocks`.

    After the labels come `runs` and how many of them are done, diverged, failed and missing; then `*_mean` and `*_std`
    (the sample standard deviation, none for a single run) over the runs that are done, of every measure and of the
    time; then the command that makes the row again.
    """
    keys = labels(frame)
    measured = [f"{which}_{m}" for which in ("final", "best") for m in MEASURES if frame[f"final_{m}"].notna().any()]
    rows = []
    for setting, runs in frame.groupby(keys, sort=False, dropna=False):
        done = runs[runs["status"] == "done"]
        row: dict[str, Any] = dict(zip(keys, setting, strict=True)) | {"runs": len(runs)}
        row |= {status: int((runs["status"] == status).sum()) for status in STATUSES}
        for name in [*measured, "epoch", "step", "grad_evals", "train_seconds"]:
            row |= {f"{name}_mean": done[name].mean(), f"{name}_std": done[name].std()}
        rows.append(row | {"command": command(runs)})
    table = pd.DataFrame(rows)
    rank, rising = ("final_test_accuracy_mean", False) if is_classification(frame) else ("final_test_loss_mean", True)
    if rank not in table:
        return table
    table["share"], table["examples"] = table["done"] / table["runs"], blocks(table)
    order = {"examples": False, "share": False, rank: rising}
    ranked = table.sort_values([*order], ascending=[*order.values()], kind="stable", ignore_index=True)
    return ranked.drop(columns=["share", "examples"])


def blocks(table: pd.DataFrame) -> pd.Series:
    """Return the number of training examples of each row, where it differs between rows; infinite where it is all."""
    name = next((str(name) for name in table.columns if str(name).endswith("train_size")), None)
    sizes = pd.Series(math.inf, table.index) if name is None else pd.to_numeric(table[name], errors="coerce")
    return sizes.fillna(math.inf)


def is_classification(frame: pd.DataFrame) -> bool:
    """Return whether any run of a frame measured an accuracy."""
    return bool(frame["final_test_accuracy"].notna().any())


def command(runs: pd.DataFrame) -> str:
    """Return the one command that makes all runs of a setting again."""
    commands = runs["command"].dropna()
    if commands.empty:
        return ""
    seeds = runs["seed"].drop_duplicates()
    if len(seeds) == 1:
        return str(commands.iloc[0])
    given = re.sub(r" \+*seed=\S+", "", commands.iloc[0]).replace("optbench train", "optbench train -m", 1)
    return f"{given} seed={','.join(map(str, seeds))}"


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison as text for readers: means with their spread, accuracies in per cent, and no commands."""
    keys = table.columns[: table.columns.get_loc("runs")]
    shown = table[keys].map(written)
    shown["runs"] = [", ".join(f"{row[s]} {s}" for s in STATUSES if row[s]) for _, row in table.iterrows()]
    classes = "final_test_accuracy_mean" in table
    for name, heading in COLUMNS.items():
        if f"{name}_mean" in table and not (classes and name == "best_test_loss"):
            pairs = zip(table[f"{name}_mean"], table[f"{name}_std"], strict=True)
            write = percent if name.endswith("accuracy") else significant
            shown[heading] = [write(mean, std) for mean, std in pairs]
    return shown


def percent(mean: float, std: float) -> str:
    """Return a share in per cent, to what a test split of thousands can resolve."""
    if math.isnan(mean):
        return "–"
    return f"{100 * mean:.2f}" + ("" if math.isnan(std) else f" ± {100 * std:.2f}")


def significant(mean: float, std: float) -> str:
    """Return a number to the digits that its spread leaves it, two to four of them, or three where there is none."""
    if math.isnan(mean):
        return "–"
    if math.isnan(std) or std == 0:
        return f"{mean:.3g}"
    if not 1e-4 <= abs(mean) < 1e5:
        return f"{mean:.1e} ± {std:.0e}"
    lead, doubt = math.floor(math.log10(abs(mean))), math.floor(math.log10(std))
    digits = max(0, min(max(-doubt, 1 - lead), 3 - lead))
    spread = f"{std:.{digits}f}" if round(std, digits) else f"{std:.0e}"
    return f"{mean:.{digits}f} ± {spread}"


def caption(frame: pd.DataFrame) -> str:
    """Return in one sentence what the numbers of a comparison are."""
    seeds, epochs = frame["seed"].nunique(), frame.loc[frame["status"] == "done", "epoch"].unique()
    after = f"after {epochs[0]:.0f} epochs" if len(epochs) == 1 else "at the end"
    spread = f"Mean ± sample standard deviation over {seeds} seeds" if seeds > 1 else "One seed, so no spread"
    notes = ["`seconds` of training alone", "unfinished runs are in no mean"]
    if stacked := int((frame["stacked"] > 1).sum()):
        notes.append(f"{stacked} runs trained in stacks, which their commands make again but for rounding")
    if blocks(frame).nunique() > 1:
        notes.append("rows on fewer examples stand apart, as these bound what can be reached")
    return f"{spread}; values {after}, `best` at any epoch; {'; '.join(notes)}."


def markdown(frame: pd.DataFrame) -> str:
    """Return the comparison of a frame as Markdown, with the commands that make its rows again."""
    table = compare(frame)
    shown = readable(table)
    left = list(shown.columns).index("runs") + 1
    lines = [
        "| " + " | ".join(shown.columns) + " |",
        "|" + "---|" * left + "---:|" * (len(shown.columns) - left),
        *("| " + " | ".join(row) + " |" for row in shown.itertuples(index=False)),
    ]
    commands = [row["command"] for _, row in table.iterrows() if row["command"]]
    return "\n".join([*lines, "", caption(frame), "", "```", *commands, "```", ""])


def terminal(frame: pd.DataFrame, title: str) -> Table:
    """Return the comparison of a frame for a rich console."""
    table = compare(frame)
    shown, block = readable(table), blocks(table)
    view = Table(title=title, caption=caption(frame).replace("`", ""), box=box.SIMPLE_HEAD, title_justify="left")
    left = list(shown.columns).index("runs") + 1
    for i, name in enumerate(shown.columns):
        view.add_column(name.replace(" ", "\n", 1), justify="left" if i < left else "right", no_wrap=i < left)
    for i, row in enumerate(shown.itertuples(index=False)):
        view.add_row(*map(Text, row), end_section=bool(block[i] != block.get(i + 1, block[i])))
    return view
