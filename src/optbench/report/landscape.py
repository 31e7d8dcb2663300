"""The landscape of runs as a report has it: who is drawn and what they are called."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from optbench.checks import UserError
from optbench.landscape.gradients import gradients as by_layer
from optbench.landscape.panels import LandscapeRequest, NamedRun, chosen_seed, pictures
from optbench.landscape.solutions import sharpness_of
from optbench.plots.landscape import figure
from optbench.plots.landscape_gradients import draw as draw_gradients
from optbench.results.frame import Results, labels
from optbench.results.settings import ABSENT, written

SHARPNESS = tuple(f"sharpness_{name}" for name in ("highest", "trace", "trace_error", "negative", "rise"))
"""Columns that `with_sharpness` adds to a frame, a field of `Sharpness` each."""


def landscape(results: Results, title: str) -> Figure:
    """Return the loss on the plane that one seed's runs share, with their paths and the picture's error.

    Raises:
        UserError: No run of the seed kept its trajectory, or none came to its end.
    """
    shown, left = pictures(contenders(results), LandscapeRequest())
    return figure(shown, title, left)


def gradients(results: Results, title: str) -> Figure:
    """Return the gradient's norm by layer and step of one seed's runs that are done, with their test accuracy or loss.

    Raises:
        UserError: No run kept its trajectory, or none came to its end.
    """
    runs = contenders(results)
    seed = chosen_seed(runs)
    found = []
    why = []
    said: list[str] = []
    for run in (run for run in runs if run.seed == seed and run.status == "done"):
        try:
            found.append(by_layer(run, LandscapeRequest()))
        except UserError as error:
            why.append(f"{run.name}: {error}")
            continue
        row = results.frame.loc[next(i for i, known in results.runs.items() if known is run.run)]
        accuracy = row["final_test_accuracy"]
        said.append(f"test loss {row['final_test_loss']:.3g}" if pd.isna(accuracy) else f"test accuracy {accuracy:.1%}")
    if not found:
        raise UserError("; ".join(why))
    return draw_gradients(found, said, title)


def contenders(results: Results) -> list[NamedRun]:
    """Return runs with what they are called; those of one optimizer by the values of their settings.

    Raises:
        UserError: There is no run.
    """
    frame = results.frame
    runs = results.runs
    if not runs:
        raise UserError("there is no run to draw")
    optimizer, *settings = labels(frame)
    rows = frame.loc[list(runs)]
    rank = {name: i for i, name in enumerate(rows[optimizer].unique())}
    keys = {"rank": rows[optimizer].map(rank)}
    for name in settings:
        keys[name] = pd.to_numeric(rows[name], errors="coerce").fillna(0)
    order = pd.DataFrame(keys).sort_values(list(keys), kind="stable").index
    found = []
    for i in order:
        values = [f"{name} {written(frame[name][i])}" for name in settings if frame[name][i] != ABSENT]
        found.append(NamedRun(", ".join([str(frame[optimizer][i]), *values]), str(frame[optimizer][i]), runs[i]))
    return found


def to_tensorboard(drawn: Figure, name: str, runs: Sequence[NamedRun], folder: Path) -> Path:
    """Write a figure and the ends of runs, for TensorBoard's images and its embedding projector; return the folder.

    The ends are shown by their coordinates along the directions that they span, which keeps their distances.

    Args:
        drawn: The figure.
        name: Its tag.
        runs: Those that kept their trajectory are shown, by name, optimizer and seed.
        folder: The log directory.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from torch.utils.tensorboard import SummaryWriter

    ends: dict[int, list[tuple[NamedRun, np.ndarray]]] = {}
    for run in runs:
        try:
            end = run.run.trajectory
        except UserError:
            continue
        if end is not None and np.isfinite(end[1][-1]).all():
            ends.setdefault(end[1].shape[1], []).append((run, np.asarray(end[1][-1], np.float64)))
    shutil.rmtree(folder, ignore_errors=True)
    FigureCanvasAgg(drawn)
    with SummaryWriter(str(folder)) as writer:
        writer.add_figure(f"landscape/{name}", drawn, close=False)
        for size, mine in ends.items():
            points = np.stack([weights for _, weights in mine])
            left, values, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
            labels_ = [[run.name, run.optimizer, str(run.seed), run.status] for run, _ in mine]
            if len(mine) > 2:  # the projector shows three directions
                writer.add_embedding(
                    left * values, labels_, tag=f"ends_{size}", metadata_header=["run", "optimizer", "seed", "status"]
                )
    return folder


def with_sharpness(results: Results) -> Results:
    """Return results whose frame also says how sharp the loss is at the end of each run that is done.

    Raises:
        UserError: It can be said of no run.
    """
    frame = results.frame.copy()
    why = []
    for column in SHARPNESS:
        frame[column] = math.nan
    for run in contenders(results):
        i = next(i for i, known in results.runs.items() if known is run.run)
        try:
            found = sharpness_of(run, LandscapeRequest()) if run.status == "done" else None
        except UserError as error:
            why.append(f"{run.name}: {error}")
            continue
        if found is not None:
            frame.loc[i, list(SHARPNESS)] = [getattr(found, name.removeprefix("sharpness_")) for name in SHARPNESS]
    if frame[list(SHARPNESS)].isna().all(axis=None):
        raise UserError(f"no sharpness: {'; '.join(dict.fromkeys(why)) or 'no run is done'}")
    return replace(results, frame=frame, notes=(*results.notes, *[f"no sharpness of {text}" for text in why]))
