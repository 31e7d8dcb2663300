"""The look at cells with classes of others before a sweep begins: in a process, which they may end or hang."""

import json
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from hydra.core.utils import setup_globals

from optbench import configs, processes
from optbench.checks import Positive, UserError, check
from optbench.sweep.compose import Cell
from optbench.training.checking import Seed, validate
from optbench.training.trainer import quiet

MINUTES = 5.0
"""Time that a look may take where `timeout` says nothing; data of others may have to be loaded."""


def look(cells: Sequence[Cell]) -> str | None:
    """Return what is wrong with the first of some cells that are wrong, or None.

    An error that is none of the user's settings is left to the run, which will meet it too and say why it failed; an
    exit ends the process that looks.
    """
    setup_globals()
    quiet()
    for cell in cells[:1]:
        configs.enter(cell.config)
    seen: set[str] = set()
    for cell in cells:
        content = but_for_its_seed(cell.task)
        try:
            check("train", "seed", cell.task["seed"], Seed)
            if content not in seen:
                with unharmed():
                    validate(cell.task)
        except UserError as error:
            return str(error)
        except Exception:
            pass
        seen.add(content)
    return None


def but_for_its_seed(task: Mapping[str, Any]) -> str:
    """Return what a cell has in common with those that have another seed: one look will do for all of them."""
    seed = task["seed"]
    data = task.get("data")
    if isinstance(data, Mapping):
        data = {name: value for name, value in data.items() if (name, value) != ("seed", seed)}
    return json.dumps({**task, "seed": 0, "data": data}, default=str)


def suspects(cells: Sequence[Cell], side_by_side: int = 1) -> set[int]:
    """Return the places of the cells whose parts ended or hung the process that looked at them.

    Args:
        cells: All with classes of others.
        side_by_side: How many may be looked at together, should it come to a process each.

    Raises:
        UserError: One of them is wrong.
    """
    found: set[int] = set()
    together = [list(cells)]
    alone = [[cell] for cell in cells]
    for groups in (together, alone):
        limits = [check("train", "timeout", group[0].task.get("timeout"), Positive | None) for group in groups]
        seconds = [60 * (limit or MINUTES) for limit in limits]
        found = set()
        for i, told in processes.side_by_side(look, groups, side_by_side, None, seconds):
            if isinstance(told, ChildProcessError):
                found.add(cells[i].num)
            elif told is not None:
                raise UserError(told)
        if not found:
            break
    return found


@contextmanager
def unharmed() -> Iterator[None]:
    """Undo what code of others does to this process: to its folder, environment, defaults, warnings and signals."""
    folder = os.getcwd()
    environment = dict(os.environ)
    dtype = torch.get_default_dtype()
    mask = os.umask(0)
    os.umask(mask)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os.chdir(folder)
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        os.umask(mask)
        torch.set_default_dtype(dtype)
        for number, handler in handlers.items():
            signal.signal(number, handler)
