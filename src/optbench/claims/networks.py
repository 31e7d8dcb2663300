"""Claims that need networks: sensitivity to the rate, speed, generalization, decay of weights, vanishing gradients."""

import functools
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
from scipy import stats
from torch import nn

from optbench import optimizers
from optbench.checks import UserError
from optbench.claims.claim import SEEDS, Finding, claim, listed, verdict
from optbench.results.frame import evaluations, load

ROOT = Path("results/runs/claims")
SMALL = [
    "data.train_size=2000",
    "data.val_fraction=0.2",
    "model.hidden=[32]",
    "trainer.max_epochs=5",
    "logger=none",
    "trajectory=false",
    "figures=[]",
]
ALL_SEEDS = f"seed=range({SEEDS})"
RATES = "1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,1e-1,3e-1,1"


def trained(name: str, *overrides: str) -> pd.DataFrame:
    """Return the runs of a sweep, trained unless they lie there already.

    Args:
        name: Of its directory below `ROOT`.
        *overrides: What `optbench train -m` is given beside `SMALL`.

    Raises:
        UserError: The sweep did not come to its end.
    """
    folder = ROOT / name
    if not folder.exists():
        command = [sys.executable, "-m", "optbench", "train", "-m", *SMALL, *overrides, f"hydra.sweep.dir={folder}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{folder}: the sweep of the claim ended with {done.returncode}; {done.stderr[-300:]}")
    return load(folder)


@functools.cache
def by_rate() -> pd.DataFrame:
    """Return nine optimizers at nine rates."""
    names = "sgd,momentum,nag,adagrad,rmsprop,adadelta,adam,nadam,amsgrad"
    return trained("rates", f"optimizer={names}", f"optimizer.lr={RATES}", ALL_SEEDS)


ByRate = dict[str, dict[float, float]]
"""A number by optimizer and rate."""


def means(measure: str) -> ByRate:
    """Return the mean of a measure over the seeds; a run that did not end well counts as the worst there is."""
    frame = by_rate()
    worst = 0.0 if measure.endswith("accuracy") else float("inf")
    return tabulated(frame, frame[measure].where(frame["status"] == "done", worst))


def tabulated(frame: pd.DataFrame, values: "pd.Series[float]") -> ByRate:
    """Return the means of values, a run each, by optimizer and rate."""
    table: ByRate = {}
    names = frame["optimizer"].reindex(values.index)
    rates = frame["lr"].reindex(values.index)
    means = values.groupby([names, rates]).mean().reset_index().to_numpy().tolist()
    for name, lr, mean in means:
        table.setdefault(name, {})[lr] = mean
    return table


def best_rates() -> dict[str, float]:
    """Return the rate of each optimizer that is best on the validation split."""
    return {name: max(column, key=column.__getitem__) for name, column in means("final_val_accuracy").items()}


def at_best(table: ByRate, scale: float = 1.0) -> dict[str, float]:
    """Return a table's value of each optimizer at its best rate."""
    return {name: scale * table[name][lr] for name, lr in best_rates().items()}


def at_default(table: ByRate) -> dict[str, float]:
    """Return a table's value of each optimizer at the rate that is nearest to its default."""
    found = {}
    for name, column in table.items():
        default = getattr(optimizers, name).hyper["lr"]
        found[name] = column[min(column, key=lambda lr: abs(lr / default - 1))]  # 0.003 is on the grid, 0.002 is not
    return found


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


def widths() -> dict[str, int]:
    """Return at how many of the nine rates an optimizer is within two points of its best validation accuracy."""
    table = means("final_val_accuracy")
    return {name: sum(x >= max(column.values()) - 0.02 for x in column.values()) for name, column in table.items()}


@claim("001, 002", trains=True)
def adagrad_tuning() -> Finding:
    """Adagrad makes tuning the learning rate unnecessary."""
    column = means("final_test_accuracy")["Adagrad"]
    numbers = ", ".join(f"{lr:g}: {100 * x:.1f} %" for lr, x in sorted(column.items()))
    return Finding(verdict(widths()["Adagrad"] >= 7), f"test accuracy by rate, {SEEDS} seeds: {numbers}")


@claim("003", trains=True)
def robust_rates() -> Finding:
    """Adaptive methods are less sensitive to the learning rate than SGD and momentum."""
    near = widths()
    adaptive = [near[name] for name in ("Adagrad", "RMSprop", "Adam")]
    plain = [near[name] for name in ("SGD", "Momentum")]
    measured = f"rates of nine, from 1e-4 to 1, within two points of the best: {listed(near, 'd')}"
    if min(adaptive) > max(plain):
        return Finding("holds", measured)
    condition = "it depends on which: adaptive rates move the best rate more than they widen its range"
    return Finding("holds only if" if max(adaptive) > max(plain) else "fails", measured, condition)


@claim("000, 004", trains=True)
def out_of_the_box() -> Finding:
    """Adam works well out of the box."""
    table = means("final_test_accuracy")
    default = at_default(table)
    lost = {name: 100 * (best - default[name]) for name, best in at_best(table).items()}
    measured = f"points of test accuracy that the default rate loses to the best: {listed(lost, '.1f')}"
    return Finding(verdict(lost["Adam"] <= 1.0), measured)


@claim("001", trains=True)
def rmsprop_default() -> Finding:
    """0.001 is a good default rate for RMSprop."""
    column = means("final_test_accuracy")["RMSprop"]
    measured = f"test accuracy at 0.001 {column[1e-3]:.1%}, at 0.01 {column[1e-2]:.1%}"
    return Finding(verdict(column[1e-3] > column[1e-2]), measured)


@claim("001, 003", trains=True)
def adaptive_faster() -> Finding:
    """Momentum, RMSprop and Adam converge faster than SGD."""
    after = at_best(tabulated(by_rate(), first_epoch()))
    faster = max(after[name] for name in ("RMSprop", "Adam", "Momentum")) < after["SGD"]
    return Finding(verdict(faster), f"training loss after one epoch, best rate each: {listed(after, '.3f')}")


@claim("003", trains=True)
def adam_rmsprop() -> Finding:
    """Adam is better than RMSprop."""
    accuracy = at_best(means("final_test_accuracy"), 100)
    three = {name: accuracy[name] for name in ("Adam", "RMSprop", "NAdam")}
    measured = f"test accuracy, best rate each, {SEEDS} seeds, %: {listed(three, '.2f')}"
    return Finding(verdict(three["Adam"] > three["RMSprop"] + 0.3), measured)


@claim("001", trains=True)
def nadam_adam() -> Finding:
    """Between NAdam and Adam nothing can be decided."""
    gap, p = paired("NAdam", "Adam", by_rate()["final_test_accuracy"])
    measured = f"NAdam minus Adam, best rate each, {SEEDS} pairs: {100 * gap:+.2f} points, p = {p:.2g}"
    return Finding(verdict(p > 0.05), measured)


@claim("001", trains=True)
def generalization() -> Finding:
    """Adam generalizes worse than SGD."""
    train, test = (at_best(means(f"final_{split}_accuracy"), 100) for split in ("train", "test"))
    gap = {name: train[name] - test[name] for name in train}
    measured = (
        f"training minus test accuracy, best rate each, points: {listed(gap, '.1f')}; "
        f"test accuracy, %: {listed(test, '.1f')}"
    )
    return Finding(
        verdict(test["Adam"] < test["SGD"] - 0.3), measured, "on these digits what trains further also tests better"
    )


@functools.cache
def decays() -> pd.DataFrame:
    """Return Adam and AdamW at six decays."""
    return trained("decay", "optimizer=adam,adamw", "++optimizer.weight_decay=0,1e-3,1e-2,1e-1,1,10", ALL_SEEDS)


@functools.cache
def norms() -> ByRate:
    """Return the mean final norm of the weights, by optimizer and decay."""
    frame = decays()
    last = evaluations(frame).groupby("run").tail(1).set_index("run")["weight_norm"]
    return tabulated(frame.assign(lr=frame["weight_decay"]), last)


@claim("001", trains=True)
def adamw_norm() -> Finding:
    """AdamW shrinks the weights more than Adam with L2."""
    adam = norms()["Adam"]
    adamw = norms()["AdamW"]
    decays = sorted(adam)
    numbers = ", ".join(f"{decay:g}: {adam[decay]:.2f} and {adamw[decay]:.2f}" for decay in decays)
    measured = f"norm of the weights with Adam and AdamW after 5 epochs, by decay: {numbers}"
    less = [decay for decay in decays if decay and adamw[decay] < adam[decay] - 0.05]
    if len(less) == len(decays) - 1:
        return Finding("holds", measured)
    if less:
        return Finding("holds only if", measured, f"the decay is {' or '.join(f'{decay:g}' for decay in less)}")
    return Finding("fails", measured, "Adam divides the decay by small second moments, which makes it larger")


def ratio(activation: type[nn.Module], normalized: bool = False, residual: bool = False) -> float:
    """Return the gradient of the second of ten hidden layers over that of the last, at the start: a median."""
    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        layers = nn.ModuleList([nn.Linear(784, 32), *(nn.Linear(32, 32) for _ in range(9))])
        norms = nn.ModuleList([nn.BatchNorm1d(32) if normalized else nn.Identity() for _ in layers])
        head = nn.Linear(32, 10)
        act = activation()
        h = torch.randn(256, 784)
        for layer, norm in zip(layers, norms, strict=True):
            new = act(norm(layer(h)))
            h = h + new if residual and h.shape == new.shape else new
        loss = nn.functional.cross_entropy(head(h), torch.randint(10, (256,)))
        weights = [layer.get_parameter("weight") for layer in layers]
        sizes = [float(g.norm()) for g in torch.autograd.grad(loss, weights)]
        found.append(sizes[1] / sizes[-1])  # the first has another shape
    return sorted(found)[SEEDS // 2]


@claim("002")
def vanishing() -> Finding:
    """ReLU, batch normalization and residual links keep gradients from vanishing."""
    cases = {
        "sigmoid": ratio(nn.Sigmoid),
        "tanh": ratio(nn.Tanh),
        "ReLU": ratio(nn.ReLU),
        "sigmoid + batch norm": ratio(nn.Sigmoid, normalized=True),
        "sigmoid + residual": ratio(nn.Sigmoid, residual=True),
    }
    ok = all(x > 10 * cases["sigmoid"] for name, x in cases.items() if name not in ("sigmoid", "tanh"))
    return Finding(verdict(ok), f"gradient of layer 2 over that of layer 10 at the start: {listed(cases, '.1g')}")
