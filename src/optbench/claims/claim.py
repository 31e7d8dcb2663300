"""What a claim is, and what was found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from optbench import surfaces
from optbench.surfaces.descent import descend

Verdict = Literal["holds", "fails", "holds only if"]
SEEDS = 20
"""Runs of what chance plays a part in."""


@dataclass(frozen=True)
class Finding:
    """What was measured of a claim.

    Attributes:
        verdict: Whether it holds.
        measured: The numbers, in a sentence.
        condition: What it holds under, or why it fails, in a sentence.
    """

    verdict: Verdict
    measured: str
    condition: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of a textbook, in our words, with what tries it.

    Attributes:
        measure: What tries it; the same numbers on every machine, up to rounding. Its docstring is the claim.
        documents: Where it stands: the numbers of the documents that the project grew from.
        trains: Whether it trains networks, which takes seconds to minutes.
    """

    measure: Callable[[], Finding]
    documents: str
    trains: bool

    @property
    def name(self) -> str:
        """What `optbench claims` calls it."""
        return self.measure.__name__

    @property
    def says(self) -> str:
        """The claim."""
        return self.measure.__doc__ or ""

    @property
    def command(self) -> str:
        """What measures it again."""
        return f"optbench claims {self.name}"


def claim(documents: str, trains: bool = False) -> Callable[[Callable[[], Finding]], Claim]:
    """Make a claim of the function that tries it; arguments as of `Claim`."""
    return lambda measure: Claim(measure, documents, trains)


def verdict(condition: bool) -> Verdict:
    """Return `holds` where a condition does, and `fails` where not."""
    return "holds" if condition else "fails"


def listed(found: Mapping[Any, Any], form: str = "") -> str:
    """Return numbers with what they are of: `SGD 2, Adam 1` by name, `0.1: 2, 1: 1` by number."""
    names = [name if isinstance(name, str) else f"{name:g}:" for name in found]
    return ", ".join(f"{name} {x:{form}}" for name, x in zip(names, found.values(), strict=True))


def at(*point: float) -> Tensor:
    """Return a point in float64."""
    return torch.tensor(point, dtype=torch.float64)


def path(name: str, rule: Any, start: tuple[float, ...] | None = None, steps: int = 100, **options: Any) -> Tensor:
    """Return the path of an optimizer on a named surface, shape (steps + 1, parameters).

    Args:
        name: The surface's.
        rule: What makes the optimizer, such as `partial(SGD, lr=0.1)`.
        start: Where it starts; at the surface's first start if None.
        steps: Number of steps.
        **options: Of `descend`.
    """
    surface = surfaces.get(name)
    return descend(surface.f, rule, at(*(start or surface.starts[0])), steps, **options)


def first_below(values: Tensor, level: float) -> int | None:
    """Return the first place from which values (n,) stay below a level, or None where the last one does not."""
    above = (~(values < level)).nonzero()
    if not len(above):
        return 0
    last = int(above.max())
    return None if last == len(values) - 1 else last + 1


def gradient_steps(rule: Any, gradients: Tensor) -> Tensor:
    """Return the steps that a rule takes on given gradients (n, ...), of the same shape; downhill is negative."""
    point = torch.zeros(gradients.shape[1:], dtype=torch.float64)
    walked = descend(lambda x, t: (gradients[t - 1] * x).sum(), rule, point, len(gradients), online=True)
    return walked.diff(dim=0)
