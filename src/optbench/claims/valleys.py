"""Claims about bowls, ravines and rates: what oscillates, what overshoots, what is stable."""

import functools
import math
from functools import partial
from typing import Any

import torch

from optbench import surfaces
from optbench.claims.claim import SEEDS, Claim, Finding, first_below, path, verdict
from optbench.optimizers import CLASSES, LBFGS, NAG, SGD, Adagrad, Adam, ConjugateGradient, Momentum, RMSprop
from optbench.surfaces.descent import descend, with_rates


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


def momentum_bears_more() -> Finding:
    """Find the highest stable rates in the ravine."""
    found = {rule: highest_rate(rule) for rule in ("SGD", "Momentum")}
    measured = (
        f"highest stable rate in x² + 10 y²: gradient descent {found['SGD']:.3f}, momentum {found['Momentum']:.3f}"
    )
    return Finding(
        verdict(found["Momentum"] > found["SGD"]), measured, "in the sum form, with beta = 0.9: (2 + 2 beta) / 20"
    )


def ravine_limit() -> Finding:
    """Find where the steep direction of the ravine becomes unstable."""
    limit = highest_rate("SGD")
    walked = path("ravine", partial(SGD, lr=0.095), (2.0, 2.0), 60)
    ratio = float(walked[1, 1] / walked[0, 1])
    return Finding(
        verdict(abs(limit - 0.1) < 2e-3),
        f"unstable from {limit:.3f} on; at 0.095 y is multiplied by {ratio:.2f} at every step",
    )


def ravine_zigzag() -> Finding:
    """Count the changes of sign across the ravine."""
    rules = {
        "gradient descent": partial(SGD, lr=0.095),
        "momentum (sum)": partial(Momentum, lr=0.095),
        "momentum (average)": partial(Momentum, lr=0.095, form="ema"),
        "gradient descent at 0.05": partial(SGD, lr=0.05),
    }
    counts = {name: flips(path("ravine", rule, (5.0, 5.0), 400)) for name, rule in rules.items()}
    numbers = ", ".join(f"{name} {n}" for name, n in counts.items())
    return Finding(
        "holds only if",
        f"changes of sign across in 100 steps, lr 0.095: {numbers}",
        "the rate is near the limit; at half of it gradient descent goes straight down across",
    )


def momentum_is_faster() -> Finding:
    """Compare gradient descent and momentum, each at the best rate of a grid, on five surfaces."""
    told = []
    wins = []
    for name, level in (("ravine", 1e-3), ("elongated_bowl", 1e-3), ("mild_bowl", 1e-3), ("rosenbrock", 1e-1)):
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
    start = torch.tensor(surface.starts[0], dtype=torch.float64).expand(len(rates), -1)
    walked = descend(surface.f, with_rates(rule, rates[:, None]), start, steps, batched=True)
    above = (surface.f(walked) - (surface.floor or 0.0)).unbind(1)
    found = [first_below(values, level) for values in above]
    return min((float(n) for n in found if n is not None), default=math.inf)


def count(steps: float) -> str:
    """Return a number of steps in words."""
    return "never" if math.isinf(steps) else f"{steps:.0f}"


def overshoot(rule: Any, name: str = "mild_bowl") -> float:
    """Return how far beyond the minimum a path from (6, 6) goes, as a share of its way there."""
    return max(0.0, -float(path(name, rule, (6.0, 6.0), 200).min()) / 6)


def beta_overshoots() -> Finding:
    """Measure how far momentum goes beyond the minimum, by beta."""
    beyond = {beta: overshoot(partial(Momentum, lr=0.2, beta=beta)) for beta in (0.3, 0.5, 0.9, 0.99)}
    numbers = ", ".join(f"{beta:g}: {share:.0%}" for beta, share in beyond.items())
    grows = list(beyond.values()) == sorted(beyond.values())
    return Finding(
        verdict(grows and beyond[0.99] > 0.5), f"beyond the minimum of mild_bowl at lr 0.2, by beta: {numbers}"
    )


def nag_overshoots_less() -> Finding:
    """Compare how far momentum and NAG go beyond the minimum."""
    pairs = {}
    for name, lr in (("mild_bowl", 0.2), ("elongated_bowl", 0.1), ("bowl", 0.05)):
        pairs[name] = tuple(overshoot(partial(rule, lr=lr), name) for rule in (Momentum, NAG))
    numbers = ", ".join(f"{name} {a:.0%} and {b:.0%}" for name, (a, b) in pairs.items())
    return Finding(verdict(all(b < a for a, b in pairs.values())), f"momentum and NAG go beyond the minimum: {numbers}")


def nag_is_faster() -> Finding:
    """Compare momentum and NAG, each at the best rate of a grid."""
    told = []
    wins = 0
    for name, level in (("ravine", 1e-3), ("elongated_bowl", 1e-3), ("mild_bowl", 1e-3), ("rosenbrock", 1e-1)):
        rolling, ahead = (best(rule, name, level) for rule in (Momentum, NAG))
        wins += ahead < rolling
        told.append(f"{name} {count(rolling)} and {count(ahead)}")
    return Finding(
        "holds" if wins == len(told) else "holds only if",
        f"steps of momentum and NAG, best of 12 rates each: {', '.join(told)}",
        "the surface is one on which momentum overshoots at its best rate",
    )


def nag_bears_less() -> Finding:
    """Find the highest stable rates of momentum and NAG in the ravine."""
    found = {rule: highest_rate(rule) for rule in ("SGD", "Momentum", "NAG")}
    numbers = ", ".join(f"{name} {x:.3f}" for name, x in found.items())
    measured = f"highest stable rate in x² + 10 y², beta = 0.9: {numbers}"
    return Finding(verdict(found["NAG"] < found["SGD"]), measured)


def nag_is_nearer() -> Finding:
    """Compare how far momentum and NAG are from the minimum after as many steps at the same rate."""
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


def larger_beta() -> Finding:
    """Count momentum's steps by beta, each at the best rate of a grid."""
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


def phases_need_their_rates() -> Finding:
    """Run SGD with noise at a small rate, at a large one, and at one that falls."""
    surface = surfaces.get("d2l_bowl")
    away = {}
    start = torch.tensor([-5.0, -5.0], dtype=torch.float64).expand(SEEDS, 2)
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


def adagrad_goes_straight() -> Finding:
    """Measure how straight paths in the elongated bowl are."""
    rules = {
        "SGD": partial(SGD, lr=0.95),
        "Momentum": partial(Momentum, lr=0.1),
        "NAG": partial(NAG, lr=0.1),
        "Adagrad": partial(Adagrad, lr=1.0),
        "RMSprop": partial(RMSprop, lr=0.01),
        "Adam": partial(Adam, lr=0.1),
    }
    lengths = {name: straightness(rule) for name, rule in rules.items()}
    numbers = ", ".join(f"{name} {x:.2f}" for name, x in lengths.items())
    ok = max(lengths[n] for n in ("Adagrad", "RMSprop")) < min(lengths[n] for n in ("SGD", "Momentum", "NAG"))
    return Finding(verdict(ok), f"length of the path in 0.1 x² + y² by the distance of its ends: {numbers}")


def feature_scales() -> Finding:
    """Fit a line to two features whose values are of very different size."""
    draw = torch.Generator().manual_seed(0)
    scales = torch.tensor([1000.0, 0.01], dtype=torch.float64)
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


def rate_too_small_or_large() -> Finding:
    """Run gradient descent on a bowl at three rates."""
    ends = {lr: float(path("bowl", partial(SGD, lr=lr), (2.0, 2.0), 50)[-1].norm()) for lr in (0.001, 0.1, 1.1)}
    numbers = ", ".join(f"{lr:g}: {x:.2g}" for lr, x in ends.items())
    return Finding(
        verdict(ends[0.1] < 1e-3 < 1 < ends[0.001] < ends[1.1]),
        f"distance to the minimum of w² + b² after 50 steps from 2.83 away, by rate: {numbers}",
    )


def no_rate_for_both() -> Finding:
    """Find the best rate for either direction of the ravine."""
    grid = [10 ** (-3 + 3 * i / 30) for i in range(31)]
    left = {}
    for axis in (0, 1):
        ends = {lr: abs(float(path("ravine", partial(SGD, lr=lr), (2.0, 2.0), 5)[-1][axis])) for lr in grid}
        left[axis] = min(ends, key=lambda lr: ends[lr] if math.isfinite(ends[lr]) else math.inf)
    return Finding(verdict(left[0] > 3 * left[1]), f"best rate for x {left[0]:.2f}, for y {left[1]:.3f}")


def conjugate_gradient_beyond_convex() -> Finding:
    """Run conjugate gradients on a function that is not convex."""
    surface = surfaces.get("rosenbrock")
    left = {}
    for form in ("fr", "pr+"):
        left[form] = float(surface.f(path("rosenbrock", partial(ConjugateGradient, form=form), steps=100)[-1]))
    numbers = ", ".join(f"{form.upper()} {x:.0e}" for form, x in left.items())
    measured = f"what is left on rosenbrock after 100 iterations, by form: {numbers}"
    return Finding(verdict(min(left.values()) > 1e-6), measured, "with a line search it needs a slope, not convexity")


def lbfgs_is_accurate() -> Finding:
    """Compare what L-BFGS and gradient descent reach on small problems with equally many gradients."""
    told = []
    wins = 0
    for name in ("rosenbrock", "beale", "booth"):
        surface = surfaces.get(name)
        ends = {}
        for title, rule, steps in (
            ("L-BFGS", partial(LBFGS, max_iter=1, line_search="strong_wolfe"), 60),
            ("gradient descent", partial(SGD, lr=1e-3), 600),
        ):
            value = float(surface.f(path(name, rule, steps=steps)[-1]))
            ends[title] = value - (surface.floor or 0.0)
        wins += ends["L-BFGS"] < 1e-3 * ends["gradient descent"]
        told.append(f"{name} {ends['L-BFGS']:.0e} and {ends['gradient descent']:.0e}")
    return Finding(
        verdict(wins == 3), f"what is left after 60 iterations of L-BFGS and 600 of gradient descent: {', '.join(told)}"
    )


def decay_stops_early() -> Finding:
    """Run SGD with noise on a bowl under three schedules."""
    schedules = {
        "constant": lambda t, eta: eta,
        "exp(-0.1 t)": lambda t, eta: eta * math.exp(-0.1 * t),
        "(1 + 0.1 t)^-0.5": lambda t, eta: eta * (1 + 0.1 * t) ** -0.5,
    }
    surface = surfaces.get("d2l_bowl")
    ends = {}
    for name, schedule in schedules.items():
        start = torch.tensor([-5.0, -5.0], dtype=torch.float64)
        runs = [
            descend(surface.f, partial(SGD, lr=0.01), start, 100, noise=1.0, seed=seed, schedule=schedule)[-1]
            for seed in range(SEEDS)
        ]
        ends[name] = float(torch.stack(runs).norm(dim=1).mean())
    numbers = ", ".join(f"{name} {x:.2f}" for name, x in ends.items())
    ok = ends["exp(-0.1 t)"] > ends["(1 + 0.1 t)^-0.5"] > 0
    return Finding(
        verdict(ok), f"mean distance to the minimum after 100 steps of 0.01 from (-5, -5), {SEEDS} seeds: {numbers}"
    )


CLAIMS = (
    Claim("momentum_rates", "001", "Momentum bears higher learning rates than gradient descent.", momentum_bears_more),
    Claim(
        "ravine_limit", "001", "In x² + 10 y² gradient descent is unstable across from a rate of 1/10 on.", ravine_limit
    ),
    Claim("ravine_zigzag", "000, 001", "Gradient descent zigzags in ravines, and momentum does not.", ravine_zigzag),
    Claim(
        "momentum_faster", "000, 001, 002, 004", "Momentum converges faster than gradient descent.", momentum_is_faster
    ),
    Claim("beta_overshoots", "000", "Momentum with beta above 0.9 overshoots and oscillates.", beta_overshoots),
    Claim("nag_overshoots", "000, 001", "NAG oscillates less around the minimum than momentum.", nag_overshoots_less),
    Claim("nag_faster", "000, 001, 004", "NAG converges faster than momentum.", nag_is_faster),
    Claim("nag_rates", "000", "NAG is sensitive to its learning rate.", nag_bears_less),
    Claim("nag_accurate", "000, 001", "NAG's steps are more accurate than momentum's.", nag_is_nearer),
    Claim("beta_larger", "002", "The larger momentum's beta, the better it converges.", larger_beta),
    Claim(
        "adagrad_straight",
        "000",
        "In an elongated bowl adaptive rates go straight, where SGD, momentum and NAG zigzag.",
        adagrad_goes_straight,
    ),
    Claim(
        "feature_scales",
        "001",
        "With features of size 1000 and 0.01 one parameter explodes and the other hardly moves.",
        feature_scales,
    ),
    Claim("three_rates", "001, 003", "Too small a rate is slow, too large a one diverges.", rate_too_small_or_large),
    Claim("no_common_rate", "001", "No one rate is right for both directions of a ravine.", no_rate_for_both),
    Claim("cg_convex", "004", "Conjugate gradients are limited to convex problems.", conjugate_gradient_beyond_convex),
    Claim("lbfgs_accurate", "004", "L-BFGS is accurate on small problems.", lbfgs_is_accurate),
    Claim(
        "rate_phases",
        "001, 002",
        "No constant rate is right at first and at the end; one that falls is.",
        phases_need_their_rates,
    ),
    Claim("decay_too_fast", "002", "A rate that decays too fast stops too early.", decay_stops_early),
)
