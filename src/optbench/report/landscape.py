"""The landscape of runs as a report has it: who is drawn and what they are called."""

import pandas as pd
from matplotlib.figure import Figure

from optbench.checks import UserError
from optbench.landscape.panels import Contender, Request, pictures
from optbench.plots.landscape import figure
from optbench.results.frame import Results, labels
from optbench.results.settings import ABSENT, written


def landscape(results: Results, title: str) -> Figure:
    """Return the loss on the plane that one seed's runs share, with their paths and the picture's error.

    Raises:
        UserError: No run of the seed kept its trajectory, or none came to its end.
    """
    shown, left = pictures(contenders(results), Request())
    return figure(shown, title, left)


def contenders(results: Results) -> list[Contender]:
    """Return runs with what they are called; those of one optimizer by the values of their settings.

    Raises:
        UserError: There is no run.
    """
    frame, runs = results.frame, results.runs
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
        found.append(Contender(", ".join([str(frame[optimizer][i]), *values]), str(frame[optimizer][i]), runs[i]))
    return found
