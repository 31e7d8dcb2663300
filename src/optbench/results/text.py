"""Tables as text: numbers to the digits that are known, Markdown, LaTeX and the terminal's."""

import math
import re
from collections.abc import Iterable, Sequence

import pandas as pd

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        "∞": r"$\infty$",
    }
)


def markdown_table(table: pd.DataFrame, left: int | None = 1, marked: bool = False) -> str:
    """Return a table of texts in Markdown.

    Args:
        table: The cells; pipes and line breaks in them are escaped.
        left: How many of the first columns are aligned to the left; None for all.
        marked: Whether the cells are Markdown themselves, so that links, code and HTML in them stay.
    """
    width = len(table.columns)
    left = width if left is None else left
    cell = _marked if marked else lambda value: _marked(escaped(str(value)))
    rows: list[Iterable[object]] = [table.columns, *table.itertuples(index=False, name=None)]
    heading, *body = ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    rule = "|" + "---|" * left + "---:|" * (width - left)
    return "\n".join([heading, rule, *body])


def latex_table(table: pd.DataFrame, left: int = 1, rules: Sequence[int] = ()) -> str:
    """Return a table of texts in LaTeX, for the package booktabs.

    Args:
        table: The cells.
        left: How many of the first columns are aligned to the left.
        rules: Rows below which a line is drawn.
    """
    lines = [r"\begin{tabular}{" + "l" * left + "r" * (len(table.columns) - left) + "}", r"\toprule"]
    lines += [" & ".join(str(name).translate(LATEX) for name in table.columns) + r" \\", r"\midrule"]
    for i, row in enumerate(table.itertuples(index=False)):
        lines.append(" & ".join(str(cell).translate(LATEX) for cell in row) + r" \\")
        lines += [r"\midrule"] if i in rules else []
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def percent(mean: float, doubt: float) -> str:
    """Return a share in per cent, to what its doubt leaves of two decimals."""
    if math.isnan(mean):
        return "–"
    return f"{100 * mean:.2f}" + ("" if math.isnan(doubt) else f" ± {100 * doubt:.2f}")


def significant(mean: float, doubt: float) -> str:
    """Return a number to the digits that its doubt leaves it, two to four of them, or three where there is none."""
    if math.isnan(mean):
        return "–"
    if math.isinf(mean):
        return "∞"
    if math.isnan(doubt) or doubt <= 1e-9 * abs(mean):  # a spread of rounding alone says nothing
        return f"{mean:.3g}"
    if not 1e-4 <= abs(mean) < 1e5:
        return f"{mean:.1e} ± {doubt:.0e}"
    lead = math.floor(math.log10(abs(mean)))
    last = math.floor(math.log10(doubt))
    digits = max(0, min(max(-last, 1 - lead), 3 - lead))
    spread = f"{doubt:.{digits}f}" if round(doubt, digits) else f"{doubt:.0e}"
    return f"{mean:.{digits}f} ± {spread}"


def between(low: float, high: float, scale: float = 1.0) -> str:
    """Return an interval to the digits that its width leaves, such as `[94.1, 94.6]`; a dash where there is none."""
    low = scale * low
    high = scale * high
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    width = high - low
    if width <= 1e-9 * max(abs(low), abs(high), 1e-300):
        return f"[{low:.4g}, {high:.4g}]"
    digits = max(0, 1 - math.floor(math.log10(width)))
    if digits > 6 or max(abs(low), abs(high)) >= 1e6:
        return f"[{low:.2e}, {high:.2e}]"
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def escaped(text: str) -> str:
    """Return a line of text without what Markdown would read as HTML, a link, code or a second line."""
    line = " ".join(text.split())
    return re.sub(r"([\\`<])", r"\\\1", line).replace("](", r"]\(")


def _marked(value: object) -> str:
    return " ".join(str(value).splitlines()).replace("|", r"\|")
