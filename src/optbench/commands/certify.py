"""`optbench certify`: every optimizer beside independent references."""

import warnings
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.utils import instantiate
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from optbench import records
from optbench.certificates import authors, bare, optax_rules, packages, recurrences, solvers, torch_optim, traces
from optbench.certificates.case import Case, Certificate
from optbench.certificates.reach import Reach, Recorder
from optbench.checks import nearest
from optbench.commands.arguments import Parser, folders
from optbench.configs import rule, targets
from optbench.optimizers import Optimizer
from optbench.results.text import markdown_table
from optbench.terminal import wide

COLUMNS = ("optimizer", "form", "reference", "problems", "largest difference", "verdict")
REACH = ("rule reached by others' code", "not reached")
COLOURS = {"certified": "green", "paper recurrence only": "yellow", "differs": "bold red", "not installed": "dim"}


def main(arguments: list[str]) -> None:
    """Run `optbench certify`."""
    parser = Parser(prog="optbench certify", description="Step every optimizer beside independent references.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as adam lion; all if not given")
    parser.add_argument("--config-dir", type=Path, help="a folder with configs of your own, as for optbench train")
    parser.add_argument(
        "--out", type=records.folder, help="where certificates.csv and .md go; results/reference if all are made"
    )
    given = parser.parse_intermixed_args(arguments)
    cases = chosen(folders(given.config_dir), given.names)
    out = given.out or (None if given.names else Path("results/reference"))
    if out:
        records.prepare(out)
    torch.set_num_threads(1)
    console = wide()
    certificates, reaches = made(cases, console)
    console.print(view(certificates))
    console.print(view_reach(reaches))
    if lacking := missing(certificates, reaches):
        print(f"not installed: {', '.join(lacking)}; pip install 'optbench[certify]' brings what is missing")
    if out:
        print(*write(certificates, reaches, out), sep="\n")
    wrong = {c.optimizer for c in certificates if c.verdict == "differs"}
    if wrong:
        raise SystemExit(f"optbench: {', '.join(sorted(wrong))}: not what the reference says")


def made(cases: list[Case], console: Console) -> tuple[list[Certificate], list[Reach]]:
    """Return the certificates of comparisons, and of each rule what they reached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the packages
        recorders = recorders_of(cases)
        shown = track(cases, "certifying", console=console, transient=True)
        certificates = merged(case.run(recorders.get(case.optimizer)) for case in shown)
        return certificates, [recorder.reach() for recorder in recorders.values()]


def chosen(folders: list[Path], names: list[str]) -> list[Case]:
    """Return the comparisons of the optimizers of these names, or of all, in the order of their names.

    Raises:
        UserError: There is no optimizer of such a name.
    """
    catalogue = {name: (cls, config) for name, config, cls in targets(folders, "optimizer")}
    for name in names:
        if name not in catalogue:
            raise nearest("optimizer", name, catalogue, "optbench list optimizers")
    sources = (traces, torch_optim, packages, optax_rules, authors, solvers, recurrences)
    known = [case for source in sources for case in source.cases()]
    cases = []
    for name, (cls, config) in catalogue.items():
        if name in names or not names:
            own = [case for case in known if case.optimizer is cls]
            cases += own or [bare.case(cls, instantiate(rule(config)).keywords)]
    return cases


def missing(certificates: Iterable[Certificate], reaches: Sequence[Reach]) -> list[str]:
    """Return the packages that some comparison would have needed."""
    packages = {c.reference.split()[0] for c in certificates if c.verdict == "not installed"}
    return sorted(packages if reaches else {*packages, "coverage"})


def recorders_of(cases: Iterable[Case]) -> dict[type[Optimizer], Recorder]:
    """Return what records each class that there is a comparison of; nothing where coverage.py is not installed."""
    if find_spec("coverage") is None:
        return {}
    return {cls: Recorder(cls) for cls in dict.fromkeys(case.optimizer for case in cases)}


def merged(certificates: Iterable[Certificate]) -> list[Certificate]:
    """Return one certificate for each optimizer, form and reference: the worst difference on all problems.

    What was not stepped, since a reference is not installed, stays apart from what was.
    """
    found: dict[tuple[str, str, str, bool], Certificate] = {}
    for new in certificates:
        key = new.optimizer, new.form, new.reference, new.difference is None
        found[key] = found[key].joined(new) if key in found else new
    return list(found.values())


def rows(certificates: Iterable[Certificate]) -> list[tuple[str, ...]]:
    """Return what a reader sees of certificates, in the order of `COLUMNS`."""
    return [
        (
            c.optimizer,
            c.form,
            c.reference,
            ", ".join(c.problems),
            "" if c.difference is None else f"{c.difference:.1e}",
            c.verdict,
        )
        for c in certificates
    ]


def view(certificates: list[Certificate]) -> Table:
    """Return certificates for a rich console, and in the caption how many optimizers have which."""
    best = {c.optimizer: "paper recurrence only" for c in certificates}
    best |= {c.optimizer: "certified" for c in certificates if c.verdict == "certified"}
    best |= {c.optimizer: "differs" for c in certificates if c.verdict == "differs"}
    counts = {verdict: list(best.values()).count(verdict) for verdict in COLOURS}
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    table = Table(box=box.SIMPLE_HEAD, caption=f"optimizers: {said}", caption_justify="left")
    for name in COLUMNS:
        if name != "problems":  # which the files have; they are too long for most terminals
            justify: Any = "right" if name == "largest difference" else "left"
            table.add_column(name.replace(" ", "\n"), justify=justify)
    for optimizer, form, reference, _, difference, verdict in rows(certificates):
        table.add_row(optimizer, form, reference, difference, f"[{COLOURS[verdict]}]{verdict}")
    return table


def view_reach(reaches: list[Reach]) -> Table:
    """Return for a rich console what no reference of somebody else's reached; in the caption, of how many rules."""
    whole = sum(not reach.gaps for reach in reaches)
    said = f"{whole} of {len(reaches)} rules reached whole by somebody else's code" if reaches else "install coverage"
    table = Table(box=box.SIMPLE_HEAD, caption=said, caption_justify="left")
    for name, justify in (("optimizer", "left"), ("rule\nreached", "right"), ("not reached", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for reach in reaches:
        if reach.gaps:
            table.add_row(reach.optimizer, f"{reach.share:.0%}", escape("\n".join(map(str, reach.gaps))))
    return table


def write(certificates: list[Certificate], reaches: list[Reach], out: Path) -> list[Path]:
    """Write certificates and what they cover, as CSV and as Markdown, and return the files."""
    covered = {reach.optimizer: (f"{reach.share:.3f}", "; ".join(map(str, reach.gaps))) for reach in reaches}
    whole = [(*row, *covered.get(row[0], ("", ""))) for row in rows(certificates)]
    shares = [(reach.optimizer, f"{reach.share:.0%}", "<br>".join(map(str, reach.gaps))) for reach in reaches]
    parts = [
        pd.DataFrame(rows(certificates), columns=COLUMNS),
        pd.DataFrame(shares, columns=("optimizer", *REACH)),
    ]
    tables = [markdown_table(part, None, marked=True) for part in parts]
    records.write(out / "certificates.csv", pd.DataFrame(whole, columns=[*COLUMNS, *REACH]).to_csv(index=False))
    records.write(out / "certificates.md", "\n\n".join(tables) + "\n")
    return [out / "certificates.csv", out / "certificates.md"]
