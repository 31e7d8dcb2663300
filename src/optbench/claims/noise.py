"""Claims about noise and mini-batches: how much there is, what averages it, who bears it."""

from functools import partial
from typing import Any

import torch

from optbench.certificates.properties import rarity_gain
from optbench.claims.claim import SEEDS, Finding, at, claim, first_below, listed, verdict
from optbench.optimizers import NAG, SGD, Adadelta, Adagrad, Adam, Adamax, Momentum, RMSprop, Rprop
from optbench.surfaces.descent import descend, with_rates
from optbench.surfaces.problems import line, sparse_dense
from optbench.surfaces.terrain import hessians


def gradients(batch: int, draws: int = 4000) -> torch.Tensor:
    """Return gradients of mini-batches of a noisy regression at one point, (draws, 2)."""
    surface = line(points=1000, noise=1.0)
    draw = torch.Generator().manual_seed(0)
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    assert surface.parts is not None
    found = []
    for _ in range(draws):
        index = torch.randint(surface.samples, (batch,), generator=draw)
        found.append(torch.autograd.grad(surface.parts(w, index), w)[0])
    return torch.stack(found)


@claim("001, 002")
def batch_variance() -> Finding:
    """The variance of a mini-batch's gradient falls as 1 / B, and its mean stays."""
    spread = {}
    mean = {}
    for batch in (1, 4, 16, 64):
        drawn = gradients(batch)
        spread[batch] = float(drawn.var(0).sum())
        mean[batch] = drawn.mean(0)
    numbers = ", ".join(f"{batch}: {batch * v / spread[1]:.2f}" for batch, v in spread.items())
    drift = float((mean[64] - mean[1]).norm() / mean[1].norm())
    even = all(abs(batch * v / spread[1] - 1) < 0.1 for batch, v in spread.items())
    return Finding(
        verdict(even), f"batch times variance, of that of one sample: {numbers}; the means differ by {drift:.1%}"
    )


@claim("000, 001, 003, 004")
def batch_paths() -> Finding:
    """Batch descent goes straight, single samples zigzag and end in noise, mini-batches lie between."""
    surface = line(points=200, noise=1.0)
    lengths = {}
    ends = {}
    for batch in (1, 10, 200):
        crooked = []
        away = []
        for seed in range(SEEDS):
            walked = descend(surface.stream(batch, seed), partial(SGD, lr=0.02), at(1.0, 1.0), 1000, online=True)
            crooked.append(float(walked.diff(dim=0).norm(dim=1).sum()))
            away.append(float(surface.above(walked[-100:]).mean()))
        lengths[batch] = sum(crooked) / SEEDS
        ends[batch] = sum(away) / SEEDS
    numbers = ", ".join(f"{batch}: {lengths[batch]:.1f} and {ends[batch]:.4f}" for batch in lengths)
    ordered = lengths[1] > lengths[10] > lengths[200] and ends[1] > ends[10] > ends[200]
    return Finding(
        verdict(ordered),
        f"length of the path and loss above the lowest, by batch, 1,000 steps, {SEEDS} seeds: {numbers}",
    )


@claim("000, 001, 003, 004")
def batch_epoch() -> Finding:
    """For the same pass over the data, smaller batches come further."""
    surface = line(points=200, noise=1.0)
    after = {}
    for batch in (1, 10, 200):
        losses = []
        for seed in range(SEEDS):
            start = at(1.0, 0.0)
            walked = descend(surface.stream(batch, seed), partial(SGD, lr=0.02), start, 200 // batch, online=True)
            losses.append(float(surface.above(walked[-1])))
        after[batch] = sum(losses) / SEEDS
    return Finding(
        verdict(after[1] < after[10] < after[200]),
        f"loss above the lowest after one pass over 200 samples, by batch: {listed(after, '.3f')}",
    )


@claim("001, 002")
def noise_averaging() -> Finding:
    """Momentum averages the noise of gradients."""
    found = {}
    for form in ("ema", "sum"):
        start = torch.zeros(2000, dtype=torch.float64)
        walked = descend(lambda x: 0 * x.sum(), partial(Momentum, lr=1.0, beta=0.9, form=form), start, 300, noise=1.0)
        found[form] = float(walked[150:].diff(dim=0).var())
    measured = (
        "variance of a step over lr², noise of variance 1, beta = 0.9: "
        f"average form {found['ema']:.3f}, sum form {found['sum']:.2f}"
    )
    return Finding(
        "holds only if",
        measured,
        "v is an average; the sum form's steps are larger than those of plain descent, and vary more",
    )


@claim("000, 003")
def sgd_end() -> Finding:
    """Single samples converge more slowly than full batches."""
    surface = line(points=200, noise=1.0)
    draw = torch.Generator().manual_seed(0)
    assert surface.parts is not None
    parts = surface.parts
    orders = torch.stack([torch.randperm(200, generator=draw) for _ in range(40 * SEEDS)]).view(SEEDS, -1)

    def one_each(w: torch.Tensor, t: int) -> torch.Tensor:
        return torch.stack([parts(x, i[None]) for x, i in zip(w, orders[:, t - 1], strict=True)])

    start = at(1.0, 0.0)
    rule = partial(SGD, lr=0.02)
    single = descend(one_each, rule, start.expand(SEEDS, 2), 8000, online=True, batched=True)[::200]
    full = descend(surface.f, rule, start, 1000)
    told = []
    passes = []
    for name, walked in (("1", single), ("200", full)):
        above = surface.above(walked)
        found = [first_below(above.reshape(len(walked), -1).mean(1), level) for level in (1.0, 0.001)]
        passes.append(found)
        told.append(f"{name}: {', '.join(f'not in {len(walked) - 1}' if n is None else str(n) for n in found)}")
    slower = passes[0][1] is None and passes[1][1] is not None
    return Finding(
        "holds only if" if slower else "fails",
        f"passes over 200 samples until the loss stays within 1 and 0.001 of the lowest, by batch: {'; '.join(told)}",
        "an exact answer is asked for, at a rate that does not fall; at first single samples are far ahead",
    )


@claim("000, 002")
def beta_smooths() -> Finding:
    """The larger beta, the smoother momentum's steps."""
    found = {}
    for beta in (0.5, 0.9, 0.99):
        start = torch.zeros(2000, dtype=torch.float64)
        rule = partial(Momentum, lr=1.0, beta=beta, form="ema")
        found[beta] = float(descend(lambda x: 0 * x.sum(), rule, start, 900, noise=1.0)[600:].diff(dim=0).var())
    measured = f"variance of the velocity, an average, of gradients of variance 1, by beta: {listed(found, '.3f')}"
    return Finding(verdict(found[0.5] > found[0.9] > found[0.99]), measured)


@claim("004")
def rprop_noise() -> Finding:
    """Rprop converges under noisy gradients."""
    ends = {}
    for rule in (partial(Rprop, lr=0.01), partial(SGD, lr=0.05)):
        runs = [descend(lambda w: (w**2).sum(), rule, at(2.0, 2.0), 500, noise=4.0, seed=seed) for seed in range(SEEDS)]
        losses = torch.stack([(run[-100:] ** 2).sum(1).mean() for run in runs])
        ends[rule.func.__name__] = float(losses.mean())
    measured = (
        "mean loss of the last 100 of 500 steps on w² + b² with noise of 4: "
        f"Rprop {ends['Rprop']:.3g}, SGD {ends['SGD']:.2g}"
    )
    return Finding(verdict(ends["Rprop"] < 2 * ends["SGD"]), measured, "it trusts signs, and noise turns these")


@claim("000, 001, 002, 004")
def adagrad_sparse() -> Finding:
    """Adagrad suits sparse features, where SGD and momentum do poorly."""
    surface = sparse_dense()
    best = {}
    for rule in (SGD, Momentum, Adagrad):
        rates = torch.logspace(-4, 1, 21, dtype=torch.float64)
        start = at(*surface.starts[0]).expand(len(rates), -1)
        walked = descend(surface.stream(8, 0), with_rates(rule, rates[:, None]), start, 400, online=True, batched=True)
        best[rule.__name__] = float(surface.above(walked[-40:]).mean(0).nan_to_num(float("inf")).min())
    return Finding(
        verdict(best["Adagrad"] < min(best["SGD"], best["Momentum"]) / 2),
        f"loss above the lowest, best of 21 rates each, one feature in 20 samples: {listed(best, '.4f')}",
    )


@claim("000")
def sparse_elongates() -> Finding:
    """Rare features make the loss steep in some directions and flat in others."""
    told = []
    ratios = []
    for every in (1, 5, 20):
        surface = sparse_dense(every=every, scale=1.0)
        x = torch.tensor(surface.minima, dtype=torch.float64)
        low, high = torch.linalg.eigvalsh(hessians(surface.f, x)[0]).tolist()
        ratios.append(high / low)
        told.append(f"one in {every}: {high / low:.1f}")
    measured = f"highest over lowest curvature, by how many samples have the feature: {', '.join(told)}"
    return Finding(verdict(ratios[-1] > 5 * ratios[0]), measured)


def gain(rule: Any) -> float:
    """Return how far a rare slope moves its weight each time it comes, over how far a constant one does."""
    return rarity_gain({"_target_": f"optbench.optimizers.{rule.__name__}", "_partial_": True})


@claim("000")
def sparse_table() -> Finding:
    """Sparse gradients suit Adagrad and Adam, and neither Adadelta, RMSprop nor NAG."""
    claimed = {Adagrad: True, Adadelta: False, RMSprop: False, Adam: True, NAG: False}
    found = {rule: gain(rule) for rule in claimed}
    numbers = ", ".join(f"{rule.__name__} {x:.1f}" for rule, x in found.items())
    wrong = [rule.__name__ for rule, yes in claimed.items() if (found[rule] > 2) != yes]
    measured = (
        f"a gradient of every 20th step moves its weight, each time, so many times as far as a constant one: {numbers}"
    )
    return Finding("fails" if wrong else "holds", measured, f"not for {', '.join(wrong)}" if wrong else "")


@claim("002, 003")
def rmsprop_sparse() -> Finding:
    """RMSprop suits sparse gradients."""
    farther = gain(RMSprop)
    measured = (
        f"a gradient of every 20th step moves its weight, each time, {farther:.1f} times as far as a constant one"
    )
    return Finding(verdict(farther > 2), measured)


@claim("001")
def adamax_sparse() -> Finding:
    """Adamax suits sparse features better than Adam."""
    a = gain(Adam)
    b = gain(Adamax)
    return Finding(
        verdict(b > a),
        f"a rare gradient's step over a constant one's: Adam {a:.1f}, Adamax {b:.1f}",
        "its maximum does not forget between rare gradients",
    )
