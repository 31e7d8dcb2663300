"""What pages share: one file with everything in it, which needs no network; the same content gives the same bytes."""

import base64
import gzip
import html
import json
import math
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
from jinja2 import StrictUndefined, Template
from numpy.typing import ArrayLike

SYMBOLS = {"o": "circle", "s": "square", "D": "diamond", "X": "x", "P": "cross"}
"""Plotly's names of matplotlib's markers."""


def filled(template: Traversable, title: str, data: Any, **parts: str) -> str:
    """Return a page with Plotly, what the pages share of scripts, and its data in it.

    Args:
        template: File of the page, with the names of its parts in double braces.
        title: What stands above, as plain text.
        data: What the page draws, as JSON has it.
        **parts: Other parts by their names.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    known = {
        "TITLE": html.escape(title),
        "SHARED": files("optbench.plots").joinpath("page.js").read_text(),
        "PLOTLY": library("plotly", "package_data", "plotly.min.js"),
        "DATA": packed(text),
    }
    page = Template(template.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    return str(page.render(known | parts))


@cache
def library(package: str, *path: str) -> str:
    """Return a script of a package, packed."""
    return packed(files(package).joinpath(*path).read_bytes())


def packed(data: bytes) -> str:
    """Return bytes compressed and as text, a third of their size here; the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def rounded(values: ArrayLike) -> Any:
    """Return numbers as lists of numbers with five digits, None for what is not finite."""
    array = np.asarray(values, float)
    return [rounded(row) for row in array] if array.ndim > 1 else [digits(x) for x in array.tolist()]


def digits(x: float) -> float | None:
    """Return a number with five digits, or None where it is not finite."""
    return float(f"{x:.5g}") if math.isfinite(x) else None


def dashes(pattern: Any) -> str:
    """Return a dash pattern of matplotlib as plotly has it."""
    return "solid" if isinstance(pattern, str) else ",".join(f"{2 * x:g}px" for x in pattern[1])
