"""`optbench report DIR`: tables and figures of finished runs, from their records alone."""

from pathlib import Path

from optbench.commands.arguments import Parser
from optbench.report.build import report


def main(arguments: list[str]) -> None:
    """Run `optbench report`.

    Raises:
        UserError: As `report`; or the arguments are wrong.
    """
    parser = Parser(prog="optbench report", description="Make tables and figures of the runs at and below a directory.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="what `optbench train` wrote")
    parser.add_argument("--out", type=Path, help="where the report goes; DIR/report if not given")
    given = parser.parse_args(arguments)
    report(given.directory, given.out)
