"""The launcher of `optbench train -m` on one machine."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell


class LocalLauncher(Launcher):
    """Runs side by side, each in a process of its own; those that differ in numbers only may train as one stack.

    Args:
        n_jobs: Processes at a time; -1 for one a GPU, or else one a core.

    Raises:
        UserError: It is neither -1 nor a positive whole number.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        from optbench.processes import count

        self.processes = count(n_jobs)
        self.auto = n_jobs == -1

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; the command has started the server of the processes by now."""
        self.context = hydra_context
        self.task = task_function
        self.sweep = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train cells that were not composed yet, for sweepers of others."""
        from optbench.sweep.compose import Composer

        composer = Composer(self.context.config_loader, self.sweep)
        cells = [composer.cell(cell, num) for num, cell in enumerate(job_overrides, initial_job_idx)]
        self.train(cells)
        return [returned(cell) for cell in cells]

    def train(self, cells: Sequence["Cell"]) -> dict[Path, str]:
        """Train the cells that need it, and return which of them left no record, and why.

        Those that another sweep is training are left to it; should it end before they do, they are trained here.
        """
        from optbench import records
        from optbench.sweep import ledger
        from optbench.sweep.outcome import good

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
            passed = {cell.key for cell in over}
            left = [cell for cell in left if cell.key not in passed]
            time.sleep(0.3 if left else 0)
        return lost

    def train_once(self, cells: Sequence["Cell"], everything: Sequence["Cell"], tried: set[Path]) -> dict[Path, str]:
        """Train cells, as stacks where that pays; add those that came to an end here to `tried`.

        Args:
            cells: Those to be trained.
            everything: All of the sweep: some that have ended may be passengers of a stack that goes on.
            tried: Directories of the cells that were tried.
        """
        from optbench.processes import side_by_side
        from optbench.sweep.outcome import good, raised, settle
        from optbench.sweep.work import BUSY, batches, execute, limit, share
        from optbench.training.trainer import processes

        waiting, line = batches(cells, everything, self.processes, self.sweep.hydra)
        if line:
            print(line)
        of_a_run = max(processes(cell.task["trainer"]) for cell in cells) if self.auto else 1
        at_a_time = max(1, self.processes // of_a_run)
        work = partial(execute, self.context, self.task, share([cell.task for cell in cells if not cell.suspect]))
        lost: dict[Path, str] = {}
        while waiting:
            again: list[Cell] = []  # of a stack: they are tried once more, each alone
            outputs = [job[0].directory / "output.txt" for job in waiting]
            seconds = [limit(job) for job in waiting]
            for i, done in side_by_side(work, waiting, at_a_time, outputs, seconds):
                job = waiting[i]
                lost |= settle([cell.directory for cell in job], done)
                failed = [cell for cell in job if len(job) > 1 and raised(cell.directory)]
                over = [cell for cell in job if cell not in failed]
                again += failed
                if done != BUSY:
                    tried.update(cell.directory for cell in over)
                if self.sweep.get("fail_fast") and not all(good(cell.directory) for cell in over):
                    return lost
            waiting = [[cell] for cell in again]
        return lost


def returned(cell: "Cell") -> JobReturn:
    """Return what Hydra is to know of a cell that was trained: nothing, or why it failed."""
    from hydra_plugins.optbench_sweeper import failed
    from optbench.checks import UserError

    reason = failed(cell.directory)
    job = JobReturn(overrides=cell.overrides, status=JobStatus.FAILED if reason else JobStatus.COMPLETED)
    job.return_value = UserError(f"{cell.directory}: {reason}") if reason else None
    return job
