"""What a process of a sweep does: it trains a cell, or several as a stack, and leaves records."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, cast

from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from optbench import configs, processes, records
from optbench.sweep import stacked
from optbench.sweep.compose import Cell
from optbench.sweep.look import unharmed
from optbench.sweep.plan import plan
from optbench.training import run
from optbench.training.ending import Ending


def begun(everything: Sequence[Cell], cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the stacks that were cut off and have runs to go on with, as they were, ended ones included."""
    by_key = {cell.key: cell for cell in everything}
    wanted = {cell.key for cell in cells}
    stacks = []
    for cell in everything:
        keys = stacked.members(cell.directory)
        if len(keys) > 1 and wanted.intersection(keys) and all(key in by_key for key in keys):
            stacks.append([by_key[key] for key in keys])
    return stacks


APART = ("output_subdir", "job.chdir", "job.env_set")
"""What Hydra does for a job of its own, and not for each cell of a stack, where it is asked to."""


def batches(
    cells: Sequence[Cell], everything: Sequence[Cell], side_by_side: int, hydra: DictConfig
) -> tuple[list[list[Cell]], str]:
    """Return the cells that train together, stacks that were begun first, and what to tell the user.

    Args:
        cells: Those to be trained.
        everything: All of the sweep: some that have ended may be passengers of a stack that goes on.
        side_by_side: How many train at a time.
        hydra: The sweep's settings of Hydra.
    """
    stacks = begun(everything, cells)
    going = f"going on with {len(stacks)} stacks of {sum(map(len, stacks))} runs" if stacks else ""
    held = {cell.key for stack in stacks for cell in stack}
    left = [cell for cell in cells if cell.key not in held]
    asked = next((name for name in APART if OmegaConf.select(hydra, name)), None)
    known = [] if asked else [cell for cell in left if not cell.suspect]
    with unharmed():
        planned, line = plan([cell.task for cell in known], side_by_side)
    if asked:
        line = f"one by one: hydra.{asked} is of a job"
    together = [[known[i] for i in batch] for batch in planned]
    alone = [[cell] for cell in left if asked or cell.suspect]
    return [*stacks, *together, *alone], "\n".join(filter(None, (going, line)))


BUSY = "busy"
"""What `execute` returns where other processes train all of its cells."""


def limit(cells: Sequence[Cell]) -> float | None:
    """Return the seconds after which a process that trains cells is killed: it should have ended by itself before."""
    minutes = cells[0].task.get("timeout")
    return None if minutes is None else 60 * float(minutes) * len(cells) + 30


def share(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the data of the cells by their key, in memory that all processes see.

    There is none where the cells differ in it, or such memory is short; then each process loads its own.
    """
    names = {configs.key(config["data"]) for config in tasks}
    if len(names) != 1:
        return {}
    with unharmed():
        data = configs.dataset(tasks[0]["data"])
    try:
        for tensor in chain(*data.splits.values()):
            tensor.share_memory_()
    except RuntimeError:
        return {}
    return {names.pop(): data}


def execute(context: HydraContext, task: TaskFunction, data: Mapping[str, Any], cells: Sequence[Cell]) -> str | None:
    """Train cells in this process: one by the run's own task, several as a stack in which each is a job of its own.

    Args:
        context: Hydra's.
        task: What trains a single cell.
        data: What `share` returned.
        cells: The cells.

    Returns:
        `BUSY` where other processes train all of them.
    """
    setup_globals()
    ending = Ending()
    processes.asked_to_end(ending.ask)
    minutes = cells[0].task.get("timeout")
    ending.after(None if minutes is None else float(minutes) * len(cells))
    opened: list[tuple[DictConfig, records.Record]] = []
    alone: Any = partial(cast(Any, task), loaded=data, ending=ending)
    again = len(cells) > 1 and stacked.members(cells[0].directory) == [cell.key for cell in cells]
    busy = 0
    for cell in cells:
        try:
            if len(cells) == 1:
                by_hydra(context, alone, cell)
            else:
                opened.append(begin(cell, "stack" if again else None))
        except (records.Busy, records.Finished):
            busy += 1
    if opened:
        with ending.listening():
            stacked.train(opened, data, ending)
    return BUSY if busy == len(cells) else None


def by_hydra(context: HydraContext, task: TaskFunction, cell: Cell) -> None:
    """Train a cell as a job of Hydra's."""
    config = cell.config
    configs.enter(config)
    job = run_job(task, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    _ = job.return_value  # raises what the job raised


def begin(cell: Cell, resume: records.Resume | None) -> tuple[DictConfig, records.Record]:
    """Return the config and the record of a cell of a stack.

    They are those of a job of Hydra's, which copies the whole config four times: most of what a small cell took.
    """
    config = cell.config
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.runtime.output_dir = str(cell.directory.absolute())
    configs.enter(config)
    own = OmegaConf.create({name: configs.values(config[name]) for name in config if name != "hydra"})
    return own, run.open_record(own, resume)
