"""Claims about rates of each weight's own: what shrinks them, what keeps them, and where that leads."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import SEEDS, Finding, at, claim, first_below, gradient_steps, listed, path, verdict
from optbench.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, AMSGrad, RMSprop
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.descent import descend, with_rates


def constant(count: int, value: float = 1.0) -> Tensor:
    """Return gradients that stay the same."""
    return torch.full((count,), value, dtype=torch.float64)


@claim("000, 001, 002")
def adagrad_decay() -> Finding:
    """Adagrad's rate falls as t^(-1/2)."""
    step = -gradient_steps(partial(Adagrad, lr=1.0), constant(10_000))
    ratio = float(step[9999] * 100)
    return Finding(verdict(abs(ratio - 1) < 1e-6), f"step 10,000 is {float(step[9999]):.4f} lr, and t^(-1/2) is 0.01")


@claim("000, 001, 002")
def adagrad_stops() -> Finding:
    """Adagrad's steps become so small that it stops before the minimum."""
    reached = {}
    for lr in (0.01, 0.1, 1.0):
        points = path("shallow_bowl", partial(Adagrad, lr=lr), (5.0, 5.0), 20_000)
        reached[lr] = first_below(points.norm(dim=1), 1e-3)
    told = ", ".join(f"lr {lr:g}: {'not in 20,000' if n is None else n} steps" for lr, n in reached.items())
    measured = f"to within 0.001 of the minimum of shallow_bowl from (5, 5): {told}"
    return Finding("holds only if", measured, "the rate is small beside the way; the sum of t^(-1/2) has no bound")


@claim("001")
def adagrad_plateau() -> Finding:
    """Adagrad freezes on plateaus."""
    rule = partial(Adagrad, lr=1.0)
    flat = constant(100, 0.01)
    after = -float(gradient_steps(rule, torch.cat([constant(100, 10.0), flat]))[-1])
    alone = -float(gradient_steps(rule, flat)[-1])
    measured = (
        f"step 100 on a plateau of slope 0.01 is {alone:.2g} lr where it is the first ground, {after:.1g} lr after 100 "
        "steps of slope 10"
    )
    return Finding("holds only if" if after < 0.01 < alone else "fails", measured, "steep ground came before")


@claim("001")
def adagrad_eps() -> Finding:
    """Adagrad's eps has no part in adapting its rates."""
    paths = [path("shallow_bowl", partial(Adagrad, lr=0.5, eps=eps), (5.0, 5.0)) for eps in (1e-8, 1e-14)]
    gap = float((paths[0] - paths[1]).abs().max())
    return Finding(verdict(gap < 1e-6), f"paths on shallow_bowl with eps 1e-8 and 1e-14 differ by {gap:.0e}")


@claim("000, 002, 003")
def rmsprop_rate() -> Finding:
    """RMSprop's average keeps the rate from falling."""
    step = -float(gradient_steps(partial(RMSprop, lr=1.0, alpha=0.9), constant(10_000))[-1])
    return Finding(verdict(abs(step - 1) < 1e-6), f"step 10,000 is {step:.4f} lr")


@claim("004")
def rmsprop_accumulates() -> Finding:
    """RMSprop piles up squared gradients as Adagrad does."""
    rules = {"Adagrad": partial(Adagrad, lr=1.0), "RMSprop": partial(RMSprop, lr=1.0, alpha=0.9)}
    sums = {name: float(gradient_steps(rule, constant(1000))[-1]) ** -2 for name, rule in rules.items()}
    measured = f"after 1,000 gradients of 1 Adagrad divides by the root of {sums['Adagrad']:.0f}, RMSprop of "
    return Finding(
        verdict(sums["RMSprop"] > 100), f"{measured}{sums['RMSprop']:.0f}", "it averages, and forgets what was"
    )


@claim("000, 001")
def adadelta_rate() -> Finding:
    """Adadelta needs no learning rate."""
    reached = {}
    for unit in (0.01, 1.0, 100.0):
        start = unit * at(2.0, 2.0)
        walked = descend(lambda w, unit=unit: ((w / unit) ** 2).sum(), Adadelta, start, 5000)
        reached[unit] = first_below((walked / start).norm(dim=1) / math.sqrt(2), 0.1)
    told = ", ".join(f"{unit:g}: {'not in 5,000' if n is None else n}" for unit, n in reached.items())
    measured = f"steps until a bowl's start is a tenth as far, by the weights' unit: {told}"
    condition = "eps, which has the units of the weights, sets the size of the first steps"
    return Finding(verdict(len(set(reached.values())) == 1), measured, condition)


@claim("000, 001")
def adadelta_decay() -> Finding:
    """Adadelta's steps do not fall to zero."""
    size = gradient_steps(Adadelta, constant(10_000)).abs()
    told = ", ".join(f"{float(size[t - 1]):.2g} at step {t:,}" for t in (1, 100, 10_000))
    return Finding(verdict(float(size[-1]) > float(size[0])), f"on a gradient of 1 its step is {told}")


def slow_after_a_spike(rule: Factory) -> int:
    """Return how many steps after a gradient a thousand times as large are of under half the size of before."""
    gradients = constant(3000)
    gradients[1000] = 1000.0
    size = gradient_steps(rule, gradients).abs()
    return int((size[1001:] < 0.5 * size[999]).sum())


@claim("001")
def adadelta_feedback() -> Finding:
    """Once Adadelta's steps are small they stay so for long."""
    slow = {"Adadelta": slow_after_a_spike(partial(Adadelta, rho=0.9))}
    slow["RMSprop"] = slow_after_a_spike(partial(RMSprop, lr=1.0, alpha=0.9))
    told = listed(slow)
    measured = f"steps of under half the size after a gradient 1,000 times as large, averages of ten steps: {told}"
    return Finding(verdict(slow["Adadelta"] > 2 * slow["RMSprop"]), measured)


@claim("001")
def adamax_spikes() -> Finding:
    """Adamax is robust to spikes of the gradient, where Adam overreacts."""
    gradients = constant(4000)
    gradients[1000] = 100.0
    told = []
    longest = {}
    for rule in (Adam, Adamax):
        size = gradient_steps(partial(rule, lr=1.0), gradients).abs()
        size = size / size[999]
        small = longest[rule.__name__] = int((size[1001:] < 0.5).sum())
        told.append(f"{rule.__name__}: a step of {float(size.max()):.1f} times the usual, then {small} of under half")
    condition = "its maximum forgets as slowly as Adam's average, and from a greater height"
    return Finding(verdict(longest["Adamax"] < longest["Adam"]), "; ".join(told), condition)


@claim("001")
def large_powers() -> Finding:
    """High powers of gradients are unstable, and their maximum, Adamax's, is not."""
    sizes = torch.tensor([0.1, 1.0, 10.0])
    powers = ", ".join(f"{float(x):g}" for x in sizes**99)
    steps = [-float(gradient_steps(partial(Adamax, lr=1.0, eps=1e-12), x[None].double())) for x in sizes]
    told = ", ".join(f"{x:.2f}" for x in steps)
    measured = f"|g|^99 in float32 for 0.1, 1 and 10 is {powers}; Adamax's first steps there are {told} lr"
    return Finding(verdict(not bool((sizes**99).isfinite().all()) and max(steps) < 1.01), measured)


@claim("001")
def amsgrad_correction() -> Finding:
    """AMSGrad's maximum makes the bias correction of the second moment unnecessary."""
    step = -float(gradient_steps(partial(AMSGrad, lr=1.0, form="first", eps=1e-12), constant(1)))
    return Finding(
        verdict(step < 1.1), f"its first step is {step:.1f} lr", "the largest of small values is as much too small"
    )


@claim("001")
def amsgrad_rate() -> Finding:
    """AMSGrad's effective rate never grows, and Adam's does."""
    gradients = constant(300)
    gradients[::50] = 10.0
    grown = {}
    for rule in (partial(Adam, lr=1.0, beta1=0.0), partial(AMSGrad, lr=1.0, beta1=0.0, form="paper")):
        size = gradient_steps(rule, gradients).abs()[100:] / gradients[100:]
        grown[rule.func.__name__] = int((size.diff() > 1e-12).sum())
    told = listed(grown)
    return Finding(verdict(grown["AMSGrad"] == 0 < grown["Adam"]), f"steps of 199 at which the rate grows: {told}")


AVERAGES: dict[str, Any] = dict(beta1=0.0, beta2=1 / 17)
"""As the authors of AMSGrad choose them for slopes of 4 and -1."""


@claim("001")
def adam_diverges() -> Finding:
    """On a simple convex problem Adam does not converge, and AMSGrad does."""
    surface = surfaces.get("reddi")
    ends = {}
    for rule in (partial(Adam, lr=0.01, **AVERAGES), partial(AMSGrad, lr=0.01, form="paper", **AVERAGES)):
        start = torch.zeros(1, dtype=torch.float64)
        walked = descend(surface.stream(1), rule, start, 3000, online=True, project=surface.clamp)
        ends[rule.func.__name__] = float(walked[-1])
    measured = f"on 4x at every third step, else -x, where -1 is best and 1 worst, they end at: {listed(ends, '.2f')}"
    return Finding(verdict(ends["Adam"] > 0.9 and ends["AMSGrad"] < -0.9), measured)


def drifting(x: Tensor, t: int) -> Tensor:
    """Return a parabola whose minimum moves."""
    return (x[..., 0] - 3 * math.sin(2 * math.pi * t / 500)) ** 2 / 2


@claim("000")
def moving_targets() -> Finding:
    """RMSprop suits objectives that change, for which Adagrad is too slow."""
    rates = torch.logspace(-3, 0.5, 15, dtype=torch.float64)
    start = torch.zeros(len(rates) * SEEDS, 1, dtype=torch.float64)
    each = rates.repeat_interleave(SEEDS)[:, None]
    away = {}
    for rule in (SGD, Adagrad, RMSprop, Adam):
        walked = descend(drifting, with_rates(rule, each), start, 3000, online=True, batched=True, noise=1.0)
        aims = torch.tensor([3 * math.sin(2 * math.pi * t / 500) for t in range(3001)], dtype=torch.float64)
        error = (walked[-1000:, :, 0] - aims[-1000:, None]).square().mean(0).view(len(rates), SEEDS).mean(1)
        away[rule.__name__] = float(error.nan_to_num(math.inf).min().sqrt())
    told = listed(away, ".2f")
    measured = f"distance to a minimum that swings between -3 and 3, noise of 1, {SEEDS} seeds, best rate each: {told}"
    return Finding(
        verdict(away["RMSprop"] < 0.9 * away["Adagrad"]), measured, "plain descent follows as well at the best rate"
    )


@claim("001")
def adamw_direct() -> Finding:
    """AdamW's path to the minimum is more direct than that of Adam with L2."""
    told = {}
    for rule in (Adam, AdamW):
        walked = descend(lambda w: (w**2).sum(), partial(rule, lr=0.1, weight_decay=0.1), at(4.0, 1.0), 400)
        length = float(walked.diff(dim=0).norm(dim=1).sum() / (walked[-1] - walked[0]).norm())
        told[rule.__name__] = (length, float(walked[100:200].norm(dim=1).mean()))
    numbers = ", ".join(f"{name} {a:.3f} and {b:.2g}" for name, (a, b) in told.items())
    measured = (
        "on w² + b² from (4, 1), length of the path by the distance of its ends, and mean distance to the minimum of "
        f"steps 100 to 200: {numbers}"
    )
    return Finding(verdict(told["AdamW"][0] < 0.99 * told["Adam"][0]), measured)
