"""Learning-rate schedules: pure functions of the time `t`, from 0, and of the learning rate `eta0` that they shape.

`t` counts steps or epochs. A config says which in its `unit`, which is no argument of the function: whoever builds the
schedule takes it out, calls `schedule(t, eta0)` with `t` in that unit, and fills in a missing `total`, the length of
the run in the same unit. All of them raise a `UserError` where a value is of the wrong type or out of its range.
"""

import functools
import inspect
import itertools
import math
from bisect import bisect
from collections.abc import Callable
from typing import Literal

from optbench.checks import Count, Fraction, Index, Positive, Rate, UserError, checked

Schedule = Callable[..., float]


def constant(t: float, eta0: float) -> float:
    """Return eta0."""
    return eta0


@checked
def piecewise(t: float, eta0: float, boundaries: tuple[Rate, ...], values: tuple[Rate, ...] | None = None) -> float:
    """Return the i-th value from the i-th boundary on.

    Args:
        t: Time.
        eta0: The first value where no values are given; each later one is then a tenth of the one before.
        boundaries: Increasing times at which the value changes.
        values: Learning rates, one more than there are boundaries.
    """
    if any(b <= a for a, b in itertools.pairwise(boundaries)):
        raise UserError(f"piecewise: boundaries={list(boundaries)} do not increase")
    if values is None:
        return eta0 * math.pow(0.1, bisect(boundaries, t))
    if len(values) != len(boundaries) + 1:
        raise UserError(f"piecewise: values={list(values)} are not one more than boundaries={list(boundaries)}")
    return float(values[bisect(boundaries, t)])


@checked
def exponential(t: float, eta0: float, rate: Rate = 0.1) -> float:
    """Return eta0 exp(-rate t)."""
    return eta0 * math.exp(-rate * t)


@checked
def polynomial(t: float, eta0: float, beta: Rate = 0.1, alpha: Rate = 0.5) -> float:
    """Return eta0 (1 + beta t)^-alpha."""
    return eta0 * math.pow(1 + beta * t, -alpha)


@checked
def polynomial_to_zero(t: float, eta0: float, power: Positive = 1.0, total: Count | None = None) -> float:
    """Return eta0 (1 - t / total)^power, and 0 after the end; power 1 is a straight line."""
    return eta0 * math.pow(1 - min(t / _length("polynomial_to_zero", total), 1), power)


@checked
def cyclic(
    t: float,
    eta0: float,
    half_cycle: Count = 200,
    floor: Fraction = 0.25,
    form: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Fraction = 0.999,
) -> float:
    """Return a line that rises from floor eta0 to eta0 and falls again, over and over.

    Args:
        t: Time.
        eta0: Learning rate at the first peak.
        half_cycle: Time from a trough to the next peak.
        floor: Learning rate in the troughs, as a share of eta0.
        form: Whether all peaks are alike, halve their height with each cycle, or shrink by gamma^t.
        gamma: Base of `exp_range`, which no other form has.

    References:
        Smith, Cyclical Learning Rates for Training Neural Networks, 2017, https://arxiv.org/abs/1506.01186
    """
    if gamma != 0.999 and form != "exp_range":
        raise UserError(f"cyclic: gamma={gamma} is of form=exp_range, and this is {form}; leave it out")
    cycle, x = divmod(t / half_cycle, 2)
    height = {"triangular": 1, "triangular2": 0.5**cycle, "exp_range": gamma**t}[form]
    return eta0 * _line(floor, 1, height * (1 - abs(x - 1)))


@checked
def cosine(
    t: float,
    eta0: float,
    floor: Fraction = 0.0,
    period: Count | None = None,
    growth: Count = 1,
    total: Count | None = None,
) -> float:
    """Return half a cosine wave from eta0 down to floor eta0, with warm restarts where a period is given.

    Args:
        t: Time.
        eta0: Learning rate at the start.
        floor: Learning rate at the end, as a share of eta0.
        period: Time to the first restart; None for one wave over the whole run.
        growth: How many times as long as the one before each period is; of a schedule with a period.
        total: Length of the run; not needed where a period is given.

    References:
        Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017,
        https://arxiv.org/abs/1608.03983
    """
    if period is None and growth != 1:
        raise UserError(f"cosine: growth={growth} is of periods, and there is none; give schedule.period=<time> too")
    if period is None:
        return eta0 * _wave(1, floor, min(t / _length("cosine", total), 1))
    while growth > 1 and t >= period:
        t = t - period
        period = period * growth
    return eta0 * _wave(1, floor, t % period / period)


@checked
def one_cycle(
    t: float,
    eta0: float,
    rise: Fraction = 0.3,
    start: Fraction = 0.04,
    end: Fraction = 4e-6,
    form: Literal["cosine", "linear"] = "cosine",
    total: Count | None = None,
) -> float:
    """Return one rise from start eta0 to eta0 and one fall to end eta0, at the last time of the run, total - 1.

    Args:
        t: Time.
        eta0: Learning rate at the peak.
        rise: Share of the run that the rise takes.
        start: Learning rate at the start, as a share of eta0.
        end: Learning rate at the end, as a share of eta0.
        form: Shape of both flanks.
        total: Length of the run.

    References:
        Smith & Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2018,
        https://arxiv.org/abs/1708.07120
    """
    flank = _wave if form == "cosine" else _line
    length = _length("one_cycle", total)
    peak = rise * length - 1
    last = length - 1
    if t < peak:
        return eta0 * flank(start, 1, t / peak)
    return eta0 * flank(1, end, min((t - peak) / (last - peak), 1)) if peak < last else eta0


@checked
def warmup(
    t: float,
    eta0: float,
    steps: Index = 100,
    start: Fraction = 0.01,
    then: Schedule = constant,
    total: Count | None = None,
) -> float:
    """Return a line from start eta0 to eta0, and after it another schedule, whose time starts there.

    Args:
        t: Time.
        eta0: Learning rate at the end of the line.
        steps: Length of the line, in the unit of t.
        start: Learning rate at the start, as a share of eta0.
        then: The schedule that follows.
        total: Length of the run; what is left of it is the other schedule's.

    References:
        Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017,
        https://arxiv.org/abs/1706.02677
    """
    left = {"total": max(total - steps, 1)} if total is not None and _lacks_total(then) else {}
    later = then(max(t - steps, 0), eta0, **left)  # asked during the line too: it refuses bad values at once
    return eta0 * _line(start, 1, t / steps) if t < steps else later


@checked
def wsd(
    t: float,
    eta0: float,
    warm: Fraction = 0.05,
    decay: Fraction = 0.2,
    floor: Fraction = 0.0,
    form: Literal["linear", "sqrt", "squared"] = "sqrt",
    total: Count | None = None,
) -> float:
    """Return a warm-up, a long stay at eta0 and a decay to floor eta0 at the end of the run.

    Args:
        t: Time.
        eta0: Learning rate of the stay.
        warm: Share of the run that the warm-up takes.
        decay: Share of the run that the decay takes.
        floor: Learning rate at the end, as a share of eta0.
        form: Shape of the decay: 1 - x, 1 - sqrt(x) or 1 - x^2.
        total: Length of the run.

    References:
        Hu et al., MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies, 2024,
        https://arxiv.org/abs/2404.06395
        Haegele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, 2024,
        https://arxiv.org/abs/2405.18392
    """
    if warm + decay > 1:
        raise UserError(f"wsd: warm={warm} and decay={decay} are more than the whole run; give a sum of at most 1")
    length = _length("wsd", total)
    steps = round(warm * length)
    begin = (1 - decay) * length
    if t < steps:
        return warmup(t, eta0, steps)
    x = min((t - begin) / (length - begin), 1) if t > begin else 0.0
    return eta0 * _line(1, floor, x ** {"linear": 1, "sqrt": 0.5, "squared": 2}[form])


def _length(name: str, total: int | None) -> int:
    if total is None:
        raise UserError(f"{name}: total is missing; give schedule.total=<number of steps or epochs of the run>")
    return total


@functools.cache
def _lacks_total(schedule: Schedule) -> bool:
    total = inspect.signature(schedule).parameters.get("total")
    return total is not None and total.default is None


def _line(a: float, b: float, x: float) -> float:
    return a + (b - a) * x


def _wave(a: float, b: float, x: float) -> float:
    return b + (a - b) * (1 + math.cos(math.pi * x)) / 2
