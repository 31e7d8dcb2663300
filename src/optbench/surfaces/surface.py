"""What a small problem is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from optbench.checks import UserError

Point = tuple[float, ...]
"""A value for each parameter."""
Bounds = tuple[float, float]
"""Lowest and highest value of one parameter."""


@dataclass(frozen=True)
class Surface:
    """A function of a parameter vector, with what is known of it.

    Attributes:
        name: Its name in `surfaces.get` and on the command line.
        formula: The function in one line, for titles and lists.
        f: The function, from (..., n) to (...).
        window: What a figure shows: lowest and highest value by parameter.
        source: Where the function and its minima are stated.
        starts: Points to start from, the usual one first.
        minima: All minima in the window, a global one first; none where the function is unbounded below.
        saddles: Saddle points in the window, where they are published.
        maxima: Maxima in the window, where they are published.
        domain: Bounds that every iterate is clamped to.
        constraints: Functions from (..., n) to (...) that have to be at most 0.
        parts: Where `f` is the mean over samples: the mean over some of them, from a point (..., n) and indices (b,)
            to (...).
        order: The samples in the order in which an online problem shows them, over and over; None where they are
            shuffled in each epoch.
        samples: How many there are.
        labels: What the parameters are called.
    """

    name: str
    formula: str
    f: Callable[[Tensor], Tensor]
    window: tuple[Bounds, ...]
    source: str
    starts: tuple[Point, ...] = ()
    minima: tuple[Point, ...] = ()
    saddles: tuple[Point, ...] = ()
    maxima: tuple[Point, ...] = ()
    domain: tuple[Bounds, ...] | None = None
    constraints: tuple[Callable[[Tensor], Tensor], ...] = field(default=())
    parts: Callable[[Tensor, Tensor], Tensor] | None = None
    order: Tensor | None = None
    samples: int = 0
    labels: tuple[str, ...] = ("x", "y")

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.window)

    @property
    def floor(self) -> float | None:
        """The lowest value, or None where there is none or where it is not known."""
        return float(self.f(torch.tensor(self.minima[0], dtype=torch.float64))) if self.minima else None

    def above(self, x: Tensor) -> Tensor:
        """Return how far the values at points (..., n) lie above the lowest, or above 0 where that is not known."""
        return self.f(x) - (self.floor or 0.0)

    def anywhere(self, count: int, draw: torch.Generator) -> Tensor:
        """Return points (count, n) of the window, drawn evenly."""
        low, high = torch.tensor(self.window, dtype=torch.float64).unbind(-1)
        return low + (high - low) * torch.rand(count, self.size, generator=draw, dtype=torch.float64)

    def stream(self, batch: int, seed: int = 0) -> Callable[[Tensor, int], Tensor]:
        """Return the loss of a step's mini-batch, a function of the point and of the step from 1.

        Args:
            batch: Samples in a mini-batch; what an epoch has over is left out of it.
            seed: Of the order.

        Raises:
            UserError: The surface is no mean over samples, or has fewer than `batch`.
        """
        if self.parts is None or not 1 <= batch <= self.samples:
            have = f"{self.samples} samples" if self.parts else "no samples"
            raise UserError(f"{self.name}: batch={batch}, but it has {have}; leave batch out to see them all")
        parts = self.parts
        order = self.order
        epochs: dict[int, Tensor] = {}

        def loss(x: Tensor, t: int) -> Tensor:
            if order is not None:
                return parts(x, order[(t - 1) % len(order)][None])
            epoch, i = divmod(t - 1, self.samples // batch)
            if epoch not in epochs:
                epochs.clear()
                epochs[epoch] = torch.randperm(self.samples, generator=torch.Generator().manual_seed(seed + epoch))
            return parts(x, epochs[epoch][i * batch : (i + 1) * batch])

        return loss

    def clamp(self, x: Tensor) -> Tensor:
        """Return points (..., n) moved to the nearest ones of the domain."""
        if self.domain is None:
            return x
        low, high = torch.tensor(self.domain, dtype=x.dtype, device=x.device).unbind(-1)
        return x.clamp(low, high)

    def grid(self, resolution: int, window: tuple[Bounds, ...] | None = None) -> tuple[Tensor, Tensor]:
        """Return the points of a regular grid over the window and the values there, in one call.

        Args:
            resolution: Points along each axis.
            window: Another window than the surface's own.

        Returns:
            Points (resolution, ..., resolution, n) and values (resolution, ..., resolution); the last axis but one
            of the points is the first parameter's, as a picture has it.
        """
        axes = [torch.linspace(low, high, resolution, dtype=torch.float64) for low, high in window or self.window]
        points = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1)
        return points, self.f(points)
