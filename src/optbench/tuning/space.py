"""Search spaces: what an optimizer's config declares, and what the user puts in its place."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optbench.checks import UserError

WIDER = 10.0
"""By how much a range grows where its edge won: a factor, or a share of its length."""


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, on a log or a linear scale.

    Attributes:
        low: Smallest.
        high: Largest.
        log: Whether equal ratios are equally likely.
    """

    low: float
    high: float
    log: bool

    def at(self, share: float) -> float:
        """Return the number at a share of the way from low to high, to four digits."""
        if self.log:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        return float(f"{value:.4g}")

    def share(self, value: float) -> float:
        """Return where a number lies, from 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def wider(self, low: bool) -> "Range":
        """Return the range with more room below its low end, or above its high one."""
        if self.log:
            return Range(self.low / WIDER, self.high, True) if low else Range(self.low, self.high * WIDER, True)
        length = self.high - self.low
        return Range(self.low - length, self.high, False) if low else Range(self.low, self.high + length, False)

    def plain(self) -> dict[str, Any]:
        """Return what a config declares it by."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        values: Words or numbers.
    """

    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """Return the value at a share of the way through them."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def plain(self) -> list[Any]:
        """Return what a config declares it by."""
        return list(self.values)


Axis = Range | Choice
Space = dict[str, Axis]


def axis(owner: str, name: str, given: Any, log: bool | None = None) -> Axis:
    """Return an axis from what a config or the user gives.

    Args:
        owner: Whose it is, for the message.
        name: The hyperparameter, for the message.
        given: `{low, high, log}`, two numbers, or a list of choices.
        log: The scale of two numbers; logarithmic where both are positive if None.

    Raises:
        UserError: It is neither.
    """
    if isinstance(given, Mapping):
        if not {"low", "high"} <= given.keys() <= {"low", "high", "log"}:
            raise UserError(f"{owner}: search.{name} has {', '.join(map(str, given))}; give low, high and log")
        return axis(owner, name, [given["low"], given["high"]], bool(given.get("log", False)))
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) < 1:
        raise UserError(f"{owner}: search.{name}={given!r} is no range; give [low,high], or a list of choices")
    if len(given) != 2 or not all(map(_is_number, given)):
        return Choice(tuple(given))
    low, high = map(float, given)
    scale = low > 0 if log is None else log
    above = 0.0 if scale else -math.inf
    if not above < low < high < math.inf:
        raise UserError(f"{owner}: search.{name}=[{low:g}, {high:g}] is no range; give a low end below the high one")
    return Range(low, high, scale)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def space(owner: str, optimizer: Mapping[str, Any], replaced: Mapping[str, Any]) -> Space:
    """Return the search space of an optimizer.

    Args:
        owner: The optimizer's name, for messages.
        optimizer: Its config, with `search` and the hyperparameters that it has.
        replaced: What the user gives in place of ranges, by dotted name; names that it lacks are left to others.

    Raises:
        UserError: A range is none.
    """
    found = {str(name): axis(owner, str(name), given) for name, given in (optimizer.get("search") or {}).items()}
    for name, given in replaced.items():
        if name in found or _has(optimizer, name):
            old = found.get(name)
            found[name] = axis(owner, name, given, old.log if isinstance(old, Range) else None)
    return found


def replacements(search: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return what the user's `search` replaces, by dotted name: all but the method."""
    flat: dict[str, Any] = {}
    for name, given in search.items():
        dotted = f"{prefix}{name}"
        if dotted == "method":
            continue
        if isinstance(given, Mapping) and not {"low", "high"} <= given.keys():
            flat |= replacements(given, f"{dotted}.")
        else:
            flat[dotted] = given
    return flat


def _has(node: Any, name: str) -> bool:
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True
