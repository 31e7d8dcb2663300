"""The launcher of `optbench train -m` on one machine."""

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell


class LocalLauncher(Launcher):
    """Runs side by side, each in a process of its own; those that differ in numbers only may train as one stack.

    Args:
        n_jobs: Processes at a time; -1 for one a GPU, or else one a core.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        from optbench.sweep.processes import count

        self.processes = count(n_jobs)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Get ready while the cells are checked."""
        from optbench.sweep import processes

        self.context, self.task, self.sweep = hydra_context, task_function, config
        processes.prepare()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train cells that were not composed yet, for sweepers of others."""
        from optbench.sweep.compose import Composer

        composer = Composer(self.context.config_loader, self.sweep)
        cells = [composer.cell(cell, num) for num, cell in enumerate(job_overrides, initial_job_idx)]
        self.train(cells)
        return [JobReturn(overrides=cell.overrides) for cell in cells]

    def train(self, cells: Sequence["Cell"]) -> dict[Path, str]:
        """Train the cells that need it, and return which of them left no record, and why.

        Those that another sweep is training are left to it; should it end before they do, they are trained here.
        """
        from optbench import records
        from optbench.sweep import ledger

        setup_globals()
        config = self.sweep
        left = ledger.to_do(cells, config.get("rerun"))
        lost: dict[Path, str] = {}
        tried: set[Path] = set()
        while left:
            mine = [cell for cell in left if not records.locked(cell.directory)]
            if mine:
                lost |= self.train_once(mine, cells, tried)
            over = [cell for cell in left if cell.directory in tried or records.ended(cell.directory)]
            if config.get("fail_fast") and any(not good(cell.directory) for cell in over):
                break
            left = [cell for cell in left if cell not in over]
            time.sleep(0.3 if left else 0)
        return lost

    def train_once(self, cells: Sequence["Cell"], everything: Sequence["Cell"], tried: set[Path]) -> dict[Path, str]:
        """Train cells, as stacks where that pays; add those that came to an end here to `tried`.

        Args:
            cells: Those to be trained.
            everything: All of the sweep: some that have ended may be passengers of a stack that goes on.
            tried: Directories of the cells that were tried.
        """
        from optbench.sweep.plan import plan
        from optbench.sweep.processes import side_by_side

        stacks = begun(everything, cells)
        held = {cell.key for stack in stacks for cell in stack}
        left = [cell for cell in cells if cell.key not in held]
        batches, line = plan([cell.task for cell in left], self.processes) if left else ([], "")
        if stacks:
            print(f"going on with {len(stacks)} stacks of {sum(map(len, stacks))} runs")
        if line:
            print(line)
        first = stacks + [[left[j] for j in batch] for batch in batches]
        again: list[Cell] = []
        lost: dict[Path, str] = {}
        work = partial(execute, self.context, self.task, share([cell.task for cell in cells]))
        for stage in (first, None):
            jobs = [[cell] for cell in again] if stage is None else stage
            again = []
            outputs = [job[0].directory / "output.txt" for job in jobs]
            seconds = [limit(job) for job in jobs]
            for i, done in side_by_side(work, jobs, self.processes, outputs, seconds):
                lost |= settle(jobs[i], done)
                for cell in jobs[i]:
                    if len(jobs[i]) > 1 and raised(cell.directory):
                        again.append(cell)
                    elif done != BUSY:
                        tried.add(cell.directory)
                if self.sweep.get("fail_fast") and any(not good(c.directory) for c in jobs[i] if c not in again):
                    return lost
        return lost


def begun(everything: Sequence["Cell"], cells: Sequence["Cell"]) -> list[list["Cell"]]:
    """Return the stacks that were cut off and have runs to go on with, as they were, ended ones included."""
    from optbench.sweep.module import members

    by_key = {cell.key: cell for cell in everything}
    wanted = {cell.key for cell in cells}
    stacks = []
    for cell in everything:
        keys = members(cell.directory)
        if len(keys) > 1 and wanted.intersection(keys) and all(key in by_key for key in keys):
            stacks.append([by_key[key] for key in keys])
    return stacks


BUSY = "busy"
"""What `execute` returns where other processes train all of its cells."""


def limit(cells: Sequence["Cell"]) -> float | None:
    """Return the seconds after which a process that trains cells is killed: it should have ended by itself before."""
    minutes = cells[0].task.get("timeout")
    return None if minutes is None else 60 * float(minutes) * len(cells) + 30


def good(directory: Path) -> bool:
    """Return whether the run of a directory has ended with a result."""
    from optbench import records

    return (records.status_of(directory) or {}).get("status") in ("done", "diverged")


def raised(directory: Path) -> bool:
    """Return whether the run of a directory failed by an error of its own, rather than being cut off."""
    from optbench import records

    status = records.status_of(directory) or {}
    return status.get("status") == "failed" and not status.get("cut")


def settle(cells: Sequence["Cell"], done: Any) -> dict[Path, str]:
    """Close the records of cells whose process died, say so, and return those that have no record at all."""
    from optbench import records

    if not isinstance(done, ChildProcessError):
        return {}
    reason, lost = f"its process {done}", {}
    for cell in cells:
        if good(cell.directory) or raised(cell.directory):
            continue
        try:
            records.lose(cell.directory, reason, "timed out" if "too long" in reason else "failed")
        except OSError as error:
            reason = f"{reason}; {error.strerror}"
        if records.status_of(cell.directory) is None:
            lost[cell.directory] = f"{reason}; see {cells[0].directory / 'output.txt'}"
        hint = "; where memory is short, give hydra.launcher.n_jobs=1" if "SIGKILL" in reason else ""
        print(f"optbench: {cell.directory}: {reason}{hint}", file=sys.stderr)
    return lost


def share(configs: Sequence[DictConfig]) -> dict[str, Any]:
    """Return the data of the cells by their key, in memory that all processes see.

    There is none where the cells differ in it, or such memory is short; then each process loads its own.
    """
    from optbench import configs as made

    names = {made.key(config.data) for config in configs}
    if len(names) > 1:
        return {}
    data = made.dataset(configs[0].data)
    try:
        for tensor in chain(*data.splits.values()):
            tensor.share_memory_()
    except RuntimeError:
        return {}
    return {names.pop(): data}


def execute(context: HydraContext, task: TaskFunction, data: Mapping[str, Any], cells: Sequence["Cell"]) -> str | None:
    """Train cells in this process: one by the run's own task, several as a stack in which each is a job of its own.

    Args:
        context: Hydra's.
        task: What trains a single cell.
        data: What `share` returned.
        cells: The cells.

    Returns:
        `BUSY` where other processes train all of them.
    """
    from optbench import configs, records
    from optbench.sweep import module, processes
    from optbench.training import run
    from optbench.training.ending import Ending

    setup_globals()
    ending = Ending()
    processes.asked_to_end(ending.ask)
    ending.after(None if cells[0].task.get("timeout") is None else float(cells[0].task.timeout) * len(cells))
    opened: list[tuple[DictConfig, records.Record]] = []
    alone: Any = task
    function = partial(alone, loaded=data, ending=ending)

    again = len(cells) > 1 and module.members(cells[0].directory) == [cell.key for cell in cells]

    def begin(config: DictConfig) -> None:
        OmegaConf.resolve(config)
        opened.append((config, run.open_record(config, "stack" if again else None)))

    busy = 0
    for cell in cells:
        configs.enter(cell.config)
        job = run_job(
            function if len(cells) == 1 else begin, cell.config, "hydra.sweep.dir", "hydra.sweep.subdir", context
        )
        try:
            _ = job.return_value
        except (records.Busy, records.Finished):
            busy += 1
    if opened:
        with ending.listening():
            module.train(opened, data, ending)
    return BUSY if busy == len(cells) else None
