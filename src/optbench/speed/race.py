"""Contenders timed in turns, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Time:
    """Seconds of one contender: the median over the rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


def race(contenders: Mapping[str, Callable[[], float | None]], rounds: int) -> dict[str, Time]:
    """Let every contender run once a round.

    Args:
        contenders: What to time, by name; one that returns a number has timed itself, in seconds.
        rounds: How often; a first, uncounted round warms up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):
        for name, contender in contenders.items():
            start = time.perf_counter()
            own = contender()
            elapsed = time.perf_counter() - start if own is None else own
            if i:
                seconds[name].append(elapsed)
    times = {}
    for name, values in seconds.items():
        low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        times[name] = Time(median, low, high)
    return times
