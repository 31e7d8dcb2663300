"""What the interactive pages share: one file with everything in it, which needs no network."""

import base64
import gzip
import html
import json
import math
from importlib.resources import files
from typing import Any

SYMBOLS = {"o": "circle", "s": "square", "D": "diamond", "X": "x", "P": "cross"}
"""Plotly's names of matplotlib's markers."""


def filled(template: str, title: str, data: Any) -> str:
    """Return a page with the shared script, Plotly and its data in it.

    Args:
        template: File of this package.
        title: What stands above, as plain text.
        data: What the page draws, as JSON has it.
    """
    folder = files("optbench.plots")
    plotly = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    parts = {
        "TITLE": html.escape(title),
        "SHARED": folder.joinpath("page.js").read_text(),
        "PLOTLY": packed(plotly),
        "DATA": packed(text),
    }
    page = folder.joinpath(template).read_text()
    for mark, value in parts.items():
        page = page.replace("{{" + mark + "}}", value)
    return page


def packed(data: bytes) -> str:
    """Return bytes compressed and as text, a third of their size here; the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def digits(x: float) -> float | None:
    """Return a number with five digits, or None where it is not finite."""
    return float(f"{x:.5g}") if math.isfinite(x) else None
