"""`optbench claims`: what textbooks say of optimizers, measured."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from rich import box
from rich.progress import track
from rich.table import Table
from rich.text import Text

from optbench import records
from optbench.checks import UserError, nearest
from optbench.claims import CLAIMS, Claim, Finding
from optbench.commands.arguments import Parser
from optbench.results.text import markdown_table
from optbench.terminal import wide

COLUMNS = ("claim", "documents", "says", "verdict", "measured", "condition", "command")
COLOURS = {"holds": "green", "fails": "red", "holds only if": "yellow"}


def main(arguments: list[str]) -> None:
    """Run `optbench claims`."""
    parser = Parser(prog="optbench claims", description="Measure what textbooks say of optimizers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as bias_correction; all if not given")
    parser.add_argument("--quick", action="store_true", help="leave out those that train networks")
    parser.add_argument(
        "--out", type=records.folder, help="where claims.md and claims.csv go; results if all are tried"
    )
    given = parser.parse_intermixed_args(arguments)
    chosen = choose(given.names, given.quick)
    out = given.out or (None if given.names or given.quick else Path("results"))
    if out:
        records.prepare(out)
    torch.set_num_threads(1)
    console = wide()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        findings = [claim.measure() for claim in track(chosen, "trying", console=console, transient=True)]
    console.print(view(chosen, findings))
    for file in write(chosen, findings, out) if out else ():
        print(file)


def choose(names: Sequence[str], quick: bool) -> list[Claim]:
    """Return the claims of these names, all if there are none.

    Raises:
        UserError: There is no such claim, or none is left.
    """
    known = {claim.name: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            raise nearest("claim", name, known, "optbench claims --quick")
    chosen = [known[name] for name in dict.fromkeys(names or known)]
    left = [claim for claim in chosen if not (quick and claim.trains)]
    if not left:
        raise UserError(f"--quick leaves nothing of {', '.join(names)}, which trains networks; give it without")
    return left


def rows(claims: Sequence[Claim], findings: Sequence[Finding]) -> pd.DataFrame:
    """Return a row a claim, of the columns `COLUMNS`."""
    table = [
        (c.name, c.documents, c.says, f.verdict, f.measured, f.condition, c.command)
        for c, f in zip(claims, findings, strict=True)
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def view(claims: Sequence[Claim], findings: Sequence[Finding]) -> Table:
    """Return the claims for a terminal."""
    table = Table("claim", "verdict", "measured", box=box.SIMPLE_HEAD, title_justify="left")
    for claim, found in zip(claims, findings, strict=True):
        condition = f" ({found.condition})" if found.condition else ""
        table.add_row(claim.says, Text(found.verdict, style=COLOURS[found.verdict]), f"{found.measured}{condition}.")
    return table


def write(claims: Sequence[Claim], findings: Sequence[Finding], folder: Path) -> list[Path]:
    """Write `claims.md` and `claims.csv`, and return them."""
    records.write(folder / "claims.md", markdown(claims, findings))
    records.write(folder / "claims.csv", rows(claims, findings).to_csv(index=False))
    return [folder / "claims.md", folder / "claims.csv"]


def markdown(claims: Sequence[Claim], findings: Sequence[Finding]) -> str:
    """Return the page of the claims."""
    verdicts = Counter(found.verdict for found in findings)
    counts = ", ".join(f"{count} {kind}" for kind, count in verdicts.most_common())
    lines = [
        "# The textbooks' claims, tried",
        "",
        f"{len(claims)} claims of five documents on optimizers, in our words: {counts}.",
        "The command of each row measures it again; `optbench claims` makes this page.",
        "",
    ]
    cells = []
    for claim, found in zip(claims, findings, strict=True):
        why = f" *{found.verdict.capitalize()}:* {found.condition}." if found.condition else ""
        cells.append((claim.says, claim.documents, found.verdict, f"{found.measured}.{why}", f"`{claim.command}`"))
    columns = ["claim", "documents", "verdict", "measured", "command"]
    table = markdown_table(pd.DataFrame(cells, columns=columns), None, marked=True)
    return "\n".join([*lines, table, ""])
