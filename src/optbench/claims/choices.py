"""Claims about which to choose for networks, from the runs of `networks`."""

import functools

import pandas as pd
from scipy import stats

from optbench.claims.claim import SEEDS, Finding, claim, listed, verdict
from optbench.claims.networks import (
    ALL_SEEDS,
    at_best,
    at_default,
    best_rates,
    by_rate,
    decays,
    first_epoch,
    means,
    paired,
    tabulated,
    trained,
)

UNDECIDED = "the difference cannot be told from chance"


def better(one: str, other: str, condition: str = "") -> Finding:
    """Find whether an optimizer's test accuracy is above another's."""
    gap, p = paired(one, other, by_rate()["final_test_accuracy"])
    measured = (
        f"test accuracy of {one} minus {other}, best rate each, {SEEDS} pairs: {100 * gap:+.2f} points, p = {p:.2g}"
    )
    return Finding(verdict(gap > 0 and p < 0.05), measured, condition or UNDECIDED * (p >= 0.05))


def faster(one: str, other: str, condition: str = "") -> Finding:
    """Find whether an optimizer's training loss is below another's after an epoch."""
    gap, p = paired(one, other, first_epoch())
    measured = (
        f"training loss after one epoch of {one} minus {other}, best rate each, {SEEDS} pairs: {gap:+.3f}, p = {p:.2g}"
    )
    return Finding(verdict(gap < 0 and p < 0.05), measured, condition or UNDECIDED * (p >= 0.05))


@claim("001, 002", trains=True)
def adagrad_networks() -> Finding:
    """Adagrad does not suit networks."""
    accuracy = at_best(means("final_test_accuracy"), 100)
    told = {name: accuracy[name] for name in ("Adagrad", "RMSprop", "Adadelta", "Adam")}
    measured = f"test accuracy after 5 epochs, best rate each, {SEEDS} seeds, %: {listed(told, '.2f')}"
    below = told["Adagrad"] < min(x for name, x in told.items() if name != "Adagrad") - 0.3
    return Finding(verdict(below), measured, "a small network, trained for 125 steps, does not come to where it stops")


@claim("000, 002", trains=True)
def adam_default() -> Finding:
    """Adam at its defaults is the best choice."""
    found = {name: 100 * x for name, x in at_default(means("final_test_accuracy")).items()}
    measured = f"test accuracy at the default rates, {SEEDS} seeds, %: {listed(found, '.1f')}"
    best = max(found, key=found.__getitem__)
    return Finding(verdict(best == "Adam"), measured, f"{best} is best here, and each has the rate that it came with")


@claim("001", trains=True)
def train_test_gap() -> Finding:
    """The gap of training to validation should be small."""
    train, test = (at_best(means(f"final_{split}_accuracy"), 100) for split in ("train", "test"))
    gap = {name: train[name] - test[name] for name in train}
    rank = float(stats.spearmanr(list(gap.values()), list(test.values())).statistic)
    measured = (
        f"rank correlation of the gap and the test accuracy of {len(gap)} optimizers, best rate each: {rank:+.2f}"
    )
    return Finding(verdict(rank < -0.3), measured, "who trains further has a larger gap and tests better")


@claim("003", trains=True)
def steady() -> Finding:
    """Momentum and RMSprop steady the training."""
    frame = by_rate()
    best = best_rates()
    spread = {}
    for name in ("SGD", "Momentum", "RMSprop", "Adam"):
        runs = frame[(frame["optimizer"] == name) & (frame["lr"] == best[name])]
        spread[name] = 100 * float(runs["final_test_accuracy"].std())
    measured = f"standard deviation of the test accuracy over {SEEDS} seeds, best rate each: {listed(spread, '.2f')}"
    return Finding(verdict(max(spread["Momentum"], spread["RMSprop"]) < spread["SGD"]), measured)


@claim("001", trains=True)
def adamw_generalizes() -> Finding:
    """AdamW generalizes better than Adam with L2."""
    frame = decays()
    table = tabulated(frame.assign(lr=frame["weight_decay"]), frame["final_test_accuracy"])
    best = {name: max(column, key=column.__getitem__) for name, column in table.items()}
    told = ", ".join(f"{name} {100 * table[name][decay]:.2f} at {decay:g}" for name, decay in best.items())
    gain = 100 * (table["AdamW"][best["AdamW"]] - table["Adam"][best["Adam"]])
    measured = f"best test accuracy over a grid of decays at the default rate, {SEEDS} seeds, %: {told}"
    return Finding(verdict(gain > 0.3), measured, "five epochs do not overfit, and decay only costs")


@functools.cache
def by_betas() -> pd.DataFrame:
    """Return Adam at four beta1 and three beta2."""
    grid = ("++optimizer.beta1=0,0.5,0.9,0.99", "++optimizer.beta2=0.9,0.99,0.999")
    return trained("betas", "optimizer=adam", "optimizer.lr=3e-3", *grid, ALL_SEEDS)


def betas_matter(claimed: bool) -> Finding:
    """Compare Adam's accuracy over its betas, where it is claimed that they matter or that they do not."""
    found = by_betas().groupby(["beta1", "beta2"])["final_test_accuracy"].mean().reset_index().to_numpy().tolist()
    accuracy = {f"({beta1:g}, {beta2:g})": 100 * mean for beta1, beta2, mean in found}
    low = min(accuracy, key=accuracy.__getitem__)
    high = max(accuracy, key=accuracy.__getitem__)
    told = ", ".join(f"{accuracy[pair]:.1f} at {pair}" for pair in (low, "(0.9, 0.999)", high))
    measured = (
        f"test accuracy at lr = 0.003 of {len(accuracy)} pairs of beta1 from 0 to 0.99 and beta2 from 0.9 to 0.999, "
        f"{SEEDS} seeds, %: lowest, usual and highest {told}"
    )
    return Finding(verdict((accuracy[high] - accuracy[low] >= 2) == claimed), measured)


@claim("003", trains=True)
def batch_norm() -> Finding:
    """Batch normalization smooths training: it bears higher rates."""
    rates = "optimizer.lr=3e-2,1e-1,3e-1,1,3"
    kinds = "model.normalization=none,batch"
    frame = trained("normalized", "optimizer=sgd", rates, kinds, ALL_SEEDS)
    accuracy = 100 * frame.groupby(["normalization", "lr"])["final_test_accuracy"].mean().unstack()
    told = "; ".join(f"{kind} {', '.join(f'{x:.0f}' for x in accuracy.loc[kind])}" for kind in ("none", "batch"))
    measured = f"test accuracy of SGD at rates 0.03, 0.1, 0.3, 1, 3, by normalization, {SEEDS} seeds, %: {told}"
    good = (accuracy > 70).sum(axis=1)
    return Finding(verdict(good["batch"] > good["none"]), measured)


@claim("000", trains=True)
def nag_networks() -> Finding:
    """NAG is a better choice than momentum."""
    return better("NAG", "Momentum")


@claim("001", trains=True)
def adadelta_slow() -> Finding:
    """Adadelta is slower than RMSprop in practice."""
    return faster("RMSprop", "Adadelta")


@claim("003", trains=True)
def adam_speed() -> Finding:
    """Adam converges faster than RMSprop."""
    return faster("Adam", "RMSprop")


@claim("004", trains=True)
def nadam_faster() -> Finding:
    """NAdam converges faster than Adam."""
    return faster("NAdam", "Adam")


@claim("001", trains=True)
def amsgrad_better() -> Finding:
    """AMSGrad improves on Adam."""
    return better("AMSGrad", "Adam")


@claim("003", trains=True)
def adam_betas() -> Finding:
    """Adam is insensitive to its betas."""
    return betas_matter(False)


@claim("002", trains=True)
def adam_sensitive() -> Finding:
    """Adam is sensitive to its betas."""
    return betas_matter(True)
