"""The figures of a study that have lines: by epoch, step, update or second."""

import pandas as pd
from matplotlib.figure import Figure

from optbench.plots.lines import Panel, draw
from optbench.results.frame import evaluations, steps

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
    Panel("train_loss", "training loss by updates", "step", "updates"),
    Panel("train_loss", "by epochs"),
    Panel("train_loss", "by seconds", "train_seconds", "seconds of training"),
]


def curves(frame: pd.DataFrame, title: str) -> Figure:
    """Return losses and accuracies of training and test by epoch; losses alone where there are no classes."""
    data = evaluations(frame)
    return draw(frame, data, [panel for panel in CURVES if data[panel.y].notna().any()], title)


def norms(frame: pd.DataFrame, title: str) -> Figure:
    """Return the norms of weights, updates and gradients by epoch."""
    return draw(frame, evaluations(frame), NORMS, title)


def batch_size(frame: pd.DataFrame, title: str) -> Figure:
    """Return the training loss by updates, epochs and seconds, which is where batch sizes part."""
    figure = draw(frame, evaluations(frame), COSTS, title)
    for i, ax in enumerate(figure.axes):
        if COSTS[i % len(COSTS)].x != "epoch":
            ax.set_xscale("log")
    return figure


def learning_rate(frame: pd.DataFrame, title: str) -> Figure:
    """Return the learning rate by step."""
    panel = Panel("lr", "learning rate", "step", "step")
    return draw(frame, steps(frame), [panel], title, "The learning rate of each step, as it was recorded.")


def losses(frame: pd.DataFrame, title: str) -> Figure:
    """Return the mini-batch loss by step, as a moving average."""
    data = steps(frame)
    window = max(1, int(data["step"].max()) // 50)
    data["loss"] = data.groupby("run")["loss"].transform(lambda loss: loss.rolling(window, min_periods=1).mean())
    panel = Panel("loss", "loss of the mini-batch", "step", "step")
    return draw(
        frame,
        data,
        [panel],
        title,
        f"Moving average over {window} steps. Line: mean over the seeds; band: lowest to highest.",
    )
