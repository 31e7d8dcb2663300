"""Claims about minima, saddles and plateaus: who leaves them, and who walks into them."""

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import SEEDS, Claim, Finding, first_below, path, verdict
from optbench.optimizers import NAG, SGD, Adagrad, Adam, Momentum, Newton, RMSprop
from optbench.surfaces.descent import descend
from optbench.surfaces.terrain import gradients, hessians, name_point

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
START = (-0.9,)
"""On `x_cos_pi_x`, left of the shallow minimum at -0.274; the deep one lies at 1.09."""


def leaves(rule: Any, lr: float, steps: int = 500, **options: Any) -> bool:
    """Return whether a rule ends in the deep minimum of `x_cos_pi_x`, from left of the shallow one."""
    surface = surfaces.get("x_cos_pi_x")
    end = path("x_cos_pi_x", partial(rule, lr=lr), START, steps, project=clamped(surface), **options)[-20:].mean()
    return bool(abs(float(end) - 1.0904) < 0.2)


def clamped(surface: surfaces.Surface) -> Any:
    """Return what keeps a point within a surface's window."""
    low, high = torch.tensor(surface.window, dtype=torch.float64).unbind(-1)
    return lambda x: x.clamp(low, high)


def escapes(rule: Any) -> list[float]:
    """Return the rates of the grid at which a rule leaves the shallow minimum."""
    return [lr for lr in RATES if leaves(rule, lr)]


def told(found: dict[str, list[float]]) -> str:
    """Return which rules leave, at which rates."""
    return "; ".join(
        f"{name} {'at ' + ', '.join(f'{x:g}' for x in at) if at else 'never'}" for name, at in found.items()
    )


def momentum_leaves() -> Finding:
    """Try who leaves the shallow minimum without noise, at six rates."""
    found = {rule.__name__: escapes(rule) for rule in (SGD, Momentum, NAG, RMSprop, Adam)}
    some = all(found[name] for name in ("Momentum", "NAG", "RMSprop", "Adam"))
    measured = f"from -0.9, rates {RATES[0]:g} to {RATES[-1]:g}, it leaves the minimum at -0.274: {told(found)}"
    if some and not found["SGD"]:
        return Finding("holds", measured)
    return Finding("holds only if", measured, "the velocity carries it over the hill, which its rate decides")


def nag_stays() -> Finding:
    """Compare at how many rates NAG and momentum leave the shallow minimum."""
    found = {rule.__name__: escapes(rule) for rule in (Momentum, NAG)}
    return Finding(verdict(len(found["NAG"]) < len(found["Momentum"])), told(found))


def noise_leaves() -> Finding:
    """Count in how many of twenty runs noise takes SGD out of the shallow minimum."""
    surface, counts = surfaces.get("x_cos_pi_x"), {}
    for sigma in (0.0, 2.0, 4.0, 6.0):
        counts[sigma] = 0
        for seed in range(SEEDS):
            rule = partial(SGD, lr=0.02)
            start = torch.tensor(START, dtype=torch.float64)
            walked = descend(surface.f, rule, start, 500, noise=sigma, seed=seed, project=clamped(surface))
            counts[sigma] += bool((walked[-100:] > 0.5).all())
    numbers = ", ".join(f"{count} at sigma {sigma:g}" for sigma, count in counts.items())
    return Finding(
        "holds only if", f"of {SEEDS} runs leave and stay out: {numbers}", "the noise is as strong as the hill is steep"
    )


def along_saddle(rule: Any, beside: float, noise: float = 0.0, seed: int = 0) -> int | None:
    """Return after how many steps a rule is away from the saddle's ridge by 1, or None within 200."""
    surface = surfaces.get("saddle")
    start = torch.tensor([1.5, beside], dtype=torch.float64)
    walked = descend(surface.f, rule, start, 200, noise=noise, seed=seed, project=surface.clamp)
    return first_below(-walked[:, 1].abs(), -1.0)


def saddle_holds() -> Finding:
    """Start gradient descent on the ridge of a saddle, and beside it."""
    on, beside = along_saddle(partial(SGD, lr=0.1), 0.0), along_saddle(partial(SGD, lr=0.1), 1e-3)
    noisy = [along_saddle(partial(SGD, lr=0.1), 0.0, noise=0.1, seed=seed) for seed in range(SEEDS)]
    left = sorted(n for n in noisy if n is not None)
    measured = (
        f"on the ridge it {'never leaves' if on is None else f'leaves after {on} steps'}, a thousandth beside it it "
        f"leaves after {beside} steps, and with noise of 0.1 in {len(left)} of {SEEDS} runs, "
        f"after {left[len(left) // 2]} in the median"
    )
    return Finding("holds only if", measured, "nothing disturbs it; any noise ends it")


def adaptive_leaves_sooner() -> Finding:
    """Compare how soon adaptive rates leave a saddle."""
    rules = {
        "SGD": partial(SGD, lr=0.1),
        "Momentum": partial(Momentum, lr=0.1),
        "Adagrad": partial(Adagrad, lr=0.1),
        "RMSprop": partial(RMSprop, lr=0.1),
        "Adam": partial(Adam, lr=0.1),
    }
    left = {name: along_saddle(rule, 1e-3) for name, rule in rules.items()}
    numbers = ", ".join(f"{name} {n}" for name, n in left.items())
    plain = left["SGD"] or 0
    sooner = all((left[name] or 10**9) < plain for name in ("Adagrad", "Adam"))
    return Finding(
        verdict(sooner), f"steps until it is away by 1, from a thousandth beside the ridge, lr 0.1: {numbers}"
    )


def larger_batches_at_a_saddle() -> Finding:
    """Compare how soon SGD leaves the ridge by the size of its mini-batches."""
    medians = {}
    for batch in (1, 16, 256):
        runs = [along_saddle(partial(SGD, lr=0.1), 0.0, noise=batch**-0.5, seed=seed) for seed in range(SEEDS)]
        medians[batch] = sorted(200 if n is None else n for n in runs)[SEEDS // 2]
    numbers = ", ".join(f"{batch}: {n}" for batch, n in medians.items())
    measured = f"median steps to leave the ridge, noise of 1 a sample, by batch: {numbers}"
    return Finding(verdict(medians[256] < medians[1]), measured, "less noise holds it longer")


def tanh_vanishes() -> Finding:
    """Measure the slope of tanh at 4 and how far gradient descent comes."""
    x = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    slope = float(torch.autograd.grad(torch.tanh(x), x)[0])
    sgd, adam = (float(path("tanh", partial(rule, lr=0.1), (4.0,))[-1]) for rule in (SGD, Adam))
    measured = f"slope {slope:.5f}; 100 steps of 0.1 from 4 lead SGD to {sgd:.3f}, Adam to {adam:.2f}"
    return Finding(verdict(abs(slope - 0.00134) < 1e-5 and sgd > 3.9), measured)


def convex_is_safe() -> Finding:
    """Start gradient descent all over convex bowls."""
    draw, worst = torch.Generator().manual_seed(0), 0.0
    for name in ("bowl", "mild_bowl", "elongated_bowl", "shallow_bowl", "ravine"):
        surface = surfaces.get(name)
        starts = 6 * (2 * torch.rand(SEEDS, 2, generator=draw, dtype=torch.float64) - 1)
        ends = descend(surface.f, partial(SGD, lr=0.05), starts, 4000, batched=True)[-1]
        worst = max(worst, float((surface.f(ends) - (surface.floor or 0.0)).max()))
    return Finding(verdict(worst < 1e-6), f"{SEEDS} starts on each of 5 bowls: at most {worst:.1g} above the minimum")


def newton_end(surface: surfaces.Surface, start: Tensor) -> str:
    """Return at what the textbook's iteration `x - H(x)^-1 g(x)` ends; our class refuses an indefinite Hessian."""
    x = start[None]
    for _ in range(50):
        x = x - torch.linalg.solve(hessians(surface.f, x), gradients(surface.f, x))
    if not bool(x.isfinite().all()) or float(gradients(surface.f, x).norm()) > 1e-6:
        return "nowhere"
    return name_point(torch.linalg.eigvalsh(hessians(surface.f, x)[0]))


def newton_climbs() -> Finding:
    """See where Newton's iteration ends from starts all over two hilly surfaces."""
    draw, kinds = torch.Generator().manual_seed(0), Counter[str]()
    for name in ("wavy_bowl", "himmelblau"):
        surface = surfaces.get(name)
        low, high = torch.tensor(surface.window, dtype=torch.float64).unbind(-1)
        for _ in range(SEEDS):
            start = low + (high - low) * torch.rand(len(low), generator=draw, dtype=torch.float64)
            kinds[newton_end(surface, start)] += 1
    ends = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    measured = f"ends of {2 * SEEDS} starts on wavy_bowl and himmelblau: {ends}"
    condition = "where the Hessian is indefinite the step leads to a saddle or to a maximum as soon as to a minimum"
    return Finding(verdict(kinds["minimum"] == kinds.total()), measured, condition)


def newton_on_a_parabola() -> Finding:
    """Take one Newton step on a parabola, and gradient descent's ten."""
    newton = float(path("parabola", partial(Newton, damping=1e-12), (4.0,), 1)[-1])
    plain = float(path("parabola", partial(SGD, lr=0.1), (4.0,), 10)[-1])
    return Finding(
        verdict(abs(newton) < 1e-9), f"one step from 4 leads to {newton:.1g}; ten of gradient descent to {plain:.2f}"
    )


def newton_on_cosh() -> Finding:
    """Count Newton's steps on cosh."""
    walked = path("cosh", partial(Newton, damping=1e-12), (10.0,), 12)[:, 0].abs()
    reached = first_below(walked, 1e-6)
    linear = ", ".join(f"{float(x):.2f}" for x in walked[:5])
    return Finding(
        "holds",
        f"from 10 it goes {linear} and then is below 1e-6 at step {reached}",
        "fast once it has begun to work, as said",
    )


CLAIMS = (
    Claim(
        "local_minimum",
        "000, 001, 002",
        "Momentum, NAG, RMSprop and Adam leave shallow minima, in which gradient descent stays.",
        momentum_leaves,
    ),
    Claim(
        "nag_local_minimum", "000", "NAG, which oscillates less, leaves fewer local minima than momentum.", nag_stays
    ),
    Claim(
        "noise_local_minimum",
        "000, 001, 003, 004",
        "The noise of stochastic gradients leaves local minima.",
        noise_leaves,
    ),
    Claim("saddle", "000, 002", "Gradient descent stalls at saddle points.", saddle_holds),
    Claim(
        "saddle_adaptive",
        "002",
        "Adaptive rates, such as Adam's or Adagrad's, speed past saddle points.",
        adaptive_leaves_sooner,
    ),
    Claim("saddle_batch", "002", "Larger batches help at saddle points.", larger_batches_at_a_saddle),
    Claim("vanishing_tanh", "002", "tanh has a slope of 0.0013 at 4, and descent is stuck there.", tanh_vanishes),
    Claim("convex", "000, 001, 002", "On convex functions gradient descent finds the global minimum.", convex_is_safe),
    Claim("newton_saddles", "000, 002", "Newton's method finds the minimum faster.", newton_climbs),
    Claim("newton_parabola", "000", "On a parabola Newton's method needs one step.", newton_on_a_parabola),
    Claim("newton_cosh", "002", "On cosh Newton's method is slow at first and then very fast.", newton_on_cosh),
)
