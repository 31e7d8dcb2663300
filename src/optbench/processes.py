"""Work side by side, in processes forked from a server that has imported what they need, and shares it with them."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, cast

from optbench.checks import Count, UserError, check, one_line

T = TypeVar("T")
R = TypeVar("R")


HEAVY = ["optbench.sweep.stacked", "torch.utils.tensorboard", "torch._dynamo"]
"""What a training takes seconds to import; the last one with its optimizer's first step."""

COMPILER = ["torch._inductor.compile_fx"]
"""What finding a compiled step takes another second to import."""

OUTPUT = 2**20
"""Bytes of what a process prints that are kept."""

LATE = 124
"""Exit code of a process that ended itself as its time was up, as of the command `timeout`."""

TRIES = 5
"""Times that the start of a process is tried."""

GRACE = 5.0
"""Seconds that processes have to end once they were told to."""


def count(asked: int, owner: str = "hydra.launcher", name: str = "n_jobs", gpus: bool = True) -> int:
    """Return how many processes are meant: -1 is one a GPU where there are GPUs, or else one a core.

    Args:
        asked: What the user set.
        owner: Whose setting it is, for the message.
        name: What the setting is called there.
        gpus: Whether the work would be done by GPUs.

    Raises:
        UserError: It is neither -1 nor a positive whole number.
    """
    if asked != -1:
        return cast(int, check(owner, name, asked, Count))
    cores = len(os.sched_getaffinity(0))
    if not gpus:
        return cores
    import torch

    return torch.cuda.device_count() or cores


def prepare(modules: Sequence[str] = HEAVY) -> None:
    """Start the server, which imports while its caller does other things.

    It has no threads, and that is what makes it safe to fork: torch starts them with the first backward pass.
    """
    forkserver.set_forkserver_preload(["optbench.garbage", *modules])
    forkserver.ensure_running()


class Worker(Generic[T]):
    """A process at work on an item, in a session of its own: a terminal's Ctrl-C reaches its parent alone.

    Args:
        place: The item's place among all.
        work: What it does.
        item: With what.
        output: File for what it prints; None leaves that to the terminal.
        seconds: Time after which it is killed.
    """

    def __init__(
        self, place: int, work: Callable[[T], Any], item: T, output: Path | None, seconds: float | None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        self.place = place
        self.path = output
        self.answer, its_answer = context.Pipe(duplex=False)
        its_control, self.control = context.Pipe(duplex=False)
        self.printed, its_printed = context.Pipe(duplex=False)
        self.file: BinaryIO | None = None
        self.written = 0
        self.deadline = None if seconds is None else time.monotonic() + seconds
        ends = (its_answer, its_control, its_printed if output else None)
        here = (dict(os.environ), os.getcwd(), list(sys.path))
        self.process = context.Process(target=_answer, args=(*ends, here, work, item))
        self._start()
        for end in (its_answer, its_control, its_printed):
            end.close()
        self.open: list[Any] = [self.answer, self.printed, self.process.sentinel]

    def _start(self) -> None:
        for again in reversed(range(TRIES)):
            try:
                return self.process.start()
            except (EOFError, OSError):  # its server was killed: the next try finds another one
                if not again:
                    raise
                time.sleep(0.1)

    @property
    def lives(self) -> bool:
        """Whether the process is there, whatever has become of its server."""
        return self.process.is_alive() or (self.process.sentinel not in self.open and exists(self.process.pid))

    def told(self, ready: Iterable[Any]) -> Any:
        """Return the result, or a ChildProcessError, or `...` while there is none; keep what was printed."""
        if self.printed in ready:
            self._print()
        if self.answer in ready:
            try:
                return self.answer.recv()
            except (EOFError, OSError):
                return self._ended()
        if self.process.sentinel in ready and exists(self.process.pid):  # its server was killed, and it goes on
            self.open.remove(self.process.sentinel)
        elif self.process.sentinel in ready and not self.answer.poll():
            return self._ended()
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.process.kill()  # nobody has told it to end, so that it would not do so by itself
            return ChildProcessError("was killed, as it took too long")
        return ...

    def _ended(self) -> ChildProcessError:
        self.process.join(GRACE)
        known = self.process.sentinel in self.open
        return ChildProcessError(_end(self.process.exitcode if known else None))

    def _print(self) -> None:
        try:
            text = os.read(self.printed.fileno(), 2**16)
        except OSError:
            text = b""
        if not text:
            self.open.remove(self.printed)
            return
        with suppress(OSError):  # a full disk: what was printed is the least of it
            self._keep(text)

    def _keep(self, text: bytes) -> None:
        if self.path is None or self.written > OUTPUT:
            return
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("wb", buffering=0)
        self.file.write(text[: OUTPUT - self.written])
        self.written += len(text)
        if self.written > OUTPUT:
            self.file.write(b"\noptbench: it printed more, which is not kept\n")

    def drain(self) -> None:
        """Keep what was printed last."""
        end = time.monotonic() + 0.5
        while self.printed in self.open and wait([self.printed], 0) and time.monotonic() < end:
            self._print()

    def tell(self, reason: str) -> None:
        """Ask the process to end, for a reason."""
        with suppress(OSError):
            self.control.send(reason)

    def bury(self) -> None:
        """Make sure that nothing is left of the process and its own children."""
        self.drain()
        with suppress(OSError):
            os.killpg(cast(int, self.process.pid), signal.SIGKILL)
        self.process.kill()
        self.process.join(GRACE)
        for connection in (self.answer, self.control, self.printed):
            connection.close()
        if self.file:
            with suppress(OSError):  # a full disk
                self.file.close()


def side_by_side(
    work: Callable[[T], R],
    items: Sequence[T],
    processes: int,
    outputs: Sequence[Path] | None = None,
    seconds: Sequence[float | None] | None = None,
    running: list[Worker[T]] | None = None,
) -> Iterator[tuple[int, R | ChildProcessError]]:
    """Yield the place of each item and what its work returned, in the order in which they end.

    Each item has a process of its own, in the directory and environment of the caller: what happens in one, even its
    death, happens to no other. Where the caller ends, they are asked to end, and after some seconds made to.

    Args:
        work: A function that can be pickled; `asked_to_end` tells it when it should come to an end.
        items: What it is called with.
        processes: How many may run at a time.
        outputs: Files for what each prints, a MiB at most; None leaves that to the terminal.
        seconds: Time after which each is killed.
        running: Kept up to date with the processes at work, for a caller that has to end them from outside.
    """
    prepare()
    waiting = deque(range(len(items)))
    running = [] if running is None else running
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                i = waiting.popleft()
                output = outputs[i] if outputs else None
                limit = seconds[i] if seconds else None
                try:
                    running.append(Worker(i, work, items[i], output, limit))
                except (EOFError, OSError) as error:
                    yield i, ChildProcessError(f"could not be started: {error}")
            limits = [worker.deadline - time.monotonic() for worker in running if worker.deadline is not None]
            for worker, result in news(running, max(0.0, min(limits)) if limits else None):
                if result is not ...:
                    running.remove(worker)
                    worker.process.join(GRACE)
                    worker.bury()
                    yield worker.place, result
    finally:
        end(running)


def news(workers: Sequence[Worker[T]], seconds: float | None) -> list[tuple[Worker[T], Any]]:
    """Wait for news for so many seconds at most, and return what each worker came to; `...` while it is at work."""
    sources: list[Any] = [source for worker in workers for source in worker.open]
    ready = wait(sources, seconds) if workers else []
    return [(worker, worker.told(ready)) for worker in workers]


def end(workers: Sequence[Worker[T]], reason: str = "interrupted") -> None:
    """End workers: they are told to, and killed after some seconds or where the user insists."""
    try:
        for worker in workers:
            worker.tell(reason)
        limit = time.monotonic() + GRACE
        alive = list(workers)
        while alive and time.monotonic() < limit:
            with suppress(Exception):  # a result that nobody waits for any more
                news(alive, 0.2)
            alive = [worker for worker in alive if worker.lives]
    except KeyboardInterrupt:
        pass
    finally:
        for worker in workers:
            worker.bury()


_wishes: list[Callable[[str], None]] = []
_wish: list[str] = []


def asked_to_end(tell: Callable[[str], None]) -> None:
    """Have a function called, in this process, once its parent asks it to end or is no more.

    Args:
        tell: Called with the reason, from another thread.
    """
    _wishes.append(tell)
    for reason in _wish:
        tell(reason)


def _listen(control: Connection) -> None:
    try:
        reason = control.recv()
    except (EOFError, OSError):
        reason = "the sweep's own process ended"
    _wish.append(reason)
    for tell in list(_wishes):
        tell(reason)
    time.sleep(GRACE)
    os._exit(1)


def _answer(
    answer: Connection,
    control: Connection,
    printed: Connection | None,
    here: tuple[Mapping[str, str], str, Sequence[str]],
    work: Callable[[T], R],
    item: T,
) -> None:
    os.setsid()
    if printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        printed.close()
    environment, folder, path = here
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    threading.Thread(target=_listen, args=(control,), daemon=True).start()
    try:
        answer.send(work(item))
    except SystemExit as error:
        answer.send(ChildProcessError(f"ended by sys.exit({'' if error.code is None else ascii(error.code)})"))
    except BaseException as error:
        if printed:  # a file; the terminal has the one line that its parent says
            traceback.print_exc()
        answer.send(ChildProcessError(_raised(error)))
    answer.close()


def exists(pid: int | None) -> bool:
    """Return whether there is a process of ours with a number."""
    try:
        os.kill(cast(int, pid), 0)
    except OSError:
        return False
    return True


def _raised(error: BaseException) -> str:
    line = one_line(error)
    said = f"ended: {line}" if isinstance(error, UserError) else f"ended by {type(error).__name__}: {line}"
    return said[:500]


def _end(code: int | None) -> str:
    if code is None:
        return "ended without a word"
    if code == LATE:
        return "ended, as it took too long"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
