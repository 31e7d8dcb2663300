"""A stranger's values in a line of ours."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optbench.checks import UserError, one_line


def short(value: Any) -> str:
    """Return a stranger's value as one short line."""
    text = value if isinstance(value, str) and value.isprintable() and value else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def path_line(path: Path) -> str:
    """Return a path as one line."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def line(error: BaseException) -> str:
    """Return what an error says as one line."""
    return one_line(error)[:200] or type(error).__name__


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file of a run into a `UserError` that says that the run is damaged."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path_line(path.parent)} is damaged: {error}") from None
    except Exception as error:  # pandas, zip and npy raise whatever they meet
        raise UserError(f"{path_line(path.parent)} is damaged: {path.name}: {line(error)}") from None


def harmless(tree: Any) -> Any:
    """Return a stranger's plain values with texts that no terminal acts on: what is not printable is escaped.

    Raises:
        ValueError: A whole number has more than 64 bits; no table and no figure could show it.
    """
    if isinstance(tree, int) and abs(tree) >= 2**63:
        raise ValueError("a whole number has more than 64 bits")
    if isinstance(tree, str):
        text = tree if tree.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in tree)
        return sys.intern(text)  # the runs of a sweep have most of their texts in common
    if isinstance(tree, dict):
        return {harmless(key): harmless(value) for key, value in tree.items()}
    return [harmless(value) for value in tree] if isinstance(tree, list) else tree
