"""Scenes as one interactive page that needs no network: turn the surface, hide an optimizer, move through the steps."""

import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from optbench.plots import style
from optbench.plots.page import SYMBOLS, dashes, digits, filled, rounded
from optbench.plots.surface import names
from optbench.plots.surface_shape import inside, relief
from optbench.surfaces.scene import Scene, Track
from optbench.surfaces.surface import Surface
from optbench.surfaces.terrain import along, critical_points

STEPS = 300  # of a path are in the page at most, the first ones all


def page(scenes: Sequence[dict[str, Any]], title: str) -> str:
    """Return the page of described scenes, as HTML with everything in it."""
    return filled(files("optbench.plots").joinpath("surface_page.html"), title, list(scenes))


def describe_all(scenes: Sequence[Scene], study: str) -> list[dict[str, Any]]:
    """Return what the page has to know of those scenes that show a surface over one or two parameters."""
    return [describe(scene, study) for scene in scenes if {"space", "contour", "curve"} & set(names(scene))]


def describe(scene: Scene, study: str) -> dict[str, Any]:
    """Return what the page has to know of a scene over one or two parameters."""
    surface = scene.surface
    points, values = surface.grid(61 if surface.size == 2 else 401)
    raised, height = scale(surface)
    axes = [points[0, :, 0], points[:, 0, 1]] if surface.size == 2 else [points[:, 0]]
    return {
        "study": study,
        "name": scene.name,
        "title": scene.title,
        "notes": scene.notes,
        "labels": surface.labels[: surface.size],
        "window": surface.window,
        "axes": [rounded(axis) for axis in axes],
        "values": rounded(raised(values)),
        "height": height,
        "floor": surface.floor,
        "minima": [[*low, *rounded(raised(surface.f(torch.tensor([low]).double())))] for low in surface.minima],
        "critical": [
            {"kind": c.name, "point": rounded(c.point), "value": digits(c.value), "eigenvalues": rounded(c.eigenvalues)}
            for c in critical_points(surface)[:60]
        ],
        "tracks": [describe_track(scene, track) for track in scene.tracks],
    }


def describe_track(scene: Scene, track: Track) -> dict[str, Any]:
    """Return what the page has to know of a track: what is at its steps, and the line to draw."""
    surface = scene.surface
    last = len(track.points) - 1
    spread = torch.logspace(0, math.log10(last + 1), STEPS, dtype=torch.float64).round().long() - 1
    steps = torch.arange(last + 1) if last < STEPS else torch.unique(spread)
    points = track.points[steps]
    terrain = along(surface, points)
    line, times = inside(points, surface)
    raised, _ = scale(surface)
    low = times.floor().long().clamp(max=max(0, len(steps) - 2))
    look = style.look(track.optimizer, track.variant)
    return {
        "label": track.label,
        "colour": look.colour,
        "dash": dashes(look.dash),
        "symbol": SYMBOLS.get(look.marker, "triangle-up"),
        "steps": steps.tolist(),
        "points": rounded(points),
        "values": rounded(track.values[steps]),
        "above": rounded((track.values[steps] - (surface.floor or 0.0)).abs().clamp(min=1e-16)),
        "slope": rounded(terrain.gradient_norm),
        "condition": rounded(terrain.condition),
        "ground": terrain.names,
        "line": [*(rounded(x) for x in line.unbind(-1)), rounded(raised(surface.f(line)))],
        "times": rounded(steps[low] + (times - low) * (steps[low + 1] - steps[low])),
    }


def scale(surface: Surface) -> tuple[Callable[[Tensor], Tensor], str]:
    """Return how heights are drawn, and what their axis is called; a curve is drawn as it is."""
    return relief(surface.grid(61)[1]) if surface.size == 2 else ((lambda z: z), "f")
