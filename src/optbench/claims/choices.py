"""Claims about which to choose for networks, from the runs of `networks`."""

import functools

import pandas as pd
from scipy import stats

from optbench import optimizers
from optbench.claims.claim import SEEDS, Claim, Finding, verdict
from optbench.claims.networks import (
    ALL_SEEDS,
    at_best,
    best_rates,
    by_rate,
    decays,
    listed,
    means,
    tabulated,
    trained,
)
from optbench.results.frame import evaluations

UNDECIDED = "the difference cannot be told from chance"


@functools.cache
def first_epoch() -> "pd.Series[float]":
    """Return the training loss after the first epoch of each run of `by_rate`."""
    rows = evaluations(by_rate())
    loss: pd.Series[float] = rows[rows["epoch"] == 1].set_index("run")["train_loss"]
    return loss


def paired(one: str, other: str, values: "pd.Series[float]") -> tuple[float, float]:
    """Return by how much two optimizers differ, each at its best rate, seed by seed, and the p of a t-test."""
    frame = by_rate()
    best = best_rates()
    pair = []
    for name in (one, other):
        runs = frame[(frame["optimizer"] == name) & (frame["lr"] == best[name])].sort_values("seed")
        pair.append(values.reindex(runs.index).to_numpy(dtype=float))
    return float((pair[0] - pair[1]).mean()), float(stats.ttest_rel(pair[0], pair[1]).pvalue)


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


def adagrad_is_unfit() -> Finding:
    """Compare Adagrad with other adaptive rates."""
    accuracy = at_best(means("final_test_accuracy"), 100)
    told = {name: accuracy[name] for name in ("Adagrad", "RMSprop", "Adadelta", "Adam")}
    measured = f"test accuracy after 5 epochs, best rate each, {SEEDS} seeds, %: {listed(told, '.2f')}"
    below = told["Adagrad"] < min(x for name, x in told.items() if name != "Adagrad") - 0.3
    return Finding(verdict(below), measured, "a small network, trained for 125 steps, does not come to where it stops")


def adam_by_default() -> Finding:
    """Compare what all reach at their defaults."""
    table = means("final_test_accuracy")
    found = {}
    for name, column in table.items():
        default = getattr(optimizers, name).hyper["lr"]
        found[name] = 100 * column[min(column, key=lambda lr: abs(lr / default - 1))]
    measured = f"test accuracy at the default rates, {SEEDS} seeds, %: {listed(found, '.1f')}"
    best = max(found, key=found.__getitem__)
    return Finding(verdict(best == "Adam"), measured, f"{best} is best here, and each has the rate that it came with")


def gap_is_to_be_small() -> Finding:
    """See whether the optimizers whose training and test accuracies are nearest are the best."""
    train, test = (at_best(means(f"final_{split}_accuracy"), 100) for split in ("train", "test"))
    gap = {name: train[name] - test[name] for name in train}
    rank = float(stats.spearmanr(list(gap.values()), list(test.values())).statistic)
    measured = (
        f"rank correlation of the gap and the test accuracy of {len(gap)} optimizers, best rate each: {rank:+.2f}"
    )
    return Finding(verdict(rank < -0.3), measured, "who trains further has a larger gap and tests better")


def steadier() -> Finding:
    """Compare how much the test accuracy varies over seeds."""
    frame = by_rate()
    best = best_rates()
    spread = {}
    for name in ("SGD", "Momentum", "RMSprop", "Adam"):
        runs = frame[(frame["optimizer"] == name) & (frame["lr"] == best[name])]
        spread[name] = 100 * float(runs["final_test_accuracy"].std())
    measured = f"standard deviation of the test accuracy over {SEEDS} seeds, best rate each: {listed(spread, '.2f')}"
    return Finding(verdict(max(spread["Momentum"], spread["RMSprop"]) < spread["SGD"]), measured)


def adamw_generalizes() -> Finding:
    """Compare Adam with L2 and AdamW, each at its best decay."""
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


def normalization_smooths() -> Finding:
    """Compare which rates of SGD a network bears with and without batch normalization."""
    rates = "optimizer.lr=3e-2,1e-1,3e-1,1,3"
    kinds = "model.normalization=none,batch"
    frame = trained("normalized", "optimizer=sgd", rates, kinds, ALL_SEEDS)
    accuracy = 100 * frame.groupby(["normalization", "lr"])["final_test_accuracy"].mean().unstack()
    told = "; ".join(f"{kind} {', '.join(f'{x:.0f}' for x in accuracy.loc[kind])}" for kind in ("none", "batch"))
    measured = f"test accuracy of SGD at rates 0.03, 0.1, 0.3, 1, 3, by normalization, {SEEDS} seeds, %: {told}"
    good = (accuracy > 70).sum(axis=1)
    return Finding(verdict(good["batch"] > good["none"]), measured)


CLAIMS = (
    Claim(
        "batch_norm", "003", "Batch normalization smooths training: it bears higher rates.", normalization_smooths, True
    ),
    Claim("nag_networks", "000", "NAG is a better choice than momentum.", lambda: better("NAG", "Momentum"), True),
    Claim("adagrad_networks", "001, 002", "Adagrad does not suit networks.", adagrad_is_unfit, True),
    Claim(
        "adadelta_slow",
        "001",
        "Adadelta is slower than RMSprop in practice.",
        lambda: faster("RMSprop", "Adadelta"),
        True,
    ),
    Claim("adam_default", "000, 002", "Adam at its defaults is the best choice.", adam_by_default, True),
    Claim("adam_speed", "003", "Adam converges faster than RMSprop.", lambda: faster("Adam", "RMSprop"), True),
    Claim("nadam_faster", "004", "NAdam converges faster than Adam.", lambda: faster("NAdam", "Adam"), True),
    Claim("amsgrad_better", "001", "AMSGrad improves on Adam.", lambda: better("AMSGrad", "Adam"), True),
    Claim("train_test_gap", "001", "The gap of training to validation should be small.", gap_is_to_be_small, True),
    Claim("steady", "003", "Momentum and RMSprop steady the training.", steadier, True),
    Claim("adamw_generalizes", "001", "AdamW generalizes better than Adam with L2.", adamw_generalizes, True),
    Claim("adam_betas", "003", "Adam is insensitive to its betas.", lambda: betas_matter(False), True),
    Claim("adam_sensitive", "002", "Adam is sensitive to its betas.", lambda: betas_matter(True), True),
)
