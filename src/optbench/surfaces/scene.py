"""A scene: a surface, with the paths of several optimizers on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from optbench.surfaces.descent import Factory
from optbench.surfaces.setting import Setting
from optbench.surfaces.surface import Bounds, Surface

Sweep = tuple[tuple[float, ...], tuple[float, ...]]
"""Learning rates, and the loss at each."""


@dataclass(frozen=True)
class Track:
    """The path of one optimizer from one start.

    Attributes:
        optimizer: Name of its class.
        label: What a legend calls it.
        variant: Which one of this optimizer's in the scene, from 0.
        points: (k, n), NaN from where it diverged.
        values: The surface at each point, (k,).
        rates: Learning rate of each step, (k - 1,); empty where the optimizer has none.
        sweep: Rates that were tried and the loss that each ended with, where the rate is the best of a grid.
        factory: What made the optimizer.
    """

    optimizer: str
    label: str
    variant: int
    points: Tensor
    values: Tensor
    rates: tuple[float, ...]
    sweep: Sweep | None
    factory: Factory

    @property
    def diverged(self) -> int | None:
        """The first step that is not finite."""
        lost = ~self.values.isfinite()
        return int(lost.int().argmax()) if lost.any() else None

    def leaves(self, window: tuple[Bounds, ...]) -> int | None:
        """Return the first step outside a window."""
        low, high = torch.tensor(window, dtype=self.points.dtype).unbind(-1)
        out = ((self.points < low) | (self.points > high)).any(-1)
        return int(out.int().argmax()) if out.any() else None


@dataclass(frozen=True)
class Scene:
    """A surface and the tracks on it, ready to be drawn.

    Attributes:
        setting: What the scene was computed from.
        surface: The surface, with the setting's window.
        tracks: The paths, in the order of the setting's optimizers and starts.
        measured: What panels show beyond the paths themselves, by the panel's name; see `measures`.
    """

    setting: Setting
    surface: Surface
    tracks: tuple[Track, ...]
    measured: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the scene's files are called."""
        return self.setting.name or self.surface.name

    @property
    def title(self) -> str:
        """What stands above the figure."""
        return self.setting.title or f"{self.surface.name}: {self.surface.formula}"

    @property
    def notes(self) -> list[str]:
        """What stands below the figure: the caption, and what became of paths that are not wholly shown."""
        notes = [self.setting.caption] if self.setting.caption else []
        for track in self.tracks:
            if track.diverged is not None:
                notes.append(f"{track.label} diverged at step {track.diverged}.")
            if any(bool(c(track.points[-1]) > 1e-6) for c in self.surface.constraints):
                notes.append(f"{track.label} ends where the constraints are broken.")
            step = track.leaves(self.surface.window) if self.surface.size <= 2 else None
            if step is not None and step != track.diverged:
                notes.append(f"{track.label} leaves the window at step {step}; its path is cut there.")
        return notes
