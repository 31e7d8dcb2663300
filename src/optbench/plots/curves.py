"""The figures of a study that have lines: by epoch, step, update or second."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from optbench.checks import UserError
from optbench.plots.lines import Panel, draw
from optbench.plots.ranking import ranking
from optbench.results.frame import Results, labels
from optbench.results.sensitivity import at_best, swept

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

SHOWN = 1000  # times the lowest learning rate that is drawn is the highest
MOST = 14  # optimizers in one panel; more than these are a ranking


def curves(results: Results, title: str) -> Figure:
    """Return losses and accuracies of training and test by epoch; losses alone where there are no classes.

    More optimizers than a panel can hold are ranked instead; of more values of a number that was swept each optimizer
    has its best.
    """
    caption = ""
    numbers = swept(results.frame)
    if numbers and results.frame.groupby(labels(results.frame), dropna=False).ngroups > MOST:
        results = results.only(at_best(results.frame, numbers[0]))
        caption = f"Each optimizer at its best {numbers[0]} of those that were tried."
    data = results.evaluations
    optimizers = results.frame["optimizer"].nunique()
    if optimizers > MOST and len(results.frame.groupby(labels(results.frame), dropna=False)) == optimizers:
        return ranking(results, title)
    panels = [panel for panel in CURVES if data[panel.y].notna().any()]
    if not panels:
        raise UserError("no run was evaluated, so there are no curves")
    return draw(results.frame, data, panels, title, caption, rates=rates(results))


def rates(results: Results) -> dict[Hashable, float]:
    """Return the learning rate of each run whose config has one, where that is no label of its own."""
    if "lr" in labels(results.frame):
        return {}
    found = {row: (run.config.get("optimizer") or {}).get("lr") for row, run in results.runs.items()}
    return {row: lr for row, lr in found.items() if isinstance(lr, int | float)}


def norms(results: Results, title: str) -> Figure:
    """Return the norms of weights, updates and gradients by epoch."""
    return draw(results.frame, results.evaluations, NORMS, title, rates=rates(results))


def batch_size(results: Results, title: str) -> Figure:
    """Return the mini-batches' loss by updates, epochs and seconds, which is where batch sizes part."""
    _check_steps(results)
    clocks = dict(list(results.evaluations.groupby("run")))
    data = pd.concat([averaged(own, clocks[run]) for run, own in results.steps.groupby("run")])
    caption = f"Losses of the mini-batches: at each point the mean over the last {SPAN:.0%} of the updates so far."
    return draw(results.frame, data, COSTS, title, caption, rates=rates(results))


def _check_steps(results: Results) -> None:
    """Raise a `UserError` where no run has recorded its steps."""
    if results.steps.empty:
        raise UserError("no run has recorded its steps, so there is nothing to show by step")


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
    """Return the learning rate by step, without what ends in nothing and would squash the rest."""
    _check_steps(results)
    panel = Panel("lr", "learning rate", "step", "step")
    lowest = results.steps["lr"].max() / SHOWN
    shown = results.steps.assign(lr=results.steps["lr"].where(results.steps["lr"] > 0.99 * lowest))
    caption = f"The learning rate of each step, as it was recorded, down to {lowest:.1g}."
    return draw(results.frame, shown, [panel], title, caption)


def losses(results: Results, title: str) -> Figure:
    """Return the mini-batch loss by step: a moving average, and faintly the values themselves."""
    _check_steps(results)
    raw = results.steps
    window = max(2, int(raw["step"].max()) // 50)
    smooth = raw.groupby("run")["loss"].transform(lambda loss: loss.rolling(window, min_periods=1).mean())
    panel = Panel("loss", "loss of the mini-batch", "step", "step")
    caption = f"Moving averages over {window} steps; faint: the first seed's losses themselves."
    return draw(results.frame, raw.assign(loss=smooth), [panel], title, caption, raw)
