"""What one job of a cluster trains; it waits without torch, which only the process that trains needs."""

import os
import pickle
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction

from optbench import processes
from optbench.sweep.outcome import settle

if TYPE_CHECKING:
    from optbench.sweep.compose import Cell


class Job:
    """Cells that one job of a cluster trains, in a process of its own, so that signals reach them in order.

    Args:
        context: Hydra's.
        task: What trains a single cell.
        cells: The cells; several are one stack.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, cells: Sequence["Cell"]) -> None:
        from optbench.sweep.work import limit

        # kept as bytes: only the process that trains may unpickle Hydra's plugins, which it loads anew
        self.payload = cloudpickle.dumps((Singleton.get_state(), context, task, list(cells)))
        self.directories = [cell.directory.absolute() for cell in cells]
        self.seconds = limit(cells)
        self.workers: list[Any] = []

    def __call__(self) -> str:
        """Train the cells, and return how they ended."""
        signal.signal(signal.SIGTERM, self._end)  # what ends the job tells its process too, which saves its state
        outputs = [self.directories[0] / "output.txt"]
        with outside_of_slurm():
            limits = [self.seconds]
            for _, done in processes.side_by_side(unpack, [self.payload], 1, outputs, limits, self.workers):
                settle(self.directories, done)
        return "ended"

    def _end(self, number: int, frame: Any) -> None:
        processes.end(self.workers, "its job was cancelled or preempted")
        os._exit(128 + number)

    def checkpoint(self) -> Any:
        """Let the cells save their state, and return what submitit is to submit again."""
        import submitit

        processes.end(self.workers, "its job ran out of time, and is submitted again")
        self.workers = []
        return submitit.helpers.DelayedSubmission(self)


def unpack(payload: bytes) -> str | None:
    """Train the cells that a job brought along."""
    globals_, context, task, cells = pickle.loads(payload)  # the submitter's own, by way of submitit
    Singleton.set_state(globals_)
    from optbench.sweep.work import execute

    return execute(context, task, {}, cells)


@contextmanager
def outside_of_slurm() -> Iterator[None]:
    """Hide SLURM from what is started meanwhile: Lightning would take signals and ranks from it that are ours."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("SLURM_", "SUBMITIT_"))}
    try:
        yield
    finally:
        os.environ.update(hidden)
