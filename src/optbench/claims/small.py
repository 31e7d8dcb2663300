"""Claims about small networks, many of which are trained at once."""

import functools
import itertools
import math
from functools import partial
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

from optbench.claims.claim import SEEDS, Finding, claim, listed, verdict
from optbench.claims.rows import FITTED, PERCEPTRON, RATES, READER, Network, best, digits, fitted, last, total, walk
from optbench.optimizers import LBFGS, NAG, SGD, Adam, Momentum, Objective, RMSprop, Rprop


def against(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Return by how much one (seeds,) is above another on average, where both are finite, and the p of a t-test."""
    gaps = (one - other)[(one - other).isfinite()]
    return float(gaps.mean()), float(stats.ttest_1samp(gaps.tolist(), 0.0).pvalue)


def told(values: dict[Any, Tensor], form: str) -> str:
    """Return the means of values with their names."""
    return listed({str(name): float(x.nanmean()) for name, x in values.items()}, form)


@functools.cache
def by_batch() -> dict[int, Tensor]:
    """Return the test accuracies where SGD fits on batches of 1, 5, 20 and all 200, each at its best of three rates."""
    found = {}
    for batch, steps, slowest in ((1, 20_000, 1), (5, 4000, 2), (20, 2000, 3), (200, 1000, 4)):
        rates = RATES[slowest : slowest + 3]
        every = max(10, 200 // batch)
        reached, _ = fitted(PERCEPTRON, walk(PERCEPTRON, SGD, PERCEPTRON.starts(), batch, steps, rates, every))
        found[batch] = best(PERCEPTRON, reached)[1]
    return found


def by_noise(one: int, other: int) -> Finding:
    """Compare the test accuracies of two sizes of batches at the same training loss."""
    found = by_batch()
    gap, p = against(found[one], found[other])
    measured = (
        f"test accuracy where the training loss on 200 digits first is {FITTED:g}, SGD, best of three rates each, "
        f"{SEEDS} seeds, by batch: {told(found, '.1f')} %; {one} over {other}: {gap:+.2f} points, p = {p:.2g}"
    )
    return Finding(verdict(gap > 0 and p < 0.05), measured)


@claim("002", trains=True)
def adam_batches() -> Finding:
    """Adam does poorly on very small batches."""
    found = {}
    for rule, batch in itertools.product((SGD, Adam), (1, 20)):
        end = last(walk(PERCEPTRON, rule, PERCEPTRON.starts(), batch, 4000 // batch, every=4000 // batch))
        found[f"{rule.__name__} {batch}"] = best(PERCEPTRON, end)[1]
    gap, p = against(found["Adam 20"], found["Adam 1"])
    measured = (
        f"test accuracy after 4,000 images, best of {len(RATES)} rates each, {SEEDS} seeds, by batch: "
        f"{told(found, '.1f')} %; Adam in batches of 20 over one by one: {gap:+.1f} points, p = {p:.2g}"
    )
    return Finding(verdict(gap > 1 and p < 0.05), measured)


def lost_to_starts(rules: dict[str, Any], batch: int) -> tuple[dict[str, float], str]:
    """Return what first weights of another size cost each rule at the worst, in points of test accuracy, and words."""
    worst = {}
    costs = []
    for name, rule in rules.items():
        scales = (0.1, 1.0, 5.0)
        ends = [last(walk(PERCEPTRON, rule, PERCEPTRON.starts(scale), batch, 100, every=100)) for scale in scales]
        place, usual = best(PERCEPTRON, ends[1])
        lost = [float((usual - PERCEPTRON.accuracies(w, "test")[place]).mean()) for w in (ends[0], ends[2])]
        worst[name] = max(lost)
        costs.append(f"{name} {lost[0]:.1f} and {lost[1]:.1f}")
    words = (
        "points of test accuracy that first weights a tenth and five times as large cost after 100 steps, at the rate "
        f"that is best for the usual ones, {SEEDS} seeds: {', '.join(costs)}"
    )
    return worst, words


@claim("002", trains=True)
def rmsprop_start() -> Finding:
    """RMSprop is sensitive to the first weights."""
    worst, words = lost_to_starts({rule.__name__: rule for rule in (SGD, Momentum, RMSprop, Adam)}, 20)
    return Finding(verdict(worst.pop("RMSprop") > max(worst.values()) + 1), words)


@claim("004", trains=True)
def rprop_start() -> Finding:
    """Rprop and Rprop+ are sensitive to the first weights."""
    forms = {"Rprop-": partial(Rprop, form="minus"), "Rprop+": partial(Rprop, form="plus")}
    worst, words = lost_to_starts({**forms, "SGD": SGD, "Adam": Adam}, 200)
    least = min(worst[name] for name in forms)
    return Finding(verdict(least > max(worst["SGD"], worst["Adam"]) + 1), words)


def lbfgs_fits(seed: int, budget: int) -> int:
    """Return after how many gradients of all digits L-BFGS first fits, or the budget."""
    p = nn.Parameter(PERCEPTRON.starts()[seed : seed + 1])
    losses = list[float]()

    def loss() -> Tensor:
        value = total(PERCEPTRON, p, *digits()["train"])
        losses.append(float(value.detach()))
        return value

    LBFGS([p], line_search="strong_wolfe", max_iter=budget).step(Objective(loss, [p]))
    return next((count for count, value in enumerate(losses, 1) if value < FITTED), budget)


def lbfgs_end(seed: int, batch: int, budget: int) -> Tensor:
    """Return the weights of L-BFGS once its gradients of mini-batches are spent."""
    (x, y) = digits()["train"]
    draw = torch.Generator().manual_seed(seed)
    p = nn.Parameter(PERCEPTRON.starts()[seed : seed + 1])
    spent = 0
    optimizer = LBFGS([p], line_search="strong_wolfe", max_iter=1)
    while spent < budget:
        index = torch.randint(len(y), (batch,), generator=draw)
        objective = Objective(partial(total, PERCEPTRON, p, x[index], y[index]), [p])
        optimizer.step(objective)
        spent += objective.grad_evals
    return p.detach()


@claim("003", trains=True)
def lbfgs_networks() -> Finding:
    """L-BFGS, which knows of curvature, fits networks with less work."""
    counts = {"L-BFGS": torch.tensor([float(lbfgs_fits(seed, 500)) for seed in range(SEEDS)])}
    for rule in (SGD, Momentum, Adam):
        _, when = fitted(PERCEPTRON, walk(PERCEPTRON, rule, PERCEPTRON.starts(), 200, 500, RATES[2:], every=5))
        spent = 5 * when.nan_to_num(100.0)
        counts[rule.__name__] = spent[int(spent.mean(1).argmin())]
    measured = (
        f"gradients of all 200 digits until the loss is {FITTED:g}, at most 500, best of five rates each, "
        f"L-BFGS without one, means of {SEEDS} seeds: {told(counts, '.0f')}"
    )
    fewest = float(counts.pop("L-BFGS").mean())
    return Finding(verdict(fewest < min(float(x.mean()) for x in counts.values())), measured)


@claim("004", trains=True)
def lbfgs_batches() -> Finding:
    """L-BFGS, as for factorization, suits deep learning less."""
    rows = torch.cat([lbfgs_end(seed, 20, 300) for seed in range(SEEDS)])
    adam = last(walk(PERCEPTRON, Adam, PERCEPTRON.starts(), 20, 300, every=300))
    found = {"L-BFGS": PERCEPTRON.accuracies(rows[None], "test")[0], "Adam": best(PERCEPTRON, adam)[1]}
    gap, p = against(found["L-BFGS"], found["Adam"])
    measured = (
        f"test accuracy after 300 gradients of mini-batches of 20, Adam at the best of {len(RATES)} rates, "
        f"{SEEDS} seeds: {told(found, '.1f')} %; difference {gap:+.1f} points, p = {p:.2g}"
    )
    return Finding(verdict(gap < 0 and p < 0.05), measured)


def sharpness(network: Network, rows: Tensor) -> Tensor:
    """Return the largest eigenvalue, by magnitude, of the training loss's Hessian at each row, by power iterations."""
    w = rows.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(total(network, w, *digits()["train"]), w, create_graph=True)
    v = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0), dtype=rows.dtype)
    values = torch.zeros(len(rows), dtype=rows.dtype)
    for _ in range(100):
        v = v / v.norm(dim=1, keepdim=True)
        (product,) = torch.autograd.grad(slopes, w, v, retain_graph=True)
        values = (v * product).sum(1)
        v = product
    return values


@claim("001", trains=True)
def adam_sharp() -> Finding:
    """Adam tends to sharp minima."""
    found = {}
    for rule in (SGD, Momentum, Adam):
        reached, _ = fitted(PERCEPTRON, walk(PERCEPTRON, rule, PERCEPTRON.starts(), 20, 1200, RATES[2:6], every=20))
        place, _ = best(PERCEPTRON, reached)
        found[rule.__name__] = sharpness(PERCEPTRON, reached[place])
    gap, p = against(found["Adam"].log(), found["SGD"].log())
    measured = (
        f"largest curvature where the training loss on 200 digits first is {FITTED:g}, best of four rates each, "
        f"means of {SEEDS} seeds: {told(found, '.2f')}; Adam's {math.exp(gap):.2f} times SGD's, p = {p:.2g}"
    )
    return Finding(verdict(gap > 0 and p < 0.05), measured)


@functools.cache
def readers() -> dict[str, Tensor]:
    """Return the test accuracies of recurrent networks after 300 steps, each rule at its best rate."""
    rules = (SGD, Momentum, NAG, RMSprop, Adam)
    ends = {rule.__name__: last(walk(READER, rule, READER.starts(), 20, 300, RATES[1:6], every=300)) for rule in rules}
    return {name: best(READER, end)[1] for name, end in ends.items()}


@claim("000", trains=True)
def rmsprop_rnn() -> Finding:
    """RMSprop is good for recurrent networks."""
    found = readers()
    gap, p = against(found["RMSprop"], found["SGD"])
    short = max(float(x.mean()) for x in found.values()) - float(found["RMSprop"].mean())
    return Finding(
        verdict(gap > 0 and p < 0.05 and short < 1), f"{read(found)}; RMSprop minus SGD {gap:+.1f}, p = {p:.2g}"
    )


@claim("001", trains=True)
def nag_rnn() -> Finding:
    """NAG helps recurrent networks much."""
    found = readers()
    gap, p = against(found["NAG"], found["Momentum"])
    return Finding(verdict(gap > 0 and p < 0.05), f"{read(found)}; NAG minus Momentum {gap:+.2f}, p = {p:.2g}")


def read(found: dict[str, Tensor]) -> str:
    """Return in words what recurrent networks reach."""
    return (
        f"test accuracy of recurrent networks that read 200 digits line by line, 300 steps, best of five rates, "
        f"{SEEDS} seeds: {told(found, '.1f')} %"
    )


@claim("002, 003", trains=True)
def small_batches() -> Finding:
    """The noise of small batches makes networks generalize better."""
    return by_noise(5, 200)


@claim("004", trains=True)
def single_samples() -> Finding:
    """Mini-batches generalize better than single samples."""
    return by_noise(20, 1)
