"""Work side by side, in processes forked from a server that has imported what they need, and shares it with them."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


HEAVY = ["optbench.sweep.module", "torch.utils.tensorboard", "torch._dynamo"]
"""What a training takes seconds to import; the last one with its optimizer's first step."""


def prepare() -> None:
    """Start the server, which imports while its caller does other things.

    It has no threads, and that is what makes it safe to fork: torch starts them with the first backward pass.
    """
    forkserver.set_forkserver_preload(HEAVY)
    forkserver.ensure_running()


def side_by_side(
    work: Callable[[T], R], items: Sequence[T], processes: int
) -> Iterator[tuple[int, R | ChildProcessError]]:
    """Yield the place of each item and what its work returned, in the order in which they end.

    Each item has a process of its own, in the directory and environment of the caller: what happens in one, even its
    death, happens to no other.

    Args:
        work: A function that can be pickled.
        items: What it is called with.
        processes: How many may run at a time; a single one is the caller's own.
    """
    if min(processes, len(items)) == 1:
        yield from ((i, work(item)) for i, item in enumerate(items))
        return
    prepare()
    context = multiprocessing.get_context("forkserver")
    waiting = list(enumerate(items))[::-1]
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    process: BaseProcess
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                i, item = waiting.pop()
                mine, its = context.Pipe(duplex=False)
                process = context.Process(target=_answer, args=(its, dict(os.environ), work, item), daemon=True)
                process.start()
                its.close()
                running[mine] = i, process
            ready = wait(list(running))
            for mine in [connection for connection in running if connection in ready]:
                i, process = running.pop(mine)
                try:
                    result: R | ChildProcessError = mine.recv()
                except EOFError:
                    process.join()
                    result = ChildProcessError(_end(process.exitcode or 0))
                process.join()
                yield i, result
    finally:
        for _, process in running.values():
            process.join()


def _answer(connection: Connection, environment: Mapping[str, str], work: Callable[[T], R], item: T) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with suppress(KeyboardInterrupt):
        connection.send(work(item))


def _end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
