"""Contenders timed in turns, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Time:
    """Seconds of one contender, round by round, or how they compare with another's.

    Attributes:
        rounds: The values.
    """

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """What a quarter of the rounds lies below, and what a quarter lies above."""
        many = self.rounds if len(self.rounds) > 1 else 2 * self.rounds
        low, _, high = statistics.quantiles(many, n=4, method="inclusive")
        return low, high

    def over(self, other: "Time") -> "Time":
        """Return the ratios to another contender of the same race."""
        return Time(tuple(a / b for a, b in zip(self.rounds, other.rounds, strict=True)))


def race(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Time]:
    """Let every contender run once a round.

    Args:
        contenders: What to time, by name; one that returns a float has timed itself, in seconds.
        rounds: How often; a first, uncounted round warms up. Of no rounds that first one is all there is.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):
        for name, contender in contenders.items():
            start = time.perf_counter()
            own = contender()
            elapsed = own if isinstance(own, float) else time.perf_counter() - start
            if i or not rounds:
                seconds[name].append(elapsed)
    return {name: Time(tuple(values)) for name, values in seconds.items()}
