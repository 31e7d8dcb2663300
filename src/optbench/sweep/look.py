"""The look at cells with classes of others before a sweep begins: in a process, which they may end or hang."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.utils import setup_globals
from omegaconf import OmegaConf

from optbench import configs, processes
from optbench.checks import UserError
from optbench.sweep.compose import Cell
from optbench.training.run import validate

OURS = ("optbench.", "torch.", "lightning.", "sklearn.")
"""How the names of classes begin that neither end a process nor hang it."""

MINUTES = 5.0
"""Time that a look may take where `timeout` says nothing; data of others may have to be loaded."""


def foreign(cell: Cell) -> bool:
    """Return whether a cell names a class of others, at any depth."""
    return any(not str(target).startswith(OURS) for target in _targets(OmegaConf.to_container(cell.task)))


def _targets(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        yield from [tree["_target_"]] if "_target_" in tree else []
        tree = list(tree.values())
    if isinstance(tree, list):
        for value in tree:
            yield from _targets(value)


def look(cells: Sequence[Cell]) -> str | None:
    """Return what is wrong with the first of some cells that are wrong, or None.

    An error that is none of the user's settings is left to the run, which will meet it too and say why it failed.
    """
    setup_globals()
    for cell in cells:
        config = cell.config
        configs.enter(config)
        try:
            validate(config)
        except UserError as error:
            return str(error)
        except (Exception, SystemExit):
            continue
    return None


def suspects(cells: Sequence[Cell], side_by_side: int = 1) -> set[int]:
    """Return the places of the cells whose parts ended or hung the process that looked at them.

    Args:
        cells: All with classes of others.
        side_by_side: How many may be looked at together, should it come to a process each.

    Raises:
        UserError: One of them is wrong.
    """
    found: set[int] = set()
    together, alone = [list(cells)], [[cell] for cell in cells]
    for groups in (together, alone):
        seconds = [60 * float(group[0].task.get("timeout") or MINUTES) for group in groups]
        found = set()
        for i, told in processes.side_by_side(look, groups, side_by_side, None, seconds):
            if isinstance(told, ChildProcessError):
                found.add(cells[i].num)
            elif told is not None:
                raise UserError(told)
        if not found:
            break
    return found
