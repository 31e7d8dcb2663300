"""A scene: a surface, with the paths of several optimizers on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from optbench.optimizers.wrapper import Factory
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
        left_out: Which optimizers are not among all, and why.
    """

    setting: Setting
    surface: Surface
    tracks: tuple[Track, ...]
    measured: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

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
            notes += self._of_track(track)
        if self.left_out:
            notes.append(f"Left out: {'; '.join(self.left_out)}.")
        held = [track.label for track in self.tracks if self._held(track)]
        if held and "escape" not in (self.setting.panels or ()):
            notes.append(f"Held at the edge of the domain at the end: {'; '.join(held)}.")
        return notes

    def _of_track(self, track: Track) -> list[str]:
        """Return what became of one path."""
        notes = []
        if track.diverged is not None:
            notes.append(f"{track.label} diverged at step {track.diverged}.")
        if any(bool(constraint(track.points[-1]) > 1e-6) for constraint in self.surface.constraints):
            notes.append(f"{track.label} ends where the constraints are broken.")
        step = track.leaves(self.surface.window) if self.surface.size <= 2 else None
        if step is not None and step != track.diverged:
            notes.append(f"{track.label} leaves the window at step {step}; its path is cut there.")
        return notes

    def _held(self, track: Track) -> bool:
        """Return whether a path ends on the domain's edge, where it is no minimum."""
        end = track.points[-1]
        if self.surface.domain is None or not end.isfinite().all():
            return False
        low, high = torch.tensor(self.surface.domain, dtype=end.dtype).unbind(-1)
        minima = torch.tensor(self.surface.minima, dtype=end.dtype)
        at_minimum = len(minima) > 0 and bool((end - minima).norm(dim=-1).min() < 1e-3)
        return bool(((end <= low) | (end >= high)).any()) and not at_minimum
