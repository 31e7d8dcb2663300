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
from optbench.records import Run
from optbench.report import charts, tensorboard
from optbench.report.content import content
from optbench.report.page import page
from optbench.results import Results, answer, compare, read, readable
from optbench.results.frame import labels
from optbench.results.sensitivity import best_values, swept
from optbench.results.settings import written
from optbench.results.table import caption, latex, markdown, plain, terminal
from optbench.results.text import escaped, markdown_table
from optbench.tuning import outcome

FIGURES = {
    "curves": "optbench.plots.curves:curves",
    "norms": "optbench.plots.curves:norms",
    "batch_size": "optbench.plots.curves:batch_size",
    "learning_rate": "optbench.plots.curves:learning_rate",
    "steps": "optbench.plots.curves:losses",
    "landscape": "optbench.report.landscape:landscape",
    "gradients": "optbench.report.landscape:gradients",
    "ranks": "optbench.plots.ranks:ranks",
    "sensitivity": "optbench.plots.sensitivity:sensitivities",
    "budget": "optbench.plots.tuning:budget",
    "trials": "optbench.plots.tuning:trials",
}
"""What a config may list under `figures`; a figure is imported when it is drawn, since one of them needs torch."""


SHARPNESS = ("sharpness", "trace", "trace_error", "negative", "rise")
"""What `columns=sharpness` shows."""

PLACES = (Path(__file__).parents[1] / "certificates", Path(__file__).parents[3] / "results" / "reference")
CERTIFICATES = next((folder / "certificates.csv" for folder in PLACES if (folder / "certificates.csv").exists()), None)
"""Beside whose code each rule was stepped: inside an installed package, or in a checkout."""

OF_TRIALS = ("budget", "trials")
"""Those that show the trials of a tuned study; the others show its finals."""


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
    everything = read(*places)
    tried, results = everything.of(is_trial), everything.of(lambda run: not is_trial(run)) or everything
    out = out or places[0] / "report"
    if "sharpness" in columns:  # which takes a while, and torch
        from optbench.report.landscape import with_sharpness

        results, at = with_sharpness(results), list(columns).index("sharpness")
        alone = [*labels(results.frame), "runs"] if len(columns) == 1 else []
        columns = [*alone, *columns[:at], *SHARPNESS, *columns[at + 1 :]]
    frame, runs, table = results.frame, list(everything.runs.values()), compare(results.frame)
    readable(table, columns, sort)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; give another folder with --out") from None
    title, sentences = heading(results), answer(frame, table)
    sentences += outcome.sentences(tried) if tried else []
    notices = [f"Note: {note}." for note in everything.notes]
    tables = best_tables(frame) | ({"What the trials came to": winner_table(tried)} if tried else {})
    head = [line for text in (f"# {title}", *sentences, *notices) for line in (escaped(text), "")]
    tail = [line for name, shown in tables.items() for line in (f"## {name}", "", markdown_table(shown), "")]
    records.write(out / "table.csv", table.to_csv(index=False))
    records.write(out / "table.md", "\n".join([*head, markdown(frame, columns, sort, table), *tail]))
    records.write(out / "table.tex", latex(frame, columns, sort, table))
    console = Console(markup=False, highlight=False)
    width = console.width if console.is_terminal else None
    view = terminal(frame, title, columns, sort, width, table)
    if width is None:  # a file has lines of any length
        console.width = max(140, Console(width=10_000).measure(view).maximum)
    console.print(*sentences, *notices, "", sep="\n", soft_wrap=True)
    console.print(view)
    for name, shown in tables.items():
        console.print(plain(shown, name))
    files, failures = [out / f"table.{kind}" for kind in ("csv", "md", "tex")], []
    listed = [name for run in runs for name in run.config.get("figures") or []] if figures is None else figures
    for name in dict.fromkeys([*listed, *(["sensitivity"] if figures is None and swept(frame) else [])]):
        shown_in_it = tried if name in OF_TRIALS else results
        try:
            if shown_in_it is None:
                raise UserError("there are no trials of a tuned study")
            files += draw(name, shown_in_it, title, out)
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


def is_trial(run: Run) -> bool:
    """Return whether a run is a trial of a tuned study, rather than one of its finals or of any other."""
    return outcome.stage(run) == "trials"


def winner_table(tried: Results) -> pd.DataFrame:
    """Return what each contender's trials came to, as text for readers."""
    best = outcome.winners(tried)
    times = 100 if tried.frame["final_val_accuracy"].notna().any() else 1
    return pd.DataFrame(
        {
            "contender": best["contender"],
            "trials": best["trials"].map(written),
            "done": best["done"].map(written),
            "diverged": best["diverged"].map(written),
            "chosen": best["setting"],
            f"validation {'error, %' if times > 1 else 'loss'}": [f"{times * error:.4g}" for error in best["error"]],
            "at the edge": best["edges"].replace("", "–"),
        }
    )


def _known(name: str) -> str:
    if name not in FIGURES:
        raise nearest("figure", name, FIGURES, ", ".join(FIGURES))
    return FIGURES[name]
