"""The report as one page: the answer, a table to sort and filter, charts, and every run.

Its content is plain data, which the browser's side (templates/report.js) shows.
"""

import base64
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from optbench.plots.page import filled, library

Content = Mapping[str, Any]
"""What the page shows: `title`, `answer` and `notices` (sentences), `table`, `runs` and `certificates` (see `rows`),
`command`, `lines` (name, colour and dash of each setting) and `charts` (see `optbench.report.charts`)."""


def page(content: Content) -> str:
    """Return the page as HTML with everything in it.

    Args:
        content: What it shows; all text is shown as text, whatever it holds.
    """
    templates = files("optbench.report").joinpath("templates")
    vendor = files("optbench.report").joinpath("vendor")
    return filled(
        templates.joinpath("report.html"),
        str(content["title"]),
        finite(content),
        TABLE_STYLE=vendor.joinpath("tabulator_simple.min.css").read_text(),
        STYLE=templates.joinpath("report.css").read_text(),
        SCRIPT=templates.joinpath("report.js").read_text(),
        TABULATOR=library("optbench.report", "vendor", "tabulator.min.js"),
    )


def image(png: bytes) -> str:
    """Return a picture as the source of an `img`."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def finite(tree: Any) -> Any:
    """Return nested values with numbers of six digits, and None for those that JSON does not know."""
    if isinstance(tree, Mapping):
        return {str(k): finite(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [finite(x) for x in tree]
    if isinstance(tree, float):
        return float(f"{tree:.6g}") if math.isfinite(tree) else None
    return tree
