"""What has become of the cells of a process that ended: all that a job of a cluster has to know while it waits."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optbench import records


def good(directory: Path) -> bool:
    """Return whether the run of a directory has ended with a result."""
    return (records.status_of(directory) or {}).get("status") in ("done", "diverged")


def raised(directory: Path) -> bool:
    """Return whether the run of a directory failed by an error of its own, rather than being cut off."""
    status = records.status_of(directory) or {}
    return status.get("status") == "failed" and not status.get("cut")


def settle(directories: Sequence[Path], done: Any) -> dict[Path, str]:
    """Close the records of cells whose process died, say so, and return those whose record does not say it."""
    if not isinstance(done, ChildProcessError):
        return {}
    lost = {}
    for directory in directories:
        if good(directory) or raised(directory):
            continue
        reason = f"its process {done}"
        try:
            records.lose(directory, reason, "timed out" if "too long" in reason else "failed")
        except OSError as error:
            reason = f"{reason}; {error.strerror}"
        if not records.ended(directory):
            lost[directory] = f"{reason}; see {directories[0] / 'output.txt'}"
        hint = "; where memory is short, give hydra.launcher.n_jobs=1" if "SIGKILL" in reason else ""
        print(f"optbench: {directory}: {reason}{hint}", file=sys.stderr)
    return lost
