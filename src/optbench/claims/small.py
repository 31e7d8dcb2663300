"""Claims about small networks, whose seeds and rates are trained at once: a row of weights for each."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

from optbench.claims.claim import SEEDS, Finding, claim, listed, verdict
from optbench.data import MNISTSubset
from optbench.optimizers import LBFGS, NAG, SGD, Adam, Momentum, Objective, RMSprop, Rprop
from optbench.surfaces.descent import evaluated, with_rates

Split = tuple[Tensor, Tensor]
Shape = tuple[int, int]
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
FITTED = 0.1
"""The training loss at which networks are compared."""


@functools.cache
def digits() -> dict[str, Split]:
    """Return images (n, 7, 7), cells of MNIST's averaged, and their classes: 200 to train on, 500, 1,000 for tests."""
    data = MNISTSubset(train_size=700, test_size=1000, val_fraction=5 / 7)
    data.setup()
    splits = {name: data.split(name) for name in ("train", "val", "test")}
    return {name: (x.double().view(-1, 7, 4, 7, 4).mean((2, 4)), y) for name, (x, y) in splits.items()}


@dataclass(frozen=True)
class Network:
    """A network whose weights are a row of numbers.

    Attributes:
        shapes: Those of its weights and, with one row, of its biases.
        forward: From the weights, (rows, *shape) each, and images (rows, n, 7, 7) to outputs (rows, n, 10).
    """

    shapes: tuple[Shape, ...]
    forward: Callable[..., Tensor]

    def starts(self, scale: float = 1.0) -> Tensor:
        """Return a row for each seed: weights uniform to a root of their inputs as torch's, times a scale; biases 0."""
        rows = []
        for seed in range(SEEDS):
            draw = torch.Generator().manual_seed(seed)
            parts = [2 * torch.rand(shape, generator=draw, dtype=torch.float64) - 1 for shape in self.shapes]
            bounds = [0.0 if inputs == 1 else scale / inputs**0.5 for inputs, _ in self.shapes]
            rows.append(torch.cat([bound * part.flatten() for bound, part in zip(bounds, parts, strict=True)]))
        return torch.stack(rows)

    def outputs(self, w: Tensor, x: Tensor) -> Tensor:
        """Return the outputs of rows of weights (k, n) for images of each (k, m, 7, 7), or for the same of all."""
        parts = torch.split(w, [math.prod(shape) for shape in self.shapes], dim=1)
        weights = [part.view(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return self.forward(*weights, x.expand(len(w), *x.shape[-3:]))

    def losses(self, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of each row of weights."""
        out = self.outputs(w, x)
        each = nn.functional.cross_entropy(out.flatten(0, 1), y.expand(len(w), y.shape[-1]).flatten(), reduction="none")
        return each.view(len(w), -1).mean(1)

    def accuracies(self, w: Tensor, split: str) -> Tensor:
        """Return the accuracy of each row of weights (rates, seeds, n), in per cent; 0 where they are not finite."""
        x, y = digits()[split]
        right = (self.outputs(w.flatten(0, 1), x).argmax(2) == y).double().mean(1).view(w.shape[:2])
        return 100 * right * w.isfinite().all(2)


def perceptron(into: Tensor, bias: Tensor, out: Tensor, last: Tensor, x: Tensor) -> Tensor:
    """Return what a layer of ReLUs makes of images."""
    return torch.relu(x.flatten(2) @ into + bias) @ out + last


def reader(into: Tensor, back: Tensor, bias: Tensor, out: Tensor, last: Tensor, x: Tensor) -> Tensor:
    """Return what a recurrent layer (Elman, 1990) makes of images that it reads line by line."""
    h = torch.zeros(*x.shape[:2], len(back[0]), dtype=x.dtype)
    for line in x.unbind(2):
        h = torch.tanh(line @ into + h @ back + bias)
    return h @ out + last


PERCEPTRON = Network(((49, 16), (1, 16), (16, 10), (1, 10)), perceptron)
READER = Network(((7, 16), (16, 16), (1, 16), (16, 10), (1, 10)), reader)


def walk(
    network: Network, rule: Any, start: Tensor, batch: int, steps: int, rates: Sequence[float] = RATES, every: int = 10
) -> Iterator[Tensor]:
    """Yield the weights (rates, seeds, n) after every so many steps on mini-batches, which depend on the seed only."""
    p = nn.Parameter(start.repeat(len(rates), 1))
    lr = torch.tensor(rates, dtype=start.dtype).repeat_interleave(len(start))
    optimizer = with_rates(rule, lr[:, None])([p])
    (x, y) = digits()["train"]
    draw = torch.Generator().manual_seed(0)
    whole = torch.arange(len(y)).expand(len(start), -1)
    for t in range(1, steps + 1):
        index = whole if batch == len(y) else torch.randint(len(y), (len(start), batch), generator=draw)
        index = index.repeat(len(rates), 1)
        optimizer.step(Objective(partial(total, network, p, x[index], y[index]), [p]))
        if t % every == 0:
            yield evaluated(optimizer, p).view(len(rates), len(start), -1)


def total(network: Network, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the sum of the losses of rows of weights, none of which knows of the others."""
    return network.losses(w, x, y).sum()


def fitted(network: Network, walked: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Return weights (rates, seeds, n) where the training loss first is `FITTED`, NaN if never, and at which yield."""
    found = when = torch.empty(0)
    for turn, w in enumerate(walked, 1):
        if not len(found):
            found = torch.full_like(w, torch.nan)
            when = torch.full(w.shape[:2], torch.nan)
        with torch.no_grad():
            low = network.losses(w.flatten(0, 1), *digits()["train"]).view(w.shape[:2]) < FITTED
        new = low & when.isnan()
        found = torch.where(new[..., None], w, found)
        when = torch.where(new, float(turn), when)
        if not when.isnan().any():
            break
    return found, when


def last(walked: Iterator[Tensor]) -> Tensor:
    """Return what comes last."""
    *_, end = walked
    return end


def best(network: Network, w: Tensor) -> tuple[int, Tensor]:
    """Return the place of the rate that is best on the validation split, over the seeds, and its test accuracies."""
    place = int(network.accuracies(w, "val").mean(1).argmax())
    return place, network.accuracies(w, "test")[place]


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
