"""`optbench status DIR`: every cell of a sweep and what has become of it, those never begun included."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from optbench import records
from optbench.checks import UserError
from optbench.commands.arguments import Parser
from optbench.sweep import ledger
from optbench.sweep.ledger import CellState, LedgerEntry
from optbench.terminal import wide

COLOURS = {
    "done": "green",
    "diverged": "yellow",
    "failed": "red",
    "timed out": "red",
    "running": "cyan",
    "stale": "red",
}


def main(arguments: list[str]) -> None:
    """Run `optbench status`."""
    parser = Parser(prog="optbench status", description="Show every cell of a sweep and what has become of it.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="what `optbench train -m` wrote")
    parser.add_argument("--watch", action="store_true", help="show it until all cells have ended")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_intermixed_args(arguments)
    if given.watch and given.json:
        raise UserError("--watch is a table that moves, and --json a text that does not; give one of them")
    console = wide(140)
    found = look(given.directory)
    if given.json:
        print(ledger.as_json(found))
    elif given.watch:
        with Live(view(given.directory, found), console=console, auto_refresh=False) as live:
            while any(state.status in ("running", "waiting") for state in found):
                time.sleep(1)
                found = look(given.directory)
                live.update(view(given.directory, found), refresh=True)
    else:
        console.print(view(given.directory, found))


def look(directory: Path) -> list[CellState]:
    """Return the states of a sweep's cells, or of the runs at and below a directory where it holds no ledger.

    Raises:
        UserError: There is neither.
    """
    if ledger.entries(directory):
        return ledger.states(directory)
    runs, damaged = records.survey(directory)
    if not runs and not damaged:
        raise UserError(f"no sweep and no run in {directory}; give a directory that `optbench train` wrote")
    there = [*(run.directory for run in runs), *damaged]
    entries = [LedgerEntry("", num, str(path.relative_to(directory)), []) for num, path in enumerate(there)]
    return [ledger.state(directory, entry) for entry in entries]


def view(directory: Path, found: Sequence[CellState]) -> Table:
    """Return the states as a table for a rich console."""
    table = Table(
        title=Text(f"{directory}: {ledger.counted(found)}"), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
    )
    for name in ("cell", "status", "epochs", "why"):
        table.add_column(name, no_wrap=name != "why")
    for state in found:
        status = Text(state.status, COLOURS.get(state.status, ""))
        table.add_row(Text(state.entry.directory), status, Text(progress(state)), Text(state.reason))
    return table


def progress(state: CellState) -> str:
    """Return how many epochs a cell has trained, of how many, as far as that is known."""
    if state.epoch is None:
        return ""
    return f"{state.epoch:g}/{state.epochs}" if state.epochs else f"{state.epoch:g}"
