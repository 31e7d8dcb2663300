"""The landscape of runs as a report has it: who is drawn and what they are called."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from optbench import records
from optbench.checks import UserError
from optbench.landscape.panels import Contender, Request, pictures
from optbench.plots.landscape import figure
from optbench.records import Run
from optbench.results.frame import labels, written


def landscape(frame: pd.DataFrame, title: str) -> Figure:
    """Return the loss on the plane that one seed's runs share, with their paths and the picture's error.

    Raises:
        UserError: No run of the seed kept its trajectory, or none came to its end.
    """
    runs = {i: records.read(Path(at)) for i, at in enumerate(frame["directory"]) if at}
    shown, left = pictures(contenders(frame, runs), Request())
    return figure(shown, title, left)


def contenders(frame: pd.DataFrame, runs: Mapping[int, Run]) -> list[Contender]:
    """Return runs with what they are called; those of one optimizer by the values of their settings.

    Args:
        frame: A row for each run, see `results.frame.load`.
        runs: The runs by row of the frame; a row without a run is left out.

    Raises:
        UserError: There is no run.
    """
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
        values = [f"{name} {written(frame[name][i])}" for name in settings]
        found.append(Contender(", ".join([str(frame[optimizer][i]), *values]), str(frame[optimizer][i]), runs[i]))
    return found
