"""A scene as a config describes it, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from optbench.checks import Count, Index, Rate, UserError, check, nearest
from optbench.surfaces.surface import Bounds, Point, Surface


@dataclass(frozen=True)
class Setting:
    """A scene as a config describes it.

    Attributes:
        surface: Name of the surface.
        optimizers: Names, `all`, or mappings of `name`, any hyperparameters, and what `entry.OWN` names.
        name: What the scene's files are called; the surface's name by default.
        title: Above the figure.
        caption: Below the figure.
        starts: Points to start from; the surface's first by default.
        steps: Number of steps.
        lr: `best` of a grid, the class's `default`, a number, or a mapping from optimizers to any of these.
        noise: Standard deviation of what is added to every coordinate of the gradient.
        seed: Of all that is random.
        batch: Samples that a step sees; all by default.
        schedule: Name of a schedule, or a mapping of `name` and its arguments; it counts steps.
        window: Bounds by parameter, in place of the surface's.
        panels: What the figure shows; what suits the surface by default.
        population: `points`, `batch`, `epochs` and `spread` of a population that starts around the start.
    """

    surface: str
    optimizers: tuple[Any, ...] = ()
    name: str | None = None
    title: str | None = None
    caption: str | None = None
    starts: tuple[Any, ...] | None = None
    steps: Count = 100
    lr: Any = "best"
    noise: Rate = 0.0
    seed: Index = 0
    batch: Count | None = None
    schedule: Any = "constant"
    window: tuple[Any, ...] | None = None
    panels: tuple[str, ...] | None = None
    population: Any = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Setting":
        """Return the setting of a scene's values, checked.

        Raises:
            UserError: A key is unknown, or a value is of the wrong type or out of range.
        """
        known = get_type_hints(cls, include_extras=True)
        for key in values.keys() - known.keys():
            raise nearest("field of a scene", key, known, ", ".join(known))
        if values.get("surface") is None:
            raise UserError("surface is missing; give surface=<name> (optbench list surfaces) or study=<name>")
        return cls(**{k: check("surface", k, v, known[k]) for k, v in values.items()})


def learning_rate(given: Any, name: str) -> float | str:
    """Return the learning rate that a config gives to an optimizer: a number, `best` or `default`."""
    lr = given.get(name, "best") if isinstance(given, Mapping) else given
    if lr in ("best", "default"):
        return str(lr)
    if isinstance(lr, str):
        raise UserError(f"lr={lr!r} is neither a number nor best nor default")
    return float(check(name, "lr", lr, Rate))


def point(surface: Surface, given: Any) -> Point:
    """Return a start, checked.

    Raises:
        UserError: It is not a point of the surface's dimension, or lies outside its domain or window.
    """
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    x = tuple(check(surface.name, "start", v, float) for v in values)
    shown = f"{surface.name}: start ({', '.join(f'{v:g}' for v in x)})"
    if len(x) != surface.size:
        raise UserError(f"{shown} has {len(x)} coordinates; give {surface.size}")
    for where, limits, remedy in (("domain", surface.domain, ""), ("window", surface.window, ", or widen the window")):
        if limits and not all(low <= v <= high for v, (low, high) in zip(x, limits, strict=True)):
            inside = " x ".join(f"[{low:g}, {high:g}]" for low, high in limits)
            raise UserError(f"{shown} is outside the {where} {inside}; choose one inside{remedy}")
    return x


def bounds(surface: Surface, given: Any) -> tuple[Bounds, ...]:
    """Return a window, checked.

    Raises:
        UserError: It has not two increasing bounds for each parameter.
    """
    rows = [row for row in given if isinstance(row, list | tuple) and len(row) == 2]
    if not len(rows) == len(given) == surface.size:
        raise UserError(f"window={list(given)} is not a pair of bounds for each of {surface.size} parameters")
    window = tuple((check("window", "low", a, float), check("window", "high", b, float)) for a, b in rows)
    for low, high in window:
        if not low < high or not math.isfinite(high - low):
            raise UserError(f"window: [{low:g}, {high:g}] is empty; give the lower bound first")
    return window
