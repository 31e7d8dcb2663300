"""The right to write to a run's directory, which the kernel takes back when a process ends."""

import fcntl
import os
import time
from pathlib import Path

from optbench.checks import UserError


class Busy(UserError):
    """Another process is training this run."""


class Lock:
    """The right to write to a run's directory, for as long as the process lives.

    Args:
        directory: The run's; created if missing.
        patience: Seconds to wait for a lock that another holds; a reader's look takes a moment too.

    Raises:
        Busy: Another process holds it.
    """

    def __init__(self, directory: Path, patience: float = 0.5) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(self.file)
                    raise Busy(f"{directory} is being written by another process; wait for its end") from None
                time.sleep(0.02)

    def release(self) -> None:
        """Give the right back."""
        if self.file >= 0:
            os.close(self.file)
        self.file = -1

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.release()


def locked(directory: Path) -> bool:
    """Return whether a process is training the run of a directory at this moment."""
    try:
        file = os.open(directory / ".lock", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
