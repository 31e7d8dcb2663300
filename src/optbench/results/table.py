"""The comparison as readers see it: columns chosen and sorted, in Markdown, LaTeX and the terminal."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from optbench.checks import nearest
from optbench.results.clocks import WORDS
from optbench.results.comparison import blocks, compare
from optbench.results.frame import labels, whole
from optbench.results.settings import WORKLOAD, written
from optbench.results.statistics import FEWEST, measure
from optbench.results.text import between, latex_table, markdown_table, percent, significant

MEANS = {
    "val_accuracy": ("final_val_accuracy", "validation accuracy, %"),
    "test_accuracy": ("final_test_accuracy", "test accuracy, %"),
    "best_test_accuracy": ("best_test_accuracy", "best, %"),
    "train_accuracy": ("final_train_accuracy", "train accuracy, %"),
    "val_loss": ("final_val_loss", "validation loss"),
    "test_loss": ("final_test_loss", "test loss"),
    "best_test_loss": ("best_test_loss", "best"),
    "train_loss": ("final_train_loss", "train loss"),
    "seconds": ("train_seconds", "seconds"),
    **{clock: (clock, WORDS[clock]) for clock in ("step", "epoch", "grad_evals")},
    "best_val_accuracy": ("best_val_accuracy", "best validation accuracy, %"),
    "best_val_loss": ("best_val_loss", "best validation loss"),
    "best_train_accuracy": ("best_train_accuracy", "best train accuracy, %"),
    "best_train_loss": ("best_train_loss", "best train loss"),
    "sharpness": ("sharpness_highest", "largest eigenvalue"),
    "trace": ("sharpness_trace", "trace of the Hessian"),
    "trace_error": ("sharpness_trace_error", "its standard error"),
    "negative": ("sharpness_negative", "negative eigenvalues found"),
    "rise": ("sharpness_rise", "filter-normalised sharpness"),
}
"""Means of a comparison by what `columns=` calls them, with their headings."""

SHOWN = list(MEANS)[:9]
"""Those that stand in a table if none are chosen."""

LONG = ["best, %", "best", "train accuracy, %", "validation loss", "test loss", "train loss", "reasons"]
"""Headings for which a terminal has no room; the files and the page have them, and the answer tells the reasons."""

ENDS = {"interval": "low", "difference": "difference_low", "runs": "done"}
"""What columns of two numbers or of several are sorted by."""

FALLING = ("improvement", "runs")
"""Columns that are sorted from the largest down, besides accuracies."""

RANKED = ("score", "interval", "difference")
"""Columns of the measure that ranks."""

NUMBERS = {"p": "p", "improvement": "probability of improvement", "score": "score"}


def readable(table: pd.DataFrame, columns: Sequence[str] = (), sort: str | None = None) -> pd.DataFrame:
    """Return a comparison as text for readers, accuracies in per cent and no commands.

    Args:
        table: What `compare` returned.
        columns: Names of what to show, see `known`; if there are none, the rank, the labels, the runs, the interval of
            the measure that ranks and the means with their sample standard deviations, as far as there are any.
        sort: Name of what to sort by: the largest accuracy first, of all else the smallest.

    Raises:
        UserError: There is no such column.
    """
    shown = known(table)
    for name in [*columns, *([sort] if sort else [])]:
        if name not in shown:
            raise nearest("column", name, shown, ", ".join(shown))
    if sort:
        table = ordered(table, sort)
    parts = [shown[name](table).set_axis(table.index) for name in dict.fromkeys(columns or _usual(table, list(shown)))]
    return pd.concat(parts, axis=1)


def ordered(table: pd.DataFrame, sort: str) -> pd.DataFrame:
    """Return the rows of a comparison by a column that can be shown, see `known`; equal ones stay as they were."""
    key = MEANS[sort][0] + "_mean" if sort in MEANS else ENDS.get(sort, sort)
    larger = bool((_scale(table) != 1).any())
    rising = not ("accuracy" in key or sort in FALLING or (larger and sort in RANKED))
    if table[key].map(lambda value: isinstance(value, str)).any():  # numbers beside words, such as batch sizes and full
        return table.sort_values(key, key=lambda column: column.map(_words_last), kind="stable")
    return table.sort_values(key, ascending=rising, kind="stable")


def _words_last(value: object) -> tuple[bool, float, str]:
    words = isinstance(value, str)
    return words, 0.0 if words else float(value), str(value)  # type: ignore[arg-type]


def known(table: pd.DataFrame) -> dict[str, Callable[[pd.DataFrame], "pd.Series[str]"]]:
    """Return the columns that can be shown of a comparison by name, each as a function from it to texts."""
    keys = [str(name) for name in table.columns[: table.columns.get_loc("runs")]]
    found: dict[str, Callable[[pd.DataFrame], pd.Series[str]]] = {"rank": _rank}
    found |= {key: lambda t, key=key: t[key].map(written) for key in keys}  # type: ignore[misc]
    found |= {"runs": _runs, "interval": _interval, "difference": _difference}
    for name, (stem, heading) in MEANS.items():
        if f"{stem}_mean" in table:
            found[name] = lambda t, stem=stem, heading=heading: _mean(t, stem, heading)  # type: ignore[misc]
    for name, heading in NUMBERS.items():
        found[name] = lambda t, name=name, heading=heading: t[name].map(_number).rename(heading)  # type: ignore[misc]
    return found | {"reasons": lambda t: t["reasons"].replace("", "–")}


def _usual(table: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the columns that are shown if none are chosen: those with anything in them."""
    usual = list(table.columns[: table.columns.get_loc("runs")])
    if table["rank"].notna().any() and len(table) > 1:
        usual.append("rank")
    usual.append("runs")
    if table["low"].notna().any():
        usual += ["interval", "difference"]
    classes = "final_test_accuracy_mean" in table or "final_val_accuracy_mean" in table
    means = [name for name in SHOWN if name in names and not (classes and name == "best_test_loss")]
    usual += [name for name in means if table[f"{MEANS[name][0]}_mean"].notna().any()]
    if table["reasons"].ne("").any():
        usual.append("reasons")
    return usual


def _rank(table: pd.DataFrame) -> "pd.Series[str]":
    marks = table["tied"] & (table["rank"] > 1)
    ranks = ["–" if math.isnan(rank) else f"{rank:.0f}" for rank in table["rank"]]
    texts = [f"{rank} =" if mark else rank for rank, mark in zip(ranks, marks, strict=True)]
    return pd.Series(texts, name="rank")


def _runs(table: pd.DataFrame) -> "pd.Series[str]":
    names = list(table.columns)
    statuses = names[names.index("runs") + 1 : names.index("rank")]
    texts = [", ".join(f"{row[s]} {s}" for s in statuses if row[s]) for _, row in table.iterrows()]
    return pd.Series(texts, name="runs")


def _interval(table: pd.DataFrame) -> "pd.Series[str]":
    ends = zip(table["low"], table["high"], _scale(table), strict=True)
    return pd.Series([between(low, high, scale) for low, high, scale in ends], name="95 % interval")


def _difference(table: pd.DataFrame) -> "pd.Series[str]":
    rows = zip(table["rank"], table["difference_low"], table["difference_high"], _scale(table), strict=True)
    texts = ["–" if rank == 1 else between(low, high, scale) for rank, low, high, scale in rows]
    return pd.Series(texts, name="difference to the best")


def _scale(table: pd.DataFrame) -> "pd.Series[float]":
    """Return what each row's measure that ranks is multiplied with: accuracies are shown in per cent."""
    return table["measure"].str.endswith("accuracy").map({True: 100.0, False: 1.0})


def _mean(table: pd.DataFrame, stem: str, heading: str) -> "pd.Series[str]":
    write = percent if stem.endswith("accuracy") else significant
    none = table["done"] == 0
    pairs = zip(table[f"{stem}_mean"].mask(none), table[f"{stem}_std"], strict=True)
    return pd.Series([write(mean, std) for mean, std in pairs], name=heading)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def caption(frame: pd.DataFrame) -> str:
    """Return in one sentence what the numbers of a comparison are."""
    frame = whole(frame)
    counts = frame.groupby(labels(frame), dropna=False)["seed"].nunique()
    fewest = int(counts.min())
    most = int(counts.max())
    seeds = str(most) if fewest == most else f"{fewest} to {most}"
    epochs = frame.loc[frame["status"] == "done", "epoch"].dropna().unique()
    after = "at the end"
    if len(epochs) == 1:
        after = f"after {epochs[0]:.4g} epoch{'' if epochs[0] == 1 else 's'}"
    elif len(epochs):
        after = f"at the end, which is after {min(epochs):.4g} to {max(epochs):.4g} epochs"
    spread = f"Mean ± sample standard deviation over {seeds} seeds" if most > 1 else "One seed, so no spread"
    notes = ["`seconds` of training alone"]
    if (frame["status"] != "done").any():
        notes.append("runs that are not done count as 0 % and as an infinite loss, and rank last")
    if most >= FEWEST:
        words = measure(frame).words
        notes.append(
            f"intervals of the {words}: bootstrap (BCa), 95 %; `=`: not to be told from the best (paired t, Holm)"
        )
    if fewest < FEWEST:
        notes.append("with fewer than 3 seeds no interval can be given")
    if stacked := int((frame["stacked"] > 1).sum()):
        notes.append(f"{stacked} runs trained in stacks, which their commands make again but for rounding")
    if WORKLOAD in frame and frame[WORKLOAD].nunique() > 1:
        notes.append("each workload has ranks of its own")
    elif blocks(frame).nunique() > 1:
        notes.append("rows on fewer examples stand apart, as these bound what can be reached")
    return f"{spread}; values {after}, `best` at any epoch; {'; '.join(notes)}."


def markdown(
    frame: pd.DataFrame, columns: Sequence[str] = (), sort: str | None = None, table: pd.DataFrame | None = None
) -> str:
    """Return the comparison of a frame as Markdown, with the commands that make its rows again."""
    table = compare(frame) if table is None else table
    shown = readable(table, columns, sort)
    commands = [command for command in table.loc[shown.index, "command"] if command]
    parts = [
        markdown_table(shown, _left(shown)),
        "",
        caption(frame),
        "",
        fence(commands),
        *commands,
        fence(commands),
        "",
    ]
    return "\n".join(parts)


def fence(lines: Sequence[str]) -> str:
    """Return a fence of Markdown that none of the lines can close."""
    longest = max((len(run) for line in lines for run in line.split() if set(run) == {"`"}), default=2)
    return "`" * max(3, longest + 1)


def latex(
    frame: pd.DataFrame, columns: Sequence[str] = (), sort: str | None = None, table: pd.DataFrame | None = None
) -> str:
    """Return the comparison of a frame as a LaTeX table, for the package booktabs."""
    table = compare(frame) if table is None else table
    shown = readable(table, columns, sort)
    block = blocks(table)
    rules = [] if sort else [i for i in table.index[:-1] if block[i] != block[i + 1]]
    return latex_table(shown, _left(shown), rules)


def terminal(
    frame: pd.DataFrame,
    title: str,
    columns: Sequence[str] = (),
    sort: str | None = None,
    width: int | None = None,
    table: pd.DataFrame | None = None,
) -> Table:
    """Return the comparison of a frame for a rich console.

    Args:
        frame: Runs.
        title: What stands above.
        columns: As for `readable`; if there are none, and all do not fit, the most important ones.
        sort: As for `readable`.
        width: Characters in a line, as many as it takes if None.
        table: What `compare` returns of them, if that is at hand.
    """
    table = compare(frame) if table is None else table
    view = _view(frame, table, title, columns or _usual(table, list(known(table))), sort)
    if columns or width is None or Console(width=10_000).measure(view).maximum <= width:
        return view
    return _view(frame, table, title, _most_important(table), sort)


def _most_important(table: pd.DataFrame) -> list[str]:
    usual = _usual(table, list(known(table)))
    means = [name for name in usual if name in MEANS]
    return [name for name in usual if name not in [*means[1:], "difference", "reasons"]]


def _view(frame: pd.DataFrame, table: pd.DataFrame, title: str, columns: Sequence[str], sort: str | None) -> Table:
    shown = readable(table, columns, sort)
    block = blocks(table)
    if not columns:
        shown = shown.drop(columns=[name for name in LONG if name in shown])
    view = Table(title=Text(title), caption=caption(frame).replace("`", ""), box=box.SIMPLE_HEAD, title_justify="left")
    left = _left(shown)
    for i, name in enumerate(shown.columns):
        view.add_column(name.replace(" ", "\n", 1), justify="left" if i < left else "right", no_wrap=name != "reasons")
    for i, row in zip(shown.index, shown.itertuples(index=False), strict=True):
        view.add_row(*map(Text, row), end_section=not sort and bool(block[i] != block.get(i + 1, block[i])))
    return view


def plain(shown: pd.DataFrame, title: str) -> Table:
    """Return a table of texts for a rich console."""
    view = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left")
    for i, name in enumerate(shown.columns):
        view.add_column(str(name), justify="left" if i == 0 else "right")
    for row in shown.itertuples(index=False):
        view.add_row(*map(Text, row))
    return view


def _left(shown: pd.DataFrame) -> int:
    """Return how many of the first columns are words."""
    names = list(shown.columns)
    return names.index("runs") + 1 if "runs" in names else 1
