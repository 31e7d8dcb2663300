"""The palette of a PNG: how many colours it has, which says nothing of other formats. It imports no matplotlib."""

from collections.abc import Collection
from typing import Annotated

from optbench.checks import Interval, refuse_idle

Colours = Annotated[int, Interval("[2, 256]")]


def refuse_colours(typed: Collection[str], formats: Collection[str]) -> None:
    """Raise a `UserError` where `colours` was typed, and no figure has a palette.

    Args:
        typed: The fields that the user typed.
        formats: Of the figures, such as `png`.
    """
    refuse_idle(typed, {} if "png" in formats else {"colours": "is of a png's palette, and formats names no png"})
