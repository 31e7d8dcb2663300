"""What a report page shows, as plain data: from runs, their comparison and the figures that were drawn."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from optbench.report import charts
from optbench.report.page import Content, image

NUMBER = re.compile(r"\[?([-+]?\d+(\.\d+)?(e[-+]?\d+)?)")
NONE = ("–", "∞", "")
"""What stands in a cell where there is no number, or none that is finite."""

SHADED = " Shaded rows: the best, and what is not to be told from it."


def content(
    title: str,
    answer: Sequence[str],
    frame: pd.DataFrame,
    comparison: pd.DataFrame,
    shown: pd.DataFrame,
    caption: str,
    command: str,
    drawn: Sequence[charts.Chart],
    figures: Mapping[str, Path] | None = None,
    notices: Sequence[str] = (),
    certificates: pd.DataFrame | None = None,
    everything: pd.DataFrame | None = None,
) -> Content:
    """Return the content of a report page.

    Args:
        title: Heading of the page.
        answer: Sentences, the most important one first.
        frame: The runs, a row each.
        comparison: A row for each setting, the best first, with `command` and how many runs are done.
        shown: The same rows as text for readers.
        caption: What the table's numbers are.
        command: What makes the report again.
        drawn: The charts.
        figures: Pictures in PNG by their titles.
        notices: What is wrong with the records: damaged runs, duplicates.
        certificates: Rows of `optbench certify` for the optimizers that take part.
        everything: All runs that there are, those included that are not compared; `frame` if None.
    """
    order = list(dict.fromkeys(charts.ranked(frame, comparison)))
    pictures = [
        {
            "id": f"figure-{name}",
            "title": f"Figure: {name.replace('_', ' ')}",
            "image": image(path.read_bytes()),
            "command": f"{command} figures=[{name}]",
        }
        for name, path in (figures or {}).items()
    ]
    return {
        "title": title,
        "answer": list(answer),
        "notices": list(notices),
        "command": command,
        "table": {
            **rows(shown),
            "caption": caption.replace("`", "") + (SHADED if comparison["tied"].any() else ""),
            "classes": [kind(row) for _, row in comparison.iterrows()],
            "commands": comparison["command"].tolist(),
        },
        "lines": charts.lines(frame, order),
        "charts": [{"command": command, **tabled(chart)} for chart in drawn if chart["curves"]] + pictures,
        "runs": run_rows(frame if everything is None else everything),
        "certificates": rows(certificates) if certificates is not None else {"headings": [], "rows": []},
    }


def tabled(chart: charts.Chart) -> charts.Chart:
    """Return a chart with its table, if it has one, as the page takes it."""
    return {**chart, "table": rows(chart["table"])} if "table" in chart else chart


def kind(row: "pd.Series[Any]") -> str:
    """Return how a row of the comparison is marked: `unfinished`, `tied` with the best, or not at all."""
    if row["done"] < row["runs"]:
        return "unfinished"
    return "tied" if bool(row.get("tied", False)) else ""


def rows(table: pd.DataFrame) -> dict[str, Any]:
    """Return a table of texts as `headings` and `rows`; a cell that begins with a number is a pair, to sort by it.

    So is one without a number, with None, which comes last in any order.
    """
    return {"headings": list(table.columns), "rows": [[cell(x) for x in row] for row in table.itertuples(index=False)]}


def cell(value: Any) -> Any:
    """Return a cell's text, paired with the number that it begins with, if it does."""
    text = "" if value is None or value != value else str(value)
    number = NUMBER.match(text)
    if number is not None:
        return [text, float(number[1])]
    return [text, None] if text in NONE else text


def run_rows(frame: pd.DataFrame) -> dict[str, Any]:
    """Return every run: its setting, seed, status with the reason, where it lies, and its command."""
    table = pd.DataFrame(
        {
            "setting": charts.names(frame),
            "seed": frame["seed"],
            "status": frame["status"],
            "reason": frame["reason"].fillna(""),
            "directory": frame["directory"].fillna(""),
        }
    )
    commands = [str(text) if isinstance(text, str) else "" for text in frame["command"]]
    return {**rows(table), "commands": commands}
