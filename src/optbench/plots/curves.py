"""The figures of a study that have lines: by epoch, step, update or second."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from optbench.plots.lines import CAPTION, Panel, draw
from optbench.results.frame import Results

CURVES = [
    Panel("train_loss", "training loss"),
    Panel("test_loss", "test loss"),
    Panel("train_accuracy", "training accuracy, %"),
    Panel("test_accuracy", "test accuracy, %"),
]
NORMS = [
    Panel("weight_norm", "norm of the weights"),
    Panel("update_norm", "norm of an epoch's change"),
    Panel("grad_norm", "norm of the last gradient"),
]
COSTS = [
    Panel("loss", "loss by updates", "step", "updates", log=True),
    Panel("loss", "loss by epochs"),
    Panel("loss", "loss by seconds", "train_seconds", "seconds of training", log=True),
]
POINTS = 200  # of a line by updates; a single-sample run takes many thousand of them
SPAN = 0.2  # share of the updates so far that a point of such a line is the mean of


def curves(results: Results, title: str) -> Figure:
    """Return losses and accuracies of training and test by epoch; losses alone where there are no classes."""
    data = results.evaluations
    return draw(results.frame, data, [panel for panel in CURVES if data[panel.y].notna().any()], title)


def norms(results: Results, title: str) -> Figure:
    """Return the norms of weights, updates and gradients by epoch."""
    return draw(results.frame, results.evaluations, NORMS, title)


def batch_size(results: Results, title: str) -> Figure:
    """Return the mini-batches' loss by updates, epochs and seconds, which is where batch sizes part."""
    clocks = dict(list(results.evaluations.groupby("run")))
    data = pd.concat([averaged(own, clocks[run]) for run, own in results.steps.groupby("run")])
    caption = (
        f"{CAPTION} Losses of the mini-batches: at each point the mean over the last {SPAN:.0%} of the updates so far."
    )
    return draw(results.frame, data, COSTS, title, caption)


def averaged(losses: pd.DataFrame, clock: pd.DataFrame) -> pd.DataFrame:
    """Return a run's mean loss at steps that are even on a log scale, with the epochs and seconds till then.

    Args:
        losses: The run's steps.
        clock: Its evaluations, between which time passes evenly.
    """
    t = np.unique(np.geomspace(1, len(losses), POINTS).astype(int))
    since = ((1 - SPAN) * t).astype(int)
    total = np.concatenate([[0.0], losses["loss"].cumsum()])
    passed = {x: np.interp(t, clock["step"], clock[x]) for x in ("epoch", "train_seconds")}
    return pd.DataFrame(
        {"run": clock["run"].iloc[0], "step": t, "loss": (total[t] - total[since]) / (t - since), **passed}
    )


def learning_rate(results: Results, title: str) -> Figure:
    """Return the learning rate by step."""
    panel = Panel("lr", "learning rate", "step", "step")
    return draw(results.frame, results.steps, [panel], title, "The learning rate of each step, as it was recorded.")


def losses(results: Results, title: str) -> Figure:
    """Return the mini-batch loss by step: a moving average, and faintly the values themselves."""
    raw = results.steps
    window = max(2, int(raw["step"].max()) // 50)
    smooth = raw.groupby("run")["loss"].transform(lambda loss: loss.rolling(window, min_periods=1).mean())
    panel = Panel("loss", "loss of the mini-batch", "step", "step")
    caption = f"{CAPTION} Moving averages over {window} steps; faint: the first seed's losses themselves."
    return draw(results.frame, raw.assign(loss=smooth), [panel], title, caption, raw)
