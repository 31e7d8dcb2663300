"""Claims about bowls, ravines and rates: what oscillates, what overshoots, what is stable."""

import functools
import math
from functools import partial
from typing import Any

import torch

from optbench import surfaces
from optbench.claims.claim import SEEDS, Finding, at, claim, first_below, listed, path, verdict
from optbench.optimizers import CLASSES, LBFGS, NAG, SGD, Adagrad, Adam, ConjugateGradient, Momentum, RMSprop
from optbench.surfaces.descent import descend, with_rates

LEVELS = (("ravine", 1e-3), ("elongated_bowl", 1e-3), ("mild_bowl", 1e-3), ("rosenbrock", 1e-1))
"""Where steps are counted, and to which loss."""


def flips(points: torch.Tensor) -> int:
    """Return how often the steep coordinate changes its sign within the first hundred steps."""
    y = points[:101, 1]
    return int((y[1:] * y[:-1] < 0).sum())


@functools.cache
def highest_rate(rule: str, name: str = "ravine") -> float:
    """Return the highest rate at which a rule still converges on a surface, to a thousandth."""
    surface = surfaces.get(name)
    low = 0.0
    high = 1.0
    while high - low > 1e-3:
        lr = (low + high) / 2
        end = surface.f(path(name, partial(CLASSES[rule], lr=lr), (2.0, 2.0), 3000)[-1])
        if bool(end.isfinite()) and float(end) < 1e-2:
            low = lr
        else:
            high = lr
    return low


@claim("001")
def momentum_rates() -> Finding:
    """Momentum bears higher learning rates than gradient descent."""
    found = {rule: highest_rate(rule) for rule in ("SGD", "Momentum")}
    measured = (
        f"highest stable rate in x² + 10 y²: gradient descent {found['SGD']:.3f}, momentum {found['Momentum']:.3f}"
    )
    return Finding(
        verdict(found["Momentum"] > found["SGD"]), measured, "in the sum form, with beta = 0.9: (2 + 2 beta) / 20"
    )


@claim("001")
def ravine_limit() -> Finding:
    """In x² + 10 y² gradient descent is unstable across from a rate of 1/10 on."""
    limit = highest_rate("SGD")
    walked = path("ravine", partial(SGD, lr=0.095), (2.0, 2.0), 60)
    ratio = float(walked[1, 1] / walked[0, 1])
    return Finding(
        verdict(abs(limit - 0.1) < 2e-3),
        f"unstable from {limit:.3f} on; at 0.095 y is multiplied by {ratio:.2f} at every step",
    )


@claim("000, 001")
def ravine_zigzag() -> Finding:
    """Gradient descent zigzags in ravines, and momentum does not."""
    rules = {
        "gradient descent": partial(SGD, lr=0.095),
        "momentum (sum)": partial(Momentum, lr=0.095),
        "momentum (average)": partial(Momentum, lr=0.095, form="ema"),
        "gradient descent at 0.05": partial(SGD, lr=0.05),
    }
    counts = {name: flips(path("ravine", rule, (5.0, 5.0), 400)) for name, rule in rules.items()}
    return Finding(
        "holds only if",
        f"changes of sign across in 100 steps, lr 0.095: {listed(counts)}",
        "the rate is near the limit; at half of it gradient descent goes straight down across",
    )


@claim("000, 001, 002, 004")
def momentum_faster() -> Finding:
    """Momentum converges faster than gradient descent."""
    told = []
    wins = []
    for name, level in LEVELS:
        plain = best(SGD, name, level)
        rolling = {beta: best(partial(Momentum, beta=beta), name, level) for beta in (0.3, 0.5, 0.9)}
        wins.append(min(rolling.values()) < plain)
        told.append(f"{name} {count(plain)}, and {', '.join(map(count, rolling.values()))}")
    measured = (
        f"steps of gradient descent, and of momentum with beta 0.3, 0.5, 0.9, at the best rate: {'; '.join(told)}"
    )
    condition = "beta suits the surface: 0.9 is too much for bowls that are nearly round"
    return Finding("holds only if" if any(wins) else "fails", measured, condition)


def best(rule: Any, name: str, level: float, steps: int = 2000) -> float:
    """Return the fewest steps in which a rule comes to a level, over twelve rates; infinity if it never does."""
    surface = surfaces.get(name)
    rates = torch.logspace(-4, 0, 12, dtype=torch.float64)
    start = at(*surface.starts[0]).expand(len(rates), -1)
    walked = descend(surface.f, with_rates(rule, rates[:, None]), start, steps, batched=True)
    above = surface.above(walked).unbind(1)
    found = [first_below(values, level) for values in above]
    return min((float(n) for n in found if n is not None), default=math.inf)


def count(steps: float) -> str:
    """Return a number of steps in words."""
    return "never" if math.isinf(steps) else f"{steps:.0f}"


def overshoot(rule: Any, name: str = "mild_bowl") -> float:
    """Return how far beyond the minimum a path from (6, 6) goes, as a share of its way there."""
    return max(0.0, -float(path(name, rule, (6.0, 6.0), 200).min()) / 6)


@claim("000")
def beta_overshoots() -> Finding:
    """Momentum with beta above 0.9 overshoots and oscillates."""
    beyond = {beta: overshoot(partial(Momentum, lr=0.2, beta=beta)) for beta in (0.3, 0.5, 0.9, 0.99)}
    numbers = listed(beyond, ".0%")
    grows = list(beyond.values()) == sorted(beyond.values())
    return Finding(
        verdict(grows and beyond[0.99] > 0.5), f"beyond the minimum of mild_bowl at lr 0.2, by beta: {numbers}"
    )


@claim("000, 001")
def nag_overshoots() -> Finding:
    """NAG oscillates less around the minimum than momentum."""
    pairs = {}
    for name, lr in (("mild_bowl", 0.2), ("elongated_bowl", 0.1), ("bowl", 0.05)):
        pairs[name] = tuple(overshoot(partial(rule, lr=lr), name) for rule in (Momentum, NAG))
    numbers = ", ".join(f"{name} {a:.0%} and {b:.0%}" for name, (a, b) in pairs.items())
    return Finding(verdict(all(b < a for a, b in pairs.values())), f"momentum and NAG go beyond the minimum: {numbers}")


@claim("000, 001, 004")
def nag_faster() -> Finding:
    """NAG converges faster than momentum."""
    told = []
    wins = 0
    for name, level in LEVELS:
        rolling, ahead = (best(rule, name, level) for rule in (Momentum, NAG))
        wins += ahead < rolling
        told.append(f"{name} {count(rolling)} and {count(ahead)}")
    return Finding(
        "holds" if wins == len(told) else "holds only if",
        f"steps of momentum and NAG, best of 12 rates each: {', '.join(told)}",
        "the surface is one on which momentum overshoots at its best rate",
    )


@claim("000")
def nag_rates() -> Finding:
    """NAG is sensitive to its learning rate."""
    found = {rule: highest_rate(rule) for rule in ("SGD", "Momentum", "NAG")}
    measured = f"highest stable rate in x² + 10 y², beta = 0.9: {listed(found, '.3f')}"
    return Finding(verdict(found["NAG"] < found["SGD"]), measured)


@claim("000, 001")
def nag_accurate() -> Finding:
    """NAG's steps are more accurate than momentum's."""
    told = []
    wins = 0
    pairs = (("mild_bowl", 0.1), ("elongated_bowl", 0.1), ("shallow_bowl", 0.1), ("ravine", 0.01))
    for name, lr in pairs:
        rolling, ahead = (
            float(path(name, partial(rule, lr=lr), (6.0, 6.0), 50)[-1].norm()) for rule in (Momentum, NAG)
        )
        wins += ahead < rolling
        told.append(f"{name} {rolling:.2g} and {ahead:.2g}")
    measured = f"distance to the minimum after 50 steps of momentum and NAG at the same rate: {', '.join(told)}"
    return Finding(verdict(wins == len(pairs)), measured)


@claim("002")
def beta_larger() -> Finding:
    """The larger momentum's beta, the better it converges."""
    told = []
    best_of = []
    for name, level in (("ravine", 1e-3), ("rosenbrock", 1e-1)):
        steps = {beta: best(partial(Momentum, beta=beta), name, level) for beta in (0.5, 0.9, 0.99)}
        best_of.append(min(steps, key=steps.__getitem__))
        told.append(f"{name} {', '.join(map(count, steps.values()))}")
    measured = f"steps of momentum with beta 0.5, 0.9, 0.99, at the best rate: {'; '.join(told)}"
    if min(best_of) == 0.99:
        return Finding("holds", measured)
    some = max(best_of) > 0.5
    return Finding("holds only if" if some else "fails", measured, "the valley is long, and up to 0.9")


def phases(t: int, eta: float) -> float:
    """Return a rate that falls as 1 / (1 + t / 20)."""
    return eta / (1 + t / 20)


RATES_AND_PHASES = (
    *((f"{lr:g}", lr, None) for lr in (0.005, 0.03, 0.2)),
    ("falling from 0.2", 0.2, phases),
)


@claim("001, 002")
def rate_phases() -> Finding:
    """No constant rate is right at first and at the end; one that falls is."""
    surface = surfaces.get("d2l_bowl")
    away = {}
    start = at(-5.0, -5.0).expand(SEEDS, 2)
    for name, lr, schedule in RATES_AND_PHASES:
        walked = descend(surface.f, partial(SGD, lr=lr), start, 600, noise=1.0, schedule=schedule, batched=True)
        distance = walked.norm(dim=2).mean(1)
        away[name] = float(distance[30]), float(distance[-50:].mean())
    numbers = ", ".join(f"{name} {a:.2f} and {b:.2f}" for name, (a, b) in away.items())
    early, late = away.pop("falling from 0.2")
    measured = f"mean distance to the minimum after 30 steps and after 600, {SEEDS} seeds, by rate: {numbers}"
    return Finding(verdict(all(a > 2 * early or b > 2 * late for a, b in away.values())), measured)


def straightness(rule: Any, name: str = "shallow_bowl") -> float:
    """Return a path's length by the distance of its ends; 1 is straight."""
    walked = path(name, rule, (6.0, 6.0), 2000)
    return float(walked.diff(dim=0).norm(dim=1).sum() / (walked[-1] - walked[0]).norm())


@claim("000")
def adagrad_straight() -> Finding:
    """In an elongated bowl adaptive rates go straight, where SGD, momentum and NAG zigzag."""
    rules = {
        "SGD": partial(SGD, lr=0.95),
        "Momentum": partial(Momentum, lr=0.1),
        "NAG": partial(NAG, lr=0.1),
        "Adagrad": partial(Adagrad, lr=1.0),
        "RMSprop": partial(RMSprop, lr=0.01),
        "Adam": partial(Adam, lr=0.1),
    }
    lengths = {name: straightness(rule) for name, rule in rules.items()}
    numbers = listed(lengths, ".2f")
    ok = max(lengths[n] for n in ("Adagrad", "RMSprop")) < min(lengths[n] for n in ("SGD", "Momentum", "NAG"))
    return Finding(verdict(ok), f"length of the path in 0.1 x² + y² by the distance of its ends: {numbers}")


@claim("001")
def feature_scales() -> Finding:
    """With features of size 1000 and 0.01 one parameter explodes and the other hardly moves."""
    draw = torch.Generator().manual_seed(0)
    scales = at(1000.0, 0.01)
    x = scales * torch.randn(200, 2, generator=draw, dtype=torch.float64)
    true = 1 / scales
    loss = lambda w: ((x @ (w - true)) ** 2).mean() / 2  # noqa: E731
    start = torch.zeros(2, dtype=torch.float64)
    moved = {}
    for name, rule in {"gradient descent": partial(SGD, lr=1e-6), "Adam": partial(Adam, lr=0.1)}.items():
        end = descend(loss, rule, start, 2000)[-1]
        moved[name] = [float(x) for x in (end / true)]
    burst = descend(loss, partial(SGD, lr=1e-5), start, 50)[-1]
    numbers = "; ".join(f"{name} {a:.2g} and {b:.2g}" for name, (a, b) in moved.items())
    measured = (
        f"share of the way to both weights in 2,000 steps: {numbers}; "
        f"at ten times its rate gradient descent is at {float(burst[0]):.1g}"
    )
    return Finding(verdict(moved["gradient descent"][1] < 1e-3), measured)


@claim("001, 003")
def three_rates() -> Finding:
    """Too small a rate is slow, too large a one diverges."""
    ends = {lr: float(path("bowl", partial(SGD, lr=lr), (2.0, 2.0), 50)[-1].norm()) for lr in (0.001, 0.1, 1.1)}
    return Finding(
        verdict(ends[0.1] < 1e-3 < 1 < ends[0.001] < ends[1.1]),
        f"distance to the minimum of w² + b² after 50 steps from 2.83 away, by rate: {listed(ends, '.2g')}",
    )


@claim("001")
def no_common_rate() -> Finding:
    """No one rate is right for both directions of a ravine."""
    grid = [10 ** (-3 + 3 * i / 30) for i in range(31)]
    left = {}
    for axis in (0, 1):
        ends = {lr: abs(float(path("ravine", partial(SGD, lr=lr), (2.0, 2.0), 5)[-1][axis])) for lr in grid}
        left[axis] = min(ends, key=lambda lr: ends[lr] if math.isfinite(ends[lr]) else math.inf)
    return Finding(verdict(left[0] > 3 * left[1]), f"best rate for x {left[0]:.2f}, for y {left[1]:.3f}")


@claim("004")
def cg_convex() -> Finding:
    """Conjugate gradients are limited to convex problems."""
    surface = surfaces.get("rosenbrock")
    left = {}
    for form in ("fr", "pr+"):
        left[form] = float(surface.f(path("rosenbrock", partial(ConjugateGradient, form=form), steps=100)[-1]))
    numbers = ", ".join(f"{form.upper()} {x:.0e}" for form, x in left.items())
    measured = f"what is left on rosenbrock after 100 iterations, by form: {numbers}"
    return Finding(verdict(min(left.values()) > 1e-6), measured, "with a line search it needs a slope, not convexity")


@claim("004")
def lbfgs_accurate() -> Finding:
    """L-BFGS is accurate on small problems."""
    told = []
    wins = 0
    for name in ("rosenbrock", "beale", "booth"):
        surface = surfaces.get(name)
        ends = {}
        for title, rule, steps in (
            ("L-BFGS", partial(LBFGS, max_iter=1, line_search="strong_wolfe"), 60),
            ("gradient descent", partial(SGD, lr=1e-3), 600),
        ):
            ends[title] = float(surface.above(path(name, rule, steps=steps)[-1]))
        wins += ends["L-BFGS"] < 1e-3 * ends["gradient descent"]
        told.append(f"{name} {ends['L-BFGS']:.0e} and {ends['gradient descent']:.0e}")
    return Finding(
        verdict(wins == 3), f"what is left after 60 iterations of L-BFGS and 600 of gradient descent: {', '.join(told)}"
    )


@claim("002")
def decay_too_fast() -> Finding:
    """A rate that decays too fast stops too early."""
    schedules = {
        "constant": lambda t, eta: eta,
        "exp(-0.1 t)": lambda t, eta: eta * math.exp(-0.1 * t),
        "(1 + 0.1 t)^-0.5": lambda t, eta: eta * (1 + 0.1 * t) ** -0.5,
    }
    surface = surfaces.get("d2l_bowl")
    ends = {}
    for name, schedule in schedules.items():
        runs = [
            descend(surface.f, partial(SGD, lr=0.01), at(-5.0, -5.0), 100, noise=1.0, seed=seed, schedule=schedule)[-1]
            for seed in range(SEEDS)
        ]
        ends[name] = float(torch.stack(runs).norm(dim=1).mean())
    numbers = listed(ends, ".2f")
    ok = ends["exp(-0.1 t)"] > ends["(1 + 0.1 t)^-0.5"] > 0
    return Finding(
        verdict(ok), f"mean distance to the minimum after 100 steps of 0.01 from (-5, -5), {SEEDS} seeds: {numbers}"
    )
