"""A row of the table: what takes how long, against what, and the ratio that is aimed at."""

from typing import Any

Row = dict[str, Any]


def row(what: str, ours: float, against: str, theirs: float, target: float) -> Row:
    """Return one line of the table: seconds of both sides and their ratio, with the ratio that is aimed at."""
    return {
        "what": what,
        "seconds": ours,
        "against": against,
        "seconds_against": theirs,
        "ratio": ours / theirs,
        "target": target,
    }
