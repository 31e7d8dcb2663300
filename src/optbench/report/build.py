"""A report: the answer, tables and figures of finished runs, from their records alone."""

import importlib
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from optbench import records
from optbench.checks import UserError, nearest
from optbench.plots import style
from optbench.report import charts, tensorboard
from optbench.report.content import content
from optbench.report.page import page
from optbench.results import Results, answer, compare, read, readable
from optbench.results.sensitivity import best_values, swept
from optbench.results.settings import written
from optbench.results.table import caption, latex, markdown, terminal
from optbench.results.text import escaped, markdown_table

FIGURES = {
    "curves": "optbench.plots.curves:curves",
    "norms": "optbench.plots.curves:norms",
    "batch_size": "optbench.plots.curves:batch_size",
    "learning_rate": "optbench.plots.curves:learning_rate",
    "steps": "optbench.plots.curves:losses",
    "landscape": "optbench.plots.landscape:landscape",
}
"""What a config may list under `figures`; a figure is imported when it is drawn, since one of them needs torch."""


PLACES = (Path(__file__).parents[1] / "certificates", Path(__file__).parents[3] / "results" / "reference")
CERTIFICATES = next((folder / "certificates.csv" for folder in PLACES if (folder / "certificates.csv").exists()), None)
"""Beside whose code each rule was stepped: inside an installed package, or in a checkout."""


def report(
    directories: Path | Sequence[Path],
    out: Path | None = None,
    figures: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    sort: str | None = None,
) -> None:
    """Write the comparison and its figures, and print the answer and the comparison.

    Args:
        directories: Where the runs lie; several are one report.
        out: Where tables and figures go; `report` in the first directory if None.
        figures: Which figures, those that the runs' configs list if None.
        columns: As for `readable`.
        sort: As for `readable`.

    Raises:
        UserError: There is no run, or a name is not known, before anything is written; or a figure cannot be drawn,
            which spares everything else.
    """
    for name in figures or ():
        _known(name)
    places = [directories] if isinstance(directories, Path) else list(directories)
    results = read(*places)
    out = out or places[0] / "report"
    frame, runs, table = results.frame, list(results.runs.values()), compare(results.frame)
    readable(table, columns, sort)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; give another folder with --out") from None
    title, sentences = heading(results), answer(frame, table)
    notices = [f"Note: {note}." for note in results.notes]
    bests = best_tables(frame)
    head = [line for text in (f"# {title}", *sentences, *notices) for line in (escaped(text), "")]
    tail = [line for name, best in bests.items() for line in (f"## {name}", "", markdown_table(best), "")]
    records.write(out / "table.csv", table.to_csv(index=False))
    records.write(out / "table.md", "\n".join([*head, markdown(frame, columns, sort), *tail]))
    records.write(out / "table.tex", latex(frame, columns, sort))
    console = Console(markup=False, highlight=False)
    console.width = max(console.width, 0 if console.is_terminal else 140)
    console.print(*sentences, *notices, "", sep="\n", soft_wrap=True)
    console.print(terminal(frame, title, columns, sort))
    files, failures = [out / f"table.{kind}" for kind in ("csv", "md", "tex")], []
    listed = [name for run in runs for name in run.config.get("figures") or []] if figures is None else figures
    for name in dict.fromkeys(listed):
        try:
            files += draw(name, results, title, out)
        except Exception as error:  # whatever is wrong with one figure, the others and the table stand
            failures.append(f"no figure {name}: {' '.join(str(error).split()) or type(error).__name__}")
    pictures = {path.stem: path for path in files if path.suffix == ".png"}
    command = shlex.join(["optbench", "report", *map(str, places)])
    page_file, logs = interactive(results, table, readable(table, columns), title, sentences, command, pictures, out)
    for path in [*files, page_file]:
        print(path)
    print(f"\nnext: open {shlex.quote(str(page_file))}, or {shlex.join(['tensorboard', '--logdir', str(logs)])}")
    if failures:
        raise UserError("; ".join(failures))


def draw(name: str, results: Results, title: str, out: Path) -> list[Path]:
    """Draw one figure and return its files.

    Raises:
        UserError: There is no such figure.
    """
    module, function = _known(name).split(":")
    with style.context():
        return style.save(getattr(importlib.import_module(module), function)(results, title), out / name)


def interactive(
    results: Results,
    table: pd.DataFrame,
    shown: pd.DataFrame,
    title: str,
    sentences: Sequence[str],
    command: str,
    pictures: Mapping[str, Path],
    out: Path,
) -> tuple[Path, Path]:
    """Write the page and the log directory of TensorBoard, and return where they are.

    Args:
        results: The runs.
        table: What `compare` makes of them.
        shown: The same rows as text.
        title: What the runs are of.
        sentences: The answer.
        command: What makes the report again.
        pictures: The figures in PNG, by name.
        out: Where both go.
    """
    frame = results.frame
    drawn = [charts.curves(frame, results.evaluations), *charts.sensitivities(frame)]
    drawn.append(charts.times(frame, results.evaluations))
    what = content(
        title, sentences, frame, table, shown, caption(frame), command, drawn, pictures, results.notes, certified(frame)
    )
    records.write(out / "report.html", page(what))
    return out / "report.html", tensorboard.write(out / "tensorboard", drawn, frame, table, pictures)


def certified(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Return what is known of the correctness of the optimizers that take part; None where it was not shipped."""
    if CERTIFICATES is None:
        return None
    table = pd.read_csv(CERTIFICATES, keep_default_na=False, dtype=str)
    return table[table["optimizer"].isin(frame["optimizer"].astype(str))]


def heading(results: Results) -> str:
    """Return what the runs are of, in one line: the study, the data and the model, where they agree."""
    runs = list(results.runs.values())
    parts = [", ".join(dict.fromkeys(str(run.config.get("name", "runs")) for run in runs))]
    for group in ("data", "model"):
        nodes = [run.config.get(group) or {} for run in runs]
        targets = {str(node.get("_target_", "")).rpartition(".")[2] for node in nodes}
        parts += targets if len(targets) == 1 else []
    return ": ".join([parts[0], ", ".join(filter(None, parts[1:]))]).removesuffix(": ")


def best_tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table of each optimizer's best value, as text, for every number that was swept, by its heading."""
    return {f"The best {by} of each optimizer": best_table(best_values(frame, by), by) for by in swept(frame)}


def best_table(best: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return what `best_values` returned as text for readers."""
    shown = best[[name for name in best.columns[: list(best.columns).index(by)]]].map(written)
    edges = [" (edge of the range)" if edge else "" for edge in best["edge"]]
    shown[f"best {by}"] = [("–" if math.isnan(x) else f"{x:.3g}") + e for x, e in zip(best[by], edges, strict=True)]
    shown["values tried"] = best["values"].astype(str)
    for name in [name for name in best.columns if str(name).startswith("final_")]:
        scale, unit = (100, ", %") if name.endswith("accuracy") else (1, "")
        heading = name.removeprefix("final_").replace("_", " ") + unit
        shown[heading] = ["–" if math.isnan(x) else f"{scale * x:.4g}" for x in best[name]]
    ends = zip(best["low"], best["high"], strict=True)
    shown["within 5 % of the best"] = ["–" if math.isnan(a) else f"{a:.3g} to {b:.3g}" for a, b in ends]
    return shown


def _known(name: str) -> str:
    if name not in FIGURES:
        raise nearest("figure", name, FIGURES, ", ".join(FIGURES))
    return FIGURES[name]
