"""Claims about minima, saddles and plateaus: who leaves them."""

import math
from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import SEEDS, Finding, at, claim, first_below, listed, path, verdict
from optbench.optimizers import NAG, SGD, Adagrad, Adam, Momentum, RMSprop
from optbench.surfaces.descent import descend
from optbench.surfaces.terrain import gradients, hessians, name_point

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
START = (-0.9,)
"""On `x_cos_pi_x`, left of the shallow minimum at -0.274; the deep one lies at 1.09."""


def leaves(rule: Any, lr: float, steps: int = 500, **options: Any) -> bool:
    """Return whether a rule ends in the deep minimum of `x_cos_pi_x`, from left of the shallow one."""
    surface = surfaces.get("x_cos_pi_x")
    end = path("x_cos_pi_x", partial(rule, lr=lr), START, steps, project=surface.clamp, **options)[-20:].mean()
    return bool(abs(float(end) - 1.0904) < 0.2)


def escapes(rule: Any) -> list[float]:
    """Return the rates of the grid at which a rule leaves the shallow minimum."""
    return [lr for lr in RATES if leaves(rule, lr)]


def told(found: dict[str, list[float]]) -> str:
    """Return which rules leave, at which rates."""
    return "; ".join(
        f"{name} {'at ' + ', '.join(f'{x:g}' for x in at) if at else 'never'}" for name, at in found.items()
    )


@claim("000, 001, 002")
def local_minimum() -> Finding:
    """Momentum, NAG, RMSprop and Adam leave shallow minima, in which gradient descent stays."""
    found = {rule.__name__: escapes(rule) for rule in (SGD, Momentum, NAG, RMSprop, Adam)}
    some = all(found[name] for name in ("Momentum", "NAG", "RMSprop", "Adam"))
    measured = f"from -0.9, rates {RATES[0]:g} to {RATES[-1]:g}, it leaves the minimum at -0.274: {told(found)}"
    if some and not found["SGD"]:
        return Finding("holds", measured)
    return Finding("holds only if", measured, "the velocity carries it over the hill, which its rate decides")


@claim("000")
def nag_local_minimum() -> Finding:
    """NAG, which oscillates less, leaves fewer local minima than momentum."""
    found = {rule.__name__: escapes(rule) for rule in (Momentum, NAG)}
    return Finding(verdict(len(found["NAG"]) < len(found["Momentum"])), told(found))


@claim("000, 001, 003, 004")
def noise_local_minimum() -> Finding:
    """The noise of stochastic gradients leaves local minima."""
    surface = surfaces.get("x_cos_pi_x")
    counts = {}
    for sigma in (0.0, 2.0, 4.0, 6.0):
        counts[sigma] = 0
        for seed in range(SEEDS):
            rule = partial(SGD, lr=0.02)
            walked = descend(surface.f, rule, at(*START), 500, noise=sigma, seed=seed, project=surface.clamp)
            counts[sigma] += bool((walked[-100:] > 0.5).all())
    numbers = ", ".join(f"{count} at sigma {sigma:g}" for sigma, count in counts.items())
    return Finding(
        "holds only if", f"of {SEEDS} runs leave and stay out: {numbers}", "the noise is as strong as the hill is steep"
    )


def falling(t: int, eta: float) -> float:
    """Return a rate that falls along a cosine over 1,000 steps."""
    return eta * (1 + math.cos(math.pi * t / 1000)) / 2


def swinging(t: int, eta: float) -> float:
    """Return a rate that falls along a cosine over 100 steps, and begins anew."""
    return eta * (1 + math.cos(math.pi * (t % 100) / 100)) / 2


@claim("002")
def schedule_local_minimum() -> Finding:
    """Schedules of the learning rate lead out of local minima."""
    surface = surfaces.get("x_cos_pi_x")
    counts = {}
    start = at(*START).expand(SEEDS, 1)
    for name, schedule in {"constant": None, "falling": falling, "cyclic": swinging}.items():
        rule = partial(SGD, lr=0.04)
        options = dict[str, Any](noise=4.0, batched=True, project=surface.clamp)
        walked = descend(surface.f, rule, start, 1000, schedule=schedule, **options)
        counts[name] = int(((walked[-50:, :, 0] - 1.0904).abs().amax(0) < 0.25).sum())
    numbers = listed(counts)
    measured = f"of {SEEDS} runs with noise of 4 that start left of the shallow minimum rest in the deep one: {numbers}"
    better = max(counts["falling"], counts["cyclic"]) > counts["constant"]
    return Finding("holds only if" if better else "fails", measured, "there is noise, which it lets rest in the end")


def along_saddle(rule: Any, beside: float, noise: float = 0.0, seed: int = 0) -> int | None:
    """Return after how many steps a rule is away from the saddle's ridge by 1, or None within 200."""
    surface = surfaces.get("saddle")
    walked = descend(surface.f, rule, at(1.5, beside), 200, noise=noise, seed=seed, project=surface.clamp)
    return first_below(-walked[:, 1].abs(), -1.0)


@claim("000, 001")
def momentum_settles() -> Finding:
    """Momentum leaves shallow minima, and settles in the deep one."""
    surface = surfaces.get("x_cos_pi_x")
    counts = {}
    for lr in escapes(Momentum):
        starts = torch.linspace(-0.95, 1.95, SEEDS, dtype=torch.float64)[:, None]
        rule = partial(Momentum, lr=lr)
        walked = descend(surface.f, rule, starts, 500, batched=True, project=surface.clamp)
        counts[lr] = int(((walked[-50:, :, 0] - 1.0904).abs().amax(0) < 0.1).sum())
    numbers = ", ".join(f"{count} at {lr:g}" for lr, count in counts.items())
    measured = f"of {SEEDS} starts along x cos πx come to rest in the deep minimum, by rate: {numbers}"
    if min(counts.values()) == SEEDS:
        return Finding("holds", measured)
    return Finding("holds only if", measured, "it starts where its speed carries it out of the shallow minimum")


@claim("000, 001, 002")
def saddle() -> Finding:
    """Gradient descent stalls at saddle points."""
    on = along_saddle(partial(SGD, lr=0.1), 0.0)
    beside = along_saddle(partial(SGD, lr=0.1), 1e-3)
    noisy = [along_saddle(partial(SGD, lr=0.1), 0.0, noise=0.1, seed=seed) for seed in range(SEEDS)]
    left = sorted(n for n in noisy if n is not None)
    measured = (
        f"on the ridge it {'never leaves' if on is None else f'leaves after {on} steps'}, a thousandth beside it it "
        f"leaves after {beside} steps, and with noise of 0.1 in {len(left)} of {SEEDS} runs, "
        f"after {left[len(left) // 2]} in the median"
    )
    return Finding("holds only if", measured, "nothing disturbs it; any noise ends it")


@claim("000, 001, 002")
def saddle_adaptive() -> Finding:
    """Momentum and adaptive rates, such as Adam's or Adagrad's, speed past saddle points."""
    rules = {
        "SGD": partial(SGD, lr=0.1),
        "Momentum": partial(Momentum, lr=0.1),
        "Adagrad": partial(Adagrad, lr=0.1),
        "RMSprop": partial(RMSprop, lr=0.1),
        "Adam": partial(Adam, lr=0.1),
    }
    left = {name: along_saddle(rule, 1e-3) for name, rule in rules.items()}
    plain = left["SGD"] or 0
    sooner = all((left[name] or 10**9) < plain for name in ("Momentum", "Adagrad", "Adam"))
    return Finding(
        verdict(sooner), f"steps until it is away by 1, from a thousandth beside the ridge, lr 0.1: {listed(left)}"
    )


@claim("002")
def saddle_batch() -> Finding:
    """Larger batches help at saddle points."""
    medians = {}
    for batch in (1, 16, 256):
        runs = [along_saddle(partial(SGD, lr=0.1), 0.0, noise=batch**-0.5, seed=seed) for seed in range(SEEDS)]
        medians[batch] = sorted(200 if n is None else n for n in runs)[SEEDS // 2]
    measured = f"median steps to leave the ridge, noise of 1 a sample, by batch: {listed(medians)}"
    return Finding(verdict(medians[256] < medians[1]), measured, "less noise holds it longer")


@claim("001")
def maxima() -> Finding:
    """Descent rarely stays at a maximum."""
    surface = surfaces.get("x_cos_pi_x")
    top = at(*surface.maxima[0]).expand(SEEDS, 1)
    stayed = {}
    for sigma in (0.0, 0.01):
        ends = descend(surface.f, partial(SGD, lr=0.02), top, 300, noise=sigma, batched=True)[-1]
        stayed[sigma] = int(((ends - top).abs() < 0.1).sum())
    numbers = ", ".join(f"{count} with noise of {sigma:g}" for sigma, count in stayed.items())
    measured = f"of {SEEDS} runs that start on the maximum of x cos πx stay there: {numbers}"
    return Finding(verdict(stayed[0.01] == 0), measured)


@claim("001, 003")
def noise_plateau() -> Finding:
    """The noise of stochastic gradients leads off plateaus."""
    surface = surfaces.get("tanh")
    counts = {}
    start = torch.full((SEEDS, 1), 4.0, dtype=torch.float64)
    for sigma in (0.0, 0.3, 1.0, 3.0):
        walked = descend(surface.f, partial(SGD, lr=0.1), start, 1000, noise=sigma, batched=True)
        counts[sigma] = int((walked[:, :, 0].amin(0) < 0).sum())
    numbers = ", ".join(f"{count} with noise of {sigma:g}" for sigma, count in counts.items())
    measured = f"of {SEEDS} runs of 1,000 steps of 0.1 from 4 on tanh come down: {numbers}"
    some = counts[3.0] > counts[0.0]
    return Finding("holds only if" if some else "fails", measured, "it is strong: what it does there is a random walk")


def two_steps(x: Tensor) -> Tensor:
    """Return a curve that falls, is flat for a while, and falls again."""
    return -(x[..., 0].tanh() + (x[..., 0] - 7).tanh())


@claim("000, 001, 003")
def momentum_plateau() -> Finding:
    """Momentum coasts across plateaus."""
    steps = {}
    for rule in (SGD, Momentum):
        walked = descend(two_steps, partial(rule, lr=0.1), at(-1.0), 8000)[:, 0]
        steps[rule.__name__] = first_below(-walked, -7.0)
    numbers = ", ".join(f"{name} {'not in 8,000' if n is None else n}" for name, n in steps.items())
    measured = f"steps of 0.1 down a slope, across a plateau of some 5 and to the next slope: {numbers}"
    return Finding(verdict((steps["Momentum"] or 10**9) < (steps["SGD"] or 10**8) / 5), measured)


@claim("002")
def vanishing_tanh() -> Finding:
    """At 4 tanh has a slope of 0.0013, and descent is stuck there."""
    x = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    slope = float(torch.autograd.grad(torch.tanh(x), x)[0])
    sgd, adam = (float(path("tanh", partial(rule, lr=0.1), (4.0,))[-1]) for rule in (SGD, Adam))
    measured = f"slope {slope:.5f}; 100 steps of 0.1 from 4 lead SGD to {sgd:.3f}, Adam to {adam:.2f}"
    return Finding(verdict(abs(slope - 0.00134) < 1e-5 and sgd > 3.9), measured)


@claim("000, 001, 002")
def convex() -> Finding:
    """On convex functions gradient descent finds the global minimum."""
    draw = torch.Generator().manual_seed(0)
    worst = 0.0
    for name in ("bowl", "mild_bowl", "elongated_bowl", "shallow_bowl", "ravine"):
        surface = surfaces.get(name)
        starts = 6 * (2 * torch.rand(SEEDS, 2, generator=draw, dtype=torch.float64) - 1)
        ends = descend(surface.f, partial(SGD, lr=0.05), starts, 4000, batched=True)[-1]
        worst = max(worst, float(surface.above(ends).max()))
    return Finding(verdict(worst < 1e-6), f"{SEEDS} starts on each of 5 bowls: at most {worst:.1g} above the minimum")


@claim("001")
def nonconvex() -> Finding:
    """On functions that are not convex it finds a local one."""
    draw = torch.Generator().manual_seed(0)
    kinds = Counter[str]()
    for name, lr in {"wavy_bowl": 0.2, "himmelblau": 0.004, "three_hump_camel": 0.02}.items():
        surface = surfaces.get(name)
        ends = descend(surface.f, partial(SGD, lr=lr), surface.anywhere(SEEDS, draw), 3000, batched=True)[-1]
        flat = gradients(surface.f, ends).norm(dim=1) < 1e-6
        curvatures = torch.linalg.eigvalsh(hessians(surface.f, ends))
        kinds.update(name_point(x) if still else "nowhere" for x, still in zip(curvatures, flat, strict=True))
    ends_of = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    measured = f"ends of {kinds.total()} starts on wavy_bowl, himmelblau and three_hump_camel: {ends_of}"
    return Finding(verdict(kinds["minimum"] == kinds.total()), measured)
