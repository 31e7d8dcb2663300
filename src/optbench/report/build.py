"""A report: the answer, tables and figures of finished runs, from their records alone."""

import importlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from optbench import records
from optbench.checks import UserError, nearest, one_line
from optbench.plots import style
from optbench.records import Run
from optbench.report import charts, tensorboard
from optbench.report.content import content
from optbench.report.page import page
from optbench.report.tables import best_tables, winner_table, workload_tables
from optbench.results import Results, answer, compare, read, readable
from optbench.results.clocks import CLOCK
from optbench.results.comparison import is_classification
from optbench.results.frame import labels
from optbench.results.race import Race, race
from optbench.results.sensitivity import swept
from optbench.results.settings import WORKLOAD
from optbench.results.table import caption, latex, markdown, plain, terminal
from optbench.results.text import escaped, markdown_table
from optbench.results.workloads import workload_scores, workload_sentences
from optbench.tuning import outcome

PALETTE = 256
"""Colours of a picture in PNG: the page carries them along, at a third of their size."""

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
    "profile": "optbench.plots.race:profile",
    "time_to_target": "optbench.plots.race:time_to_target",
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

OF_TARGET = ("profile", "time_to_target")
"""Those that take a target."""


def report(
    directories: Path | Sequence[Path],
    out: Path | None = None,
    figures: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    sort: str | None = None,
    target: float | None = None,
    also: Sequence[str] = (),
) -> None:
    """Write the comparison and its figures, and print the answer and the comparison.

    Args:
        directories: Where the runs lie; several are one report.
        out: Where tables and figures go; `report` in the first directory if None.
        figures: Which figures, those that the runs' configs list if None.
        columns: As for `readable`.
        sort: As for `readable`.
        target: As for `race`.
        also: Figures that are wanted beside those of the configs.

    Raises:
        UserError: There is no run, or a name is not known, before anything is written; or a figure cannot be drawn,
            which spares everything else.
    """
    for name in figures or ():
        _known(name)
    places = [directories] if isinstance(directories, Path) else list(directories)
    found = reading(places, columns, sort, target)
    out = out or places[0] / "report"
    records.prepare(out)
    files = write_tables(found, out)
    print_tables(found)
    drawn, failures = draw_all(found, [*wanted(found), *also] if figures is None else figures, out)
    files += drawn
    command = again(places, columns, sort, target)
    page_file, logs = interactive(found, command, {path.stem: path for path in files if path.suffix == ".png"}, out)
    for path in [*files, page_file]:
        print(path)
    print(f"\nnext: open {shlex.quote(str(page_file))}, or {shlex.join(['tensorboard', '--logdir', str(logs)])}")
    if failures:
        raise UserError("; ".join(failures))


def again(places: Sequence[Path], columns: Sequence[str], sort: str | None, target: float | None) -> str:
    """Return the command that makes a report again, but for its figures and its place."""
    words = ["optbench", "report", *map(str, places)]
    words += [f"columns=[{','.join(columns)}]"] if columns else []
    words += [f"sort={sort}"] if sort else []
    words += [f"target={target:g}"] if target is not None else []
    return shlex.join(words)


@dataclass(frozen=True)
class Found:
    """What a report says: runs, what they come to, and how a reader wants to see it.

    Attributes:
        everything: All runs.
        results: Those that are compared: all but the trials of a tuned study.
        trials: Its trials; None where nothing was tuned.
        table: What `compare` makes of `results`.
        columns: As for `readable`.
        sort: As for `readable`.
        target: As for `race`.
    """

    everything: Results
    results: Results
    trials: Results | None
    table: pd.DataFrame
    columns: Sequence[str]
    sort: str | None
    target: float | None = None

    @cached_property
    def title(self) -> str:
        """What the runs are of, in one line."""
        return heading(self.results)

    @cached_property
    def answer(self) -> list[str]:
        """The sentences that answer what the runs were made for."""
        tuned = outcome.sentences(self.trials) if self.trials else []
        return [*workload_sentences(self.scores), *answer(self.results.frame, self.table), *tuned]

    @cached_property
    def race(self) -> Race:
        """Who reached the targets when."""
        return race(self.results, self.target)

    @property
    def notices(self) -> list[str]:
        """What a reader has to know, in sentences."""
        return [f"Note: {note}." for note in self.everything.notes]

    @cached_property
    def further(self) -> dict[str, pd.DataFrame]:
        """The tables below the comparison, as text, by their headings."""
        tuned = {"What the trials came to": winner_table(self.trials)} if self.trials else {}
        return workload_tables(self.times, self.scores) | best_tables(self.results.frame) | tuned

    @cached_property
    def times(self) -> pd.DataFrame:
        """When each contender reached the target of each workload; empty where there are none."""
        return self.race.by_seed(CLOCK) if WORKLOAD in self.results.frame else pd.DataFrame()

    @cached_property
    def scores(self) -> pd.DataFrame:
        """What these times come to over all workloads."""
        return workload_scores(self.times)


def reading(places: Sequence[Path], columns: Sequence[str], sort: str | None, target: float | None = None) -> Found:
    """Read runs, and return what there is to say of them.

    Raises:
        UserError: There is no run, or no such column, or the target is no accuracy.
    """
    everything = read(*places)
    trials = everything.of(is_trial)
    results = everything.of(lambda run: not is_trial(run)) or everything
    if "sharpness" in columns:  # which takes a while, and torch
        from optbench.report.landscape import with_sharpness

        results = with_sharpness(results)
        columns = sharpness_columns(columns, results.frame)
    table = compare(results.frame)
    readable(table, columns, sort)
    if target is not None and target > 1 and is_classification(results.frame):
        raise UserError(f"target={target:g} is no accuracy; give one from 0 to 1")
    return Found(everything, results, trials, table, columns, sort, target)


def sharpness_columns(columns: Sequence[str], frame: pd.DataFrame) -> list[str]:
    """Return columns with what `sharpness` stands for in its place, beside the labels where it stands alone."""
    at = list(columns).index("sharpness")
    alone = [*labels(frame), "runs"] if len(columns) == 1 else []
    return [*alone, *columns[:at], *SHARPNESS, *columns[at + 1 :]]


def write_tables(found: Found, out: Path) -> list[Path]:
    """Write the comparison as CSV, Markdown (there with the answer and the further tables) and LaTeX."""
    frame = found.results.frame
    lines = []
    for text in (f"# {found.title}", *found.answer, *found.notices):
        lines += [escaped(text), ""]
    lines.append(markdown(frame, found.columns, found.sort, found.table))
    for name, shown in found.further.items():
        lines += [f"## {name}", "", markdown_table(shown), ""]
    files = [out / f"table.{kind}" for kind in ("csv", "md", "tex")]
    texts = [found.table.to_csv(index=False), "\n".join(lines), latex(frame, found.columns, found.sort, found.table)]
    for file, text in zip(files, texts, strict=True):
        records.write(file, text)
    return files


def print_tables(found: Found) -> None:
    """Print the answer, the comparison and the further tables."""
    console = Console(markup=False, highlight=False)
    width = console.width if console.is_terminal else None
    view = terminal(found.results.frame, found.title, found.columns, found.sort, width, found.table)
    if width is None:  # a file has lines of any length
        console.width = max(140, Console(width=10_000).measure(view).maximum)
    console.print(*found.answer, *found.notices, "", sep="\n", soft_wrap=True)
    console.print(view)
    for name, shown in found.further.items():
        console.print(plain(shown, name))


def wanted(found: Found) -> list[str]:
    """Return the figures that the runs' configs list, and those that workloads and swept numbers bring with them."""
    names = [name for run in found.everything.runs.values() for name in run.config.get("figures") or []]
    profile = [] if found.times.empty else ["profile"]
    return names + profile + (["sensitivity"] if swept(found.results.frame) else [])


def draw_all(found: Found, names: Sequence[str], out: Path) -> tuple[list[Path], list[str]]:
    """Draw figures, each once, and return their files and what is wrong with those that cannot be drawn."""
    files: list[Path] = []
    failures = []
    for name in dict.fromkeys(names):
        shown = found.trials if name in OF_TRIALS else found.results
        try:
            if shown is None:
                raise UserError("there are no trials of a tuned study")
            choices = {"target": found.target} if name in OF_TARGET else {}
            files += draw(name, shown, found.title, out, **choices)
        except Exception as error:  # whatever is wrong with one figure, the others and the table stand
            failures.append(f"no figure {name}: {one_line(error) or type(error).__name__}")
    return files, failures


def draw(name: str, results: Results, title: str, out: Path, **choices: Any) -> list[Path]:
    """Draw one figure of results into a folder, by what else its function takes, and return its files.

    Raises:
        UserError: There is no such figure.
    """
    module, function = _known(name).split(":")
    with style.context():
        figure = getattr(importlib.import_module(module), function)(results, title, **choices)
        return style.save(figure, out / name, colours=PALETTE)


def interactive(found: Found, command: str, pictures: Mapping[str, Path], out: Path) -> tuple[Path, Path]:
    """Write the page and the log directory of TensorBoard, and return where they are.

    Args:
        found: What there is to say.
        command: What makes the report again.
        pictures: The figures in PNG, by name.
        out: Where both go.
    """
    results = found.results
    frame = results.frame
    drawn = [charts.curves(frame, results.evaluations), charts.profile(found.race), charts.times(found.race)]
    drawn += charts.sensitivities(frame)
    drawn += [charts.budget(found.trials)] if found.trials else []
    shown = readable(found.table, found.columns, found.sort)
    what = content(
        found.title,
        found.answer,
        frame,
        found.table.loc[shown.index],
        shown,
        caption(frame),
        command,
        drawn,
        pictures,
        found.everything.notes,
        certified(frame),
        found.everything.frame,
    )
    records.write(out / "report.html", page(what))
    return out / "report.html", tensorboard.write_all(out / "tensorboard", drawn, frame, found.table, pictures)


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


def is_trial(run: Run) -> bool:
    """Return whether a run is a trial of a tuned study, rather than one of its finals or of any other."""
    return outcome.stage(run) == "trials"


def _known(name: str) -> str:
    if name not in FIGURES:
        raise nearest("figure", name, FIGURES, ", ".join(FIGURES))
    return FIGURES[name]
