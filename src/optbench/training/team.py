"""A run on several devices: processes that share each mini-batch, sum its gradients, and leave the record of one.

The run's own process is the first of them and starts the others. Each draws the same mini-batches, evaluates its share
of every one, and takes the same step by the gradient of the whole; so the result is that of one process but for
rounding. What has to be decided, such as when a state is saved, the first one decides for all.
"""

import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn
from torch._C._distributed_c10d import FileStore

from optbench.checks import UserError, one_line
from optbench.processes import Worker, news, prepare
from optbench.training.ending import GRACE, Cut, Ending

PRELOADED = ["optbench.training.member", "optbench.training.run", "torch.utils.tensorboard", "torch._dynamo"]
"""What the other processes take seconds to import."""


@dataclass(frozen=True)
class Team:
    """One process among those that share a run.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
    """

    rank: int
    size: int

    @contextmanager
    def connected(self, store: str) -> Iterator[None]:
        """Connect it to the others, by way of a file that all of them name."""
        rank_zero_only.rank = self.rank  # type: ignore[attr-defined]
        dist.init_process_group(store=FileStore(store, self.size), rank=self.rank, world_size=self.size)
        try:
            yield
        finally:
            with suppress(RuntimeError):  # another one is gone
                dist.destroy_process_group()

    def share(self, samples: int) -> tuple[slice, float]:
        """Return the rows of a batch that are this process's, and their weight in its mean.

        One without any takes the first with a weight of 0, so that all have a graph of the same parameters.
        """
        start, stop = (samples * rank // self.size for rank in (self.rank, self.rank + 1))
        return (slice(start, stop), (stop - start) / samples) if start < stop else (slice(0, 1), 0.0)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors over the processes, in place and in one message."""
        if not tensors:
            return
        whole = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(whole)
        for tensor, part in zip(tensors, torch.split(whole, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def decided(self, wish: bool) -> bool:
        """Return what the first process wishes."""
        word = torch.tensor([wish], dtype=torch.uint8)
        dist.broadcast(word, 0)
        return bool(word)

    def align(self, model: nn.Module, data: Any) -> None:
        """Give all processes the weights of the first one, which lie in the CPU's memory.

        Raises:
            UserError: They have other data.
        """
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)
        lowest = torch.stack([part.double().sum().cpu() for part in data.split("train")])
        highest = lowest.clone()
        dist.all_reduce(lowest, dist.ReduceOp.MIN)
        dist.all_reduce(highest, dist.ReduceOp.MAX)
        if not torch.equal(lowest, highest):
            raise UserError(
                f"data: {type(data).__name__} loads other samples in each process; draw them by a seed of their own, "
                "or give trainer.devices=1"
            )


class Watch:
    """Looks after the other processes of a run, in a thread: the run ends with any of them.

    Args:
        workers: The processes.
        ending: What asks the run to end.

    Attributes:
        lost: What has become of the first one that was lost; empty while none is.
    """

    def __init__(self, workers: Sequence[Worker[Any]], ending: Ending) -> None:
        self.workers = list(workers)
        self.ending = ending
        self.lost = ""
        self.gone = threading.Event()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while self.workers and not self.over.is_set():
            told = news(self.workers, 0.2)
            self.workers = [worker for worker, result in told if result is ...]
            for worker, result in told:
                if isinstance(result, ChildProcessError) and not self.lost:
                    self.lost = f"process {worker.place} of the run {result}"
                    self.gone.set()
        if self.lost and not self.over.wait(GRACE):  # the run waits for it, and does not notice
            print(f"optbench: {self.lost}", file=sys.stderr)
            self.ending.ask(self.lost)
            self.ending.enforce()

    def stop(self) -> None:
        """Look after them no more."""
        self.over.set()
        self.thread.join()


@contextmanager
def together(
    size: int, work: Callable[[Any], None], item: Callable[[Team, str], Any], directory: Path, ending: Ending
) -> Iterator[Team]:
    """Start the other processes of a run, and give the place of this one among them.

    Args:
        size: How many they are with this one.
        work: What each of them does.
        item: Makes what it is called with, of its place and the file that connects them.
        directory: Of the run; what the others print is kept there.
        ending: What asks the run to end.

    Raises:
        Cut: One of them was lost, and the run with it.
    """
    prepare(PRELOADED)
    with tempfile.TemporaryDirectory(prefix="optbench") as folder:
        store = f"{folder}/store"
        workers = [
            Worker(rank, work, item(Team(rank, size), store), directory / f"output_{rank}.txt", None)
            for rank in range(1, size)
        ]
        watch = Watch(workers, ending)
        try:
            with Team(0, size).connected(store):
                yield Team(0, size)
        except Cut:
            raise
        except Exception as error:
            watch.gone.wait(1.0)
            own = f"{type(error).__name__}: {one_line(error)}"
            if watch.lost and not watch.lost.endswith(own):
                raise Cut(watch.lost) from error
            raise
        finally:
            watch.stop()
            for worker in workers:
                worker.bury()
