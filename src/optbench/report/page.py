"""The report as one page that needs no network: the answer, a table to sort and filter, charts, and every run.

Its content is plain data, which the browser's side (templates/report.js) shows; the same content gives the same bytes.
"""

import base64
import gzip
import html
import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

Content = Mapping[str, Any]
"""What the page shows: `title`, `answer` and `notices` (sentences), `table`, `runs` and `certificates` (see `rows`),
`command`, `lines` (name, colour and dash of each setting) and `charts` (see `optbench.report.charts`)."""


def page(content: Content) -> str:
    """Return the page as HTML with everything in it.

    Args:
        content: What it shows; all text is shown as text, whatever it holds.
    """
    folder = files("optbench.report")
    templates = folder.joinpath("templates")
    vendor = folder.joinpath("vendor")
    data = json.dumps(finite(content), separators=(",", ":"), allow_nan=False).encode()
    parts = {
        "TITLE": html.escape(str(content["title"])),
        "TABLE_STYLE": vendor.joinpath("tabulator_simple.min.css").read_text(),
        "STYLE": templates.joinpath("report.css").read_text(),
        "SCRIPT": templates.joinpath("report.js").read_text(),
        "PLOTLY": library("plotly", "package_data", "plotly.min.js"),
        "TABULATOR": library("optbench.report", "vendor", "tabulator.min.js"),
        "DATA": packed(data),
    }
    text = templates.joinpath("report.html").read_text()
    pieces = text.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        filled += [parts[name], rest]
    return "".join(filled)


@cache
def library(package: str, *path: str) -> str:
    """Return a script of a package, packed."""
    return packed(files(package).joinpath(*path).read_bytes())


def packed(data: bytes) -> str:
    """Return bytes compressed and as text, a third of their size here; the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


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
