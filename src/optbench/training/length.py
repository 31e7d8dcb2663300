"""How long a run is, in mini-batches: Lightning counts chunks of up to `data.chunk_size` of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from optbench.checks import Count, Index, Interval, UserError, check

Share = Annotated[float, Interval("(0, 1]")]

KINDS: dict[str, Any] = {
    "max_epochs": Count | Literal[-1] | None,
    "min_epochs": Index | None,
    "max_steps": Count | Literal[-1],
    "min_steps": Index | None,
    "limit_train_batches": Count | Share | None,
    "overfit_batches": Index | Share,
    "fast_dev_run": bool | Index,
}
"""The keywords of a trainer that say how long it trains, and their values."""

DEFAULTS = {"max_steps": -1, "overfit_batches": 0, "fast_dev_run": False}
UNTIL_STOPPED = 1000  # epochs of a run that says nothing of its length, as Lightning has it


@dataclass(frozen=True)
class Length:
    """The length of a run.

    Attributes:
        batches: Mini-batches that are trained on in one of Lightning's epochs.
        repeated: Whether they are the same in all epochs.
        steps: Mini-batches in all; None where only time or a callback ends the run.
    """

    batches: int
    repeated: bool
    steps: int | None

    @property
    def epochs(self) -> int | None:
        """Epochs of Lightning's that are begun; None where there is no limit."""
        return None if self.steps is None else -(-self.steps // self.batches)


def measure(trainer: Mapping[str, Any], batches: int) -> Length:
    """Return the length that a trainer's config gives a run.

    Args:
        trainer: The config.
        batches: Mini-batches in an epoch of the data.

    Raises:
        UserError: A value is of a wrong type or out of range, or limits contradict one another.
    """
    given = checked(trainer)
    if given["fast_dev_run"]:
        given |= {"max_epochs": 1, "max_steps": int(given["fast_dev_run"])}
        given["limit_train_batches"] = given["max_steps"]
    repeated = given["overfit_batches"] > 0
    each = _part(given, "overfit_batches" if repeated else "limit_train_batches", batches)
    ended = bool(trainer.get("max_time") or trainer.get("callbacks"))
    length = Length(each, repeated, _steps(given, each, ended))
    _check_least("min_epochs", given["min_epochs"], length.epochs)
    _check_least("min_steps", given["min_steps"], length.steps)
    return length


def checked(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a trainer that say how long it trains, with their defaults.

    Raises:
        UserError: A value is of a wrong type or out of range, or two of them contradict one another.
    """
    given = {name: check("trainer", name, trainer.get(name, DEFAULTS.get(name)), KINDS[name]) for name in KINDS}
    if given["overfit_batches"] and given["limit_train_batches"] is not None:
        raise UserError(
            f"trainer: overfit_batches={given['overfit_batches']} and "
            f"limit_train_batches={given['limit_train_batches']} both say how many mini-batches an epoch has; give one"
        )
    _check_duration(trainer.get("max_time"))
    return given


def _steps(given: Mapping[str, Any], each: int, ended: bool) -> int | None:
    """Return the mini-batches of a run; None where only time or a callback ends it."""
    epochs = given["max_epochs"]
    if epochs is None:
        limited = ended or given["max_steps"] != -1
        epochs = -1 if limited else UNTIL_STOPPED
    limits = [limit for limit in (epochs * each, given["max_steps"]) if limit >= 0]
    if not limits and not ended:
        raise UserError("trainer: max_epochs=-1 never ends; give trainer.max_steps, trainer.max_time or a callback")
    return min(limits, default=None)


def _check_least(name: str, least: int | None, there: int | None) -> None:
    """Raise where a run is to have more epochs or steps than its limits leave it."""
    if least is not None and there is not None and least > there:
        raise UserError(
            f"trainer: {name}={least} is more than the {there} that trainer.max_epochs, max_steps and "
            "limit_train_batches leave; raise them, or give a smaller one"
        )


def _check_duration(given: Any) -> None:
    """Raise where `max_time` is no time that a run can last."""
    if given is None:
        return
    text = re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", given) if isinstance(given, str) else None
    parts = dict(zip(("days", "hours", "minutes", "seconds"), map(int, text.groups()), strict=True)) if text else given
    try:
        lasts = timedelta(**parts) > timedelta()
    except TypeError:
        lasts = False
    if not lasts:
        raise UserError(f"trainer: max_time={given} is no time to train; give DD:HH:MM:SS, or {{minutes: 5}}")


def _part(given: Mapping[str, Any], name: str, batches: int) -> int:
    """Return how many mini-batches of an epoch a number or a share of them is."""
    value = given[name]
    if value is None:
        return batches
    part = int(batches * value) if isinstance(value, float) else min(value, batches)
    if part == 0:
        raise UserError(f"trainer: {name}={value} of {batches} mini-batches is less than one; give a whole number")
    return part
