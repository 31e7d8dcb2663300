"""Searches along a line, for the methods that move all parameters at once."""

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from optbench.optimizers.flat import Function


class Point(NamedTuple):
    """A point on a line: how far along it is, the loss, its slope along the line, and its gradient."""

    t: float
    loss: float
    slope: float
    gradient: Tensor


Line = Callable[[float], Point]


def along(f: Function, x: Tensor, d: Tensor) -> Line:
    """Return the points x + t d of a function; one whose loss is not finite counts as infinitely high and steep."""

    def point(t: float) -> Point:
        loss, gradient = f(x + t * d)
        finite = math.isfinite(loss)
        return Point(t, loss if finite else math.inf, float(gradient @ d) if finite else math.inf, gradient)

    return point


def exact(line: Line, start: Point, t: float, tolerance: float, limit: int = 100) -> Point:
    """Return the minimum in the first interval that doubling the step finds, by the Illinois form of false position.

    Args:
        line: The line.
        start: Its point at 0, where it falls.
        t: First step.
        tolerance: Slope at which to stop, as a share of the first.
        limit: Evaluations at most, to find the interval and again to find the minimum.
    """

    def beyond(point: Point) -> bool:
        """Whether a minimum lies between `low` and the point: it rises there, or has passed a hump."""
        return point.slope >= 0 or point.loss > low.loss + 1e-10 * abs(low.loss)

    low, high = start, line(t)
    for _ in range(limit):
        if beyond(high):
            break
        low, high = high, line(2 * high.t)
    best, a, b, side = high, low.slope, high.slope, 0
    for _ in range(limit):
        t = low.t + (high.t - low.t) * (a / (a - b) if 0 <= b < math.inf else 0.5)
        if abs(best.slope) <= -tolerance * start.slope or not low.t < t < high.t:
            break
        point = line(t)
        if beyond(point):
            high, a, b, side = point, a / 2 if side > 0 else a, point.slope, 1
        else:
            low, a, b, side = point, point.slope, b / 2 if side < 0 else b, -1
        best = min(low, high, key=lambda point: abs(point.slope)) if 0 <= high.slope < math.inf and low.t else point
    return best


def strong_wolfe(line: Line, start: Point, t: float, share: float, longest: float = math.inf, limit: int = 25) -> Point:
    """Return a point that meets the strong Wolfe conditions or, after `limit` evaluations, the lowest one.

    Brackets and zooms by cubic interpolation, as Schmidt's minFunc and torch.optim.LBFGS do.

    Args:
        line: The line.
        start: Its point at 0, where it falls.
        t: First step.
        share: How much of the first slope may be left.
        longest: Longest step; it is taken where the line still falls there.
        limit: Evaluations at most, after the first.

    References:
        Nocedal & Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6, https://doi.org/10.1007/978-0-387-40065-5
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + 1e-4 * point.t * start.slope

    tries, previous, point = 0, start, line(t)
    while tries < limit and not (too_high(point) or (tries > 1 and point.loss >= previous.loss)):
        if abs(point.slope) <= -share * start.slope or (point.slope < 0 and point.t >= longest):
            return point
        if point.slope >= 0:
            break
        t = cubic(previous, point, point.t + 0.01 * (point.t - previous.t), min(10 * point.t, longest))
        tries, previous, point = tries + 1, point, line(t)
    low, high = sorted((previous, point), key=lambda point: point.loss)
    stuck = False
    while tries < limit and low.t != high.t:
        left, right = sorted((low.t, high.t))
        t, margin = cubic(low, high, left, right), 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or not left < t < right):
            t, near = right - margin if right - t < t - left else left + margin, False
        tries, stuck, point = tries + 1, near, line(t)
        if too_high(point) or point.loss >= low.loss:
            low, high = sorted((low, point), key=lambda point: point.loss)
        elif abs(point.slope) <= -share * start.slope:
            return point
        else:
            low, high = point, low if point.slope * (high.t - low.t) >= 0 else high
    return low


def cubic(one: Point, other: Point, low: float, high: float) -> float:
    """Return the minimum between two bounds of the cubic through two points, or their middle where it has none."""
    one, other = sorted((one, other), key=lambda point: point.t)
    width = other.t - one.t
    a = one.slope + other.slope - 3 * (other.loss - one.loss) / width
    square = a * a - one.slope * other.slope
    if not 0 <= square < math.inf:
        return (low + high) / 2
    bottom = other.slope - one.slope + 2 * math.sqrt(square)
    t = other.t - width * (other.slope + math.sqrt(square) - a) / bottom if bottom else math.inf
    return min(max(t, low), high)
