"""What in a config is not ours: classes of others and files of the user's, and which versions of them a run has."""

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from optbench.configs.known import GROUPS

OURS = ("optbench.", "torch.", "lightning.", "sklearn.")
"""How the names of classes begin that keep what they promise, and neither end a process nor hang it."""


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the plain values of a config at any depth, each with the key that it, or its list, stands at."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from leaves(value, str(name))
    elif isinstance(tree, list):
        for value in tree:
            yield from leaves(value, key)
    else:
        yield key, tree


def targets_in(tree: Any) -> list[str]:
    """Return the targets that a config names, at any depth."""
    return [str(value) for key, value in leaves(tree) if key == "_target_"]


def foreign(tree: Any) -> list[str]:
    """Return the classes and functions of others that a config names, at any depth."""
    return [target for target in targets_in(tree) if not target.startswith(OURS)]


def content(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells versions of a run's foreign parts apart, by group; nothing of a group that has none.

    It is a hash of the files that the group names, and of the modules in which its classes of others stand.

    Args:
        config: As plain values.
    """
    found = {}
    for group in (*GROUPS, "trainer"):
        part = config.get(group)
        named = [value for key, value in leaves(part) if key != "_target_" and isinstance(value, str)]
        files = [*map(os.path.expanduser, named), *map(source, foreign(part))]
        digests = [_digest(file, os.stat(file).st_mtime_ns) for file in files if os.path.isfile(file)]
        if digests:
            found[group] = hashlib.sha256("".join(digests).encode()).hexdigest()[:8]
    return found


def source(target: str) -> str:
    """Return the file of the module in which a class stands, which is not imported; nothing where none is found."""
    file = ""
    places = None
    for name in target.split("."):
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            break
        file = spec.origin or ""
        places = spec.submodule_search_locations
        if places is None:
            break
    return file


@functools.lru_cache(64)
def _digest(file: str, changed: int) -> str:
    """Return the hash of a file, which is not read again before it has changed."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
