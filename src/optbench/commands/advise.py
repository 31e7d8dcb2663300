"""`optbench advise`: when to use which optimizer, with the evidence for each line."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.table import Table

from optbench import records
from optbench.checks import UserError
from optbench.claims.advice import ADVICE, Advice
from optbench.commands.arguments import Parser
from optbench.results.text import markdown_table
from optbench.terminal import wide

PLACES = (Path(__file__).parents[1] / "claims", Path(__file__).parents[3] / "results")
"""Where `claims.csv` lies: inside an installed package, or in a checkout."""


def main(arguments: list[str]) -> None:
    """Run `optbench advise`."""
    parser = Parser(prog="optbench advise", description="Tell when to use which optimizer, and on what evidence.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only what is about it, such as sparse or adam")
    parser.add_argument("--out", type=records.folder, help="a folder for advice.md")
    given = parser.parse_intermixed_args(arguments)
    if given.out:
        records.prepare(given.out)
    verdicts = tried()
    chosen = [advice for advice in ADVICE if about(advice, given.words)]
    if not chosen:
        raise UserError(f"no advice is about {shlex.join(given.words)}; see all of it with optbench advise")
    console = wide()
    table = Table(box=box.SIMPLE_HEAD, expand=True)
    for name in ("when", "said", "what we found"):
        table.add_column(name, ratio=1)
    lines = [line for advice in chosen for line in evidence(advice, verdicts)]
    table.add_column("evidence", width=min(console.width // 3, max(map(len, lines))))
    for advice in chosen:
        table.add_row(advice.situation, advice.said, advice.ours, "\n".join(evidence(advice, verdicts)))
    console.print(table)
    print("next: optbench claims <name> measures a claim again")
    if given.out:
        records.write(given.out / "advice.md", markdown(chosen, verdicts))
        print(given.out / "advice.md")


def tried() -> dict[str, str]:
    """Return the verdict on each claim.

    Raises:
        UserError: No claims have been tried.
    """
    file = next((folder / "claims.csv" for folder in PLACES if (folder / "claims.csv").exists()), None)
    if file is None:
        raise UserError("no claims have been tried here; run optbench claims first")
    table = pd.read_csv(file, dtype=str)
    return dict(zip(table["claim"], table["verdict"], strict=True))


def about(advice: Advice, words: Sequence[str]) -> bool:
    """Return whether a piece of advice has all the words in it."""
    text = f"{advice.situation} {advice.said} {advice.ours}".lower()
    return all(word.strip() and word.lower() in text for word in words)


def evidence(advice: Advice, verdicts: Mapping[str, str]) -> list[str]:
    """Return the claims that bear on a piece of advice, with their verdicts."""
    return [f"{name}: {verdicts.get(name, 'not tried')}" for name in advice.claims]


def markdown(chosen: Sequence[Advice], verdicts: Mapping[str, str]) -> str:
    """Return the advice as a page."""
    lines = [
        "# When to use which",
        "",
        "What the documents advise, in our words, and what we found.",
        "`optbench claims <name>` measures the evidence again.",
        "",
    ]
    columns = ["when", "said", "documents", "what we found", "evidence"]
    rows = [
        (advice.situation, advice.said, advice.documents, advice.ours, ", ".join(evidence(advice, verdicts)))
        for advice in chosen
    ]
    table = markdown_table(pd.DataFrame(rows, columns=columns), None, marked=True)
    return "\n".join([*lines, table, ""])
