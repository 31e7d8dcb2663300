"""Landscapes as one interactive page that needs no network: choose plane, data and runs, and walk through the steps."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from matplotlib.colors import to_hex

from optbench.landscape.picture import Landscape, Projection
from optbench.plots.landscape import AXES, EQUAL, levels, looks
from optbench.plots.page import SYMBOLS, dashes, digits, filled, rounded


def page(landscapes: Sequence[Landscape], title: str, notes: Sequence[str] = ()) -> str:
    """Return the page of landscapes that differ in plane, split or measure, as HTML with everything in it.

    Notes stand below besides the pictures' own.
    """
    look = looks([track for one in landscapes for track in one.tracks])
    shown = [describe(one, look, notes) for one in landscapes]
    return filled(files("optbench.plots").joinpath("landscape_page.html"), title, shown)


def describe(one: Landscape, look: dict[str, dict[str, Any]], notes: Sequence[str]) -> dict[str, Any]:
    """Return what the page has to know of a landscape."""
    view = one.views[0]
    scale = levels([view.values])
    said = [f"{note[:1].upper()}{note[1:]}." for note in (*one.notes, *notes)]
    if one.statistics:
        said.insert(0, f"Batch normalization: statistics {one.statistics}.")
    said.insert(0, f"{one.examples} examples; the picture is off by up to {digits(100 * one.error)} %.")
    return {
        "plane": ": ".join(text for text in (one.plane.kind, one.title) if text),
        "split": one.split,
        "what": one.what,
        "labels": AXES.get(one.plane.kind, ("alpha", "beta")),
        "equal": one.plane.kind in EQUAL,
        "alphas": rounded(view.alphas),
        "betas": rounded(view.betas),
        "values": rounded(view.values),
        "log": scale.log,
        "ticks": rounded(scale.lines),
        "notes": said,
        "tracks": [_track(track, look[track.name]) for track in one.tracks],
    }


def _track(track: Projection, look: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": track.name,
        "status": track.status,
        "colour": to_hex(look["color"]),
        "dash": dashes(look["linestyle"]),
        "symbol": SYMBOLS.get(look["marker"], "triangle-up"),
        "steps": [int(step) for step in track.steps],
        "x": rounded(track.coordinates[:, 0]),
        "y": rounded(track.coordinates[:, 1]),
        "values": rounded(track.values),
        "shadows": rounded(track.shadows),
        "away": rounded(track.away),
    }
