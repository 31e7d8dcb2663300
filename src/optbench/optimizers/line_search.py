"""Searches along a line, for the methods that move all parameters at once."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from optbench.optimizers.flat import Function

DECREASE = 1e-4
"""Share of the fall that the first slope promises which a step has to keep: c1 of the Wolfe conditions."""

MARGIN = 0.1
"""Share of an interval that a step keeps from its ends where it would be too near to them twice."""


class LinePoint(NamedTuple):
    """A point x + t d on a line of n parameters.

    Attributes:
        t: How far along the line it is.
        loss: The loss there.
        slope: The derivative of the loss by t.
        gradient: The gradient of the loss by the parameters, shape (n,).
    """

    t: float
    loss: float
    slope: float
    gradient: Tensor


Line = Callable[[float], LinePoint]
"""What evaluates the point of a line at t."""


def along(f: Function, x: Tensor, d: Tensor) -> Line:
    """Return the line x + t d, both of shape (n,); a loss that is not finite counts as infinitely high and steep."""

    def point(t: float) -> LinePoint:
        loss, gradient = f(x + t * d)
        if not math.isfinite(loss):
            return LinePoint(t, math.inf, math.inf, gradient)
        return LinePoint(t, loss, float(gradient @ d), gradient)

    return point


def origin(loss: float, gradient: Tensor, d: Tensor) -> LinePoint:
    """Return the point of a line at t = 0, where the loss and the gradient are known; both tensors have shape (n,)."""
    return LinePoint(0.0, loss, float(gradient @ d), gradient)


def exact(line: Line, start: LinePoint, t: float, tolerance: float, limit: int = 100) -> LinePoint:
    """Return the minimum in the first interval that doubling the step finds, by the Illinois form of false position.

    Args:
        line: The line.
        start: Its point at 0, where it falls.
        t: First step.
        tolerance: Slope at which to stop, as a share of the first.
        limit: Evaluations at most, to find the interval and again to find the minimum.

    References:
        Dowell & Jarratt, A modified regula falsi method for computing the root of an equation, 1971,
        https://doi.org/10.1007/BF01934364
    """
    low, high = doubled(line, start, t, limit)
    best = high
    low_slope = low.slope
    high_slope = high.slope
    moved: Literal["neither", "low", "high"] = "neither"
    for _ in range(limit):
        t = low.t + (high.t - low.t) * crossing(low_slope, high_slope)
        if abs(best.slope) <= -tolerance * start.slope or not low.t < t < high.t:
            break
        point = line(t)
        # An end that stays for a second time weighs half, so that the next step comes nearer to it.
        if beyond_minimum(low, point):
            if moved == "high":
                low_slope = low_slope / 2
            high = point
            high_slope = point.slope
            moved = "high"
        else:
            if moved == "low":
                high_slope = high_slope / 2
            low = point
            low_slope = point.slope
            moved = "low"
        both_known = 0 <= high.slope < math.inf and low.t > 0
        best = flatter(low, high) if both_known else point
    return best


def doubled(line: Line, start: LinePoint, t: float, limit: int) -> tuple[LinePoint, LinePoint]:
    """Return the ends of the first interval with a minimum in it, of those that doubling the step t leads through."""
    low = start
    high = line(t)
    for _ in range(limit):
        if beyond_minimum(low, high):
            break
        low = high
        high = line(2 * low.t)
    return low, high


def beyond_minimum(low: LinePoint, point: LinePoint) -> bool:
    """Return whether a minimum lies between a point where the line falls and one that is farther along.

    It does where the line rises there, or has passed a hump.
    """
    return point.slope >= 0 or point.loss > low.loss + 1e-10 * abs(low.loss)


def crossing(low_slope: float, high_slope: float) -> float:
    """Return at which share of an interval a straight slope crosses 0; the middle if the upper end is past a hump."""
    if not 0 <= high_slope < math.inf:
        return 0.5
    return low_slope / (low_slope - high_slope)


def flatter(one: LinePoint, other: LinePoint) -> LinePoint:
    """Return the point of two whose slope is nearer to 0."""
    return min(one, other, key=lambda point: abs(point.slope))


class StrongWolfe(NamedTuple):
    """The strong Wolfe conditions on a line, equations (3.7) of Nocedal & Wright.

    Attributes:
        start: The line's point at 0, where it falls.
        share: How much of the first slope may be left: c2.
    """

    start: LinePoint
    share: float

    def too_high(self, point: LinePoint) -> bool:
        """Return whether the loss has fallen too little for the way: (3.7a) is not met."""
        return point.loss > self.start.loss + DECREASE * point.t * self.start.slope

    def flat(self, point: LinePoint) -> bool:
        """Return whether the slope is small enough: (3.7b) is met."""
        return abs(point.slope) <= -self.share * self.start.slope


def strong_wolfe(
    line: Line, start: LinePoint, t: float, share: float, longest: float = math.inf, limit: int = 25
) -> LinePoint:
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
    wolfe = StrongWolfe(start, share)
    low, high, tries = bracket(line, wolfe, t, longest, limit)
    return zoom(line, wolfe, low, high, limit - tries)


def bracket(line: Line, wolfe: StrongWolfe, t: float, longest: float, limit: int) -> tuple[LinePoint, LinePoint, int]:
    """Go along a line until a point that meets the conditions is passed: algorithm 3.5 of Nocedal & Wright.

    Returns:
        The lower and the higher end of an interval with such a point in it, which are the same where one was found;
        and how many evaluations that took after the first.
    """
    tries = 0
    previous = wolfe.start
    point = line(t)
    while tries < limit:
        risen = tries > 1 and point.loss >= previous.loss
        if wolfe.too_high(point) or risen:
            break
        at_the_end = point.slope < 0 and point.t >= longest
        if wolfe.flat(point) or at_the_end:
            return point, point, tries
        if point.slope >= 0:
            break
        t = farther(previous, point, longest)
        previous = point
        point = line(t)
        tries += 1
    low, high = lower_first(previous, point)
    return low, high, tries


def farther(previous: LinePoint, point: LinePoint, longest: float) -> float:
    """Return the next step beyond two points, at most ten times the last one and at most the longest."""
    least = point.t + 0.01 * (point.t - previous.t)
    most = min(10 * point.t, longest)
    return cubic(previous, point, least, most)


def zoom(line: Line, wolfe: StrongWolfe, low: LinePoint, high: LinePoint, limit: int) -> LinePoint:
    """Narrow an interval to a point that meets the conditions: algorithm 3.6 of Nocedal & Wright.

    Args:
        line: The line.
        wolfe: The conditions.
        low: The end with the lower loss, on either side.
        high: The other end.
        limit: Evaluations at most, after which the lowest point is returned.
    """
    was_near = False
    for _ in range(limit):
        if low.t == high.t:
            break
        left, right = sorted((low.t, high.t))
        t = cubic(low, high, left, right)
        near = min(right - t, t - left) < MARGIN * (right - left)
        if near and (was_near or not left < t < right):
            t = kept_inside(t, left, right)
            near = False
        was_near = near
        point = line(t)
        if wolfe.too_high(point) or point.loss >= low.loss:
            low, high = lower_first(low, point)
        elif wolfe.flat(point):
            return point
        else:
            if point.slope * (high.t - low.t) >= 0:
                high = low
            low = point
    return low


def kept_inside(t: float, left: float, right: float) -> float:
    """Return the step that keeps the margin from the end of an interval to which t is nearer."""
    margin = MARGIN * (right - left)
    if right - t < t - left:
        return right - margin
    return left + margin


def lower_first(one: LinePoint, other: LinePoint) -> tuple[LinePoint, LinePoint]:
    """Return two points with the one of lower loss first; as they are if their losses are equal."""
    if other.loss < one.loss:
        return other, one
    return one, other


def cubic(one: LinePoint, other: LinePoint, low: float, high: float) -> float:
    """Return the minimum between two bounds of the cubic through two points, or their middle where it has none.

    This is equation (3.59) of Nocedal & Wright, whose d1 and d2 these are.
    """
    left, right = sorted((one, other), key=lambda point: point.t)
    width = right.t - left.t
    d1 = left.slope + right.slope - 3 * (right.loss - left.loss) / width
    square = d1 * d1 - left.slope * right.slope
    if not 0 <= square < math.inf:
        return (low + high) / 2
    d2 = math.sqrt(square)
    bottom = right.slope - left.slope + 2 * d2
    if bottom == 0:
        return high
    t = right.t - width * (right.slope + d2 - d1) / bottom
    return min(max(t, low), high)
