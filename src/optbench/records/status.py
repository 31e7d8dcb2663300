"""What has become of a run: status.json."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from optbench.checks import UserError
from optbench.records.files import bytes_of, write
from optbench.records.lock import locked
from optbench.records.words import harmless, short

STATUSES = ("done", "diverged", "failed", "timed out", "running", "stale", "waiting", "missing")
"""What can have become of a run. Stale: cut off without a word; waiting: a cell of a sweep that has not begun yet;
missing: one that an older sweep lacks."""

ENDS = ("done", "diverged", "failed", "timed out")
"""The statuses that a run writes when it ends; the first two are results."""

Rerun = Literal["failed", "all"]
"""Which runs that have ended are to start anew: all that brought no result and those that diverged, or all."""

STATUS = {"status": str, "reason": str, "seed": int, "command": str, "overrides": list}
"""What every status.json holds, and of which type."""


def check_status(status: Any) -> None:
    """Raise a `UserError` where a status is not what `Record` writes."""
    if not isinstance(status, dict):
        raise UserError("status.json is no object")
    for name, kind in STATUS.items():
        if type(status.get(name)) is not kind:
            raise UserError(f"status.json: {name}={short(status.get(name))} is no {kind.__name__}")
    if not all(type(override) is str for override in status["overrides"]):
        raise UserError("status.json: overrides are no words")
    if status["status"] not in STATUSES:
        raise UserError(f"status.json: status={short(status['status'])} is none of {', '.join(STATUSES)}")
    if type(status.get("stacked", 1)) is not int:
        raise UserError(f"status.json: stacked={short(status['stacked'])} is no int")
    files = status.setdefault("files", {})
    if not (isinstance(files, dict) and all(isinstance(promise, dict) for promise in files.values())):
        raise UserError("status.json: files is no object of objects")
    if not files:
        del status["files"]


def parsed(content: bytes) -> Any:
    """Return what a file in JSON says, in texts that no terminal acts on.

    Raises:
        ValueError: It is none, or an object of it has a name twice.
    """
    return harmless(json.loads(content, object_pairs_hook=_object))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def status_of(directory: Path) -> dict[str, Any] | None:
    """Return the status of a directory's run, or None where there is none that can be read."""
    try:
        status = parsed(bytes_of(directory / "status.json"))
    except (OSError, ValueError, RecursionError):
        return None
    return status if isinstance(status, dict) else None


def anew(directory: Path, rerun: Rerun | None) -> bool:
    """Return whether the run of a directory has ended in a way that is to be started anew."""
    asked = {None: (), "failed": ("failed", "timed out", "diverged"), "all": ENDS}[rerun]
    return (status_of(directory) or {}).get("status") in asked


def ended(directory: Path) -> bool:
    """Return whether the run of a directory has come to its end, whichever it was."""
    status = status_of(directory)
    return status is not None and status.get("finished") is not None


def resumable(directory: Path, status: Mapping[str, Any]) -> bool:
    """Return whether a run that did not come to its end left a checkpoint to go on from."""
    cut = status.get("status") == "running" or status.get("cut", False)
    return bool(cut) and (directory / "checkpoint.ckpt").is_file()


def lose(directory: Path, reason: str, status: str = "failed") -> None:
    """Close the run of a directory if it began, and its process ended before it."""
    known = status_of(directory)
    if known is not None and known.get("finished") is None:
        known |= {"status": status, "reason": reason, "finished": now(), "cut": True}
        write(directory / "status.json", json.dumps(known, indent=2) + "\n")


def unended(directory: Path, status: Mapping[str, Any]) -> str:
    """Return in words since when and where a run that has not ended has been running, or when it was last seen."""
    machine = status.get("machine")
    host = machine.get("name", "?") if isinstance(machine, Mapping) else "?"
    if locked(directory):
        return f"since {short(status.get('started'))} on {short(host)}"
    return f"cut off; begun {short(status.get('started'))} on {short(host)}"


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
