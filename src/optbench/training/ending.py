"""How a run ends before its time: it is asked to, saves its state, and is made to where it does not listen."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from optbench.processes import LATE
from optbench.records import Record

GRACE = 4.0
"""Seconds that a run has to save its state once it was asked to end."""


class Cut(Exception):
    """A run ends before its time, its state saved as far as it could be.

    Args:
        reason: Why, in one line.
        status: What has become of the run: failed or timed out.
    """

    def __init__(self, reason: str, status: str = "failed") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Ending:
    """Whether a run is to end, which it looks at between chunks of mini-batches.

    One that does not look in time is ended: its records are closed, and the process exits.

    Attributes:
        reason: Why it is to end; empty while it is not.
        status: What is to become of the run then.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.status = "failed"
        self.records: Sequence[Record] = ()

    def ask(self, reason: str, status: str = "failed") -> None:
        """Ask for the end; the first reason counts."""
        if not self.reason:
            self.reason = reason
            self.status = status
            self._after(GRACE, self.enforce)

    def heed(self) -> None:
        """Raise `Cut` if the run is to end."""
        if self.reason:
            raise Cut(self.reason, self.status)

    def enforce(self) -> None:
        """End the process, whatever it is doing; the records go on from their last checkpoints."""
        for record in self.records:
            if record.status["finished"] is None:
                record.finish(self.status, self.reason, cut=True)
        os._exit(LATE if self.status == "timed out" else 1)

    def after(self, minutes: float | None) -> None:
        """Ask for the end when the time is up; never if None."""
        if minutes is not None:
            self._after(60 * minutes, lambda: self.ask(f"longer than timeout={minutes:g} minutes", "timed out"))

    @contextmanager
    def listening(self, names: Sequence[str] = ("SIGTERM",)) -> Iterator[None]:
        """Take signals as wishes to end; a second one of the same kind ends at once."""
        before = {name: signal.signal(getattr(signal, name), self._hear) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        reason = {"SIGINT": "interrupted"}.get(name, name)
        if self.reason == reason:
            self.enforce()
        self.ask(reason)

    @staticmethod
    def _after(seconds: float, call: Callable[[], Any]) -> None:
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        timer.start()
