"""`optbench report DIR`: the answer, tables and figures of finished runs, from their records alone."""

import math
from collections.abc import Sequence
from pathlib import Path

from optbench import records
from optbench.checks import UserError, nearest
from optbench.commands.arguments import Parser
from optbench.report.build import report

CHOICES = ("figures", "columns", "sort", "target", "out")
"""What can be chosen as `name=value`; a list as `figures=curves,norms` or `figures=[curves,norms]`."""


def main(arguments: list[str]) -> None:
    """Run `optbench report`."""
    parser = Parser(
        prog="optbench report",
        description="Make tables and figures of the runs at and below directories.",
        epilog=f"What to show is chosen by {', '.join(f'{name}=...' for name in CHOICES)}: figures=[curves,norms], "
        "columns=[optimizer,rank,test_accuracy], sort=seconds, target=0.9 (of time to target).",
    )
    parser.add_argument("directories", nargs="+", metavar="DIR", help="what `optbench train` wrote; or a choice")
    parser.add_argument(
        "--out", type=records.folder, help="where the report goes; report in the first DIR if not given"
    )
    given = parser.parse_intermixed_args(arguments)
    directories, chosen = split(given.directories)
    if not directories:
        raise UserError("the following arguments are required: DIR; see optbench report --help")
    if given.out and "out" in chosen:
        raise UserError(f"out is given twice, as {given.out} and {chosen['out']}; give it once")
    out = given.out or (records.folder(chosen["out"]) if "out" in chosen else None)
    figures = listed(chosen["figures"]) if "figures" in chosen else None
    target = number("target", chosen["target"]) if "target" in chosen else None
    columns = listed(chosen.get("columns", ""))
    sort = chosen.get("sort")
    report(directories, out=out, figures=figures, columns=columns, sort=sort, target=target)


def split(arguments: Sequence[str]) -> tuple[list[Path], dict[str, str]]:
    """Return the directories and the choices among arguments; a path that exists is a directory, whatever its name.

    Raises:
        UserError: There is no such choice, or it is made twice, or not at all.
    """
    directories: list[Path] = []
    chosen: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or Path(argument).exists():
            directories.append(Path(argument))
        elif name not in CHOICES:
            raise nearest("choice", name, CHOICES, ", ".join(CHOICES))
        elif name in chosen:
            raise UserError(f"{name} is given twice, as {chosen[name]} and {value}; give it once")
        elif not value.strip("[] ") and name != "figures":
            raise UserError(f"{argument} chooses nothing; leave it out")
        else:
            chosen[name] = value
    return directories, chosen


def number(name: str, text: str) -> float:
    """Return a choice as a number.

    Raises:
        UserError: It is none that is finite.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{name}={text} is no number; give an accuracy from 0 to 1, or a loss")
    return value


def listed(text: str) -> list[str]:
    """Return the names in a list such as `[a,b]` or `a,b`."""
    return [name.strip() for name in text.strip("[]").split(",") if name.strip()]
