"""Claims about second derivatives: Newton's method, what comes near it, and what kind of points there are."""

from collections import Counter
from functools import partial

import torch
from torch import Tensor
from torch.func import grad, hessian, vmap

from optbench import surfaces
from optbench.claims.claim import SEEDS, Finding, at, claim, first_below, listed, path, verdict
from optbench.claims.minima import along_saddle
from optbench.claims.valleys import best, count
from optbench.optimizers import LBFGS, SGD, Adam, ConjugateGradient, Momentum, Newton
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.descent import descend
from optbench.surfaces.terrain import gradients, hessians, name_point


def newton_end(surface: surfaces.Surface, start: Tensor) -> str:
    """Return at what the textbook's iteration `x - H(x)^-1 g(x)` ends; our class refuses an indefinite Hessian."""
    x = start[None]
    for _ in range(50):
        x = x - torch.linalg.solve(hessians(surface.f, x), gradients(surface.f, x))
    if not bool(x.isfinite().all()) or float(gradients(surface.f, x).norm()) > 1e-6:
        return "nowhere"
    return name_point(torch.linalg.eigvalsh(hessians(surface.f, x)[0]))


@claim("000")
def newton_saddles() -> Finding:
    """On losses that are not convex Newton's method goes to saddles and maxima."""
    draw = torch.Generator().manual_seed(0)
    kinds = Counter[str]()
    for name in ("wavy_bowl", "himmelblau"):
        surface = surfaces.get(name)
        kinds.update(newton_end(surface, start) for start in surface.anywhere(SEEDS, draw))
    ends = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    measured = f"ends of {2 * SEEDS} starts on wavy_bowl and himmelblau: {ends}"
    return Finding(verdict(kinds["saddle"] + kinds["maximum"] > 0), measured)


@claim("000, 002, 003")
def newton_faster() -> Finding:
    """Newton's method needs fewer steps than gradient descent."""
    told = []
    wins = []
    for name in ("mild_bowl", "ravine", "rosenbrock"):
        surface = surfaces.get(name)
        values = surface.above(path(name, Newton, steps=50))
        newton = first_below(values, 1e-3)
        plain = best(SGD, name, 1e-3, 4000)
        wins.append(newton is not None and newton < plain)
        told.append(f"{name} {newton} and {count(plain)}")
    measured = f"steps of Newton's method and of gradient descent, best of 12 rates: {', '.join(told)}"
    condition = "the Hessian is definite on the way; else it ends anywhere (newton_saddles)"
    return Finding("holds only if" if all(wins) else "fails", measured, condition)


@claim("000")
def newton_parabola() -> Finding:
    """On a parabola Newton's method needs one step."""
    newton = float(path("parabola", Newton, (4.0,), 1)[-1])
    plain = float(path("parabola", partial(SGD, lr=0.1), (4.0,), 10)[-1])
    return Finding(
        verdict(abs(newton) < 1e-9), f"one step from 4 leads to {newton:.1g}; ten of gradient descent to {plain:.2f}"
    )


@claim("002")
def newton_cosh() -> Finding:
    """On cosh Newton's method is slow at first and then very fast."""
    walked = path("cosh", Newton, (10.0,), 12)[:, 0].abs()
    reached = first_below(walked, 1e-6)
    linear = ", ".join(f"{float(x):.2f}" for x in walked[:5])
    measured = f"from 10 it goes {linear} and then is below 1e-6 at step {reached}"
    return Finding(verdict(reached is not None and reached < 10), measured)


@claim("002")
def newton_singular() -> Finding:
    """Where the Hessian is singular Newton's method is slow."""
    walked = descend(lambda x: (x**4).sum(), Newton, torch.ones(1, dtype=torch.float64), 12)[:, 0]
    ratio = float(walked[10] / walked[9])
    measured = f"on x⁴ a step leaves {ratio:.3f} of the distance, and 12 leave {float(walked[12]):.2g} of 1"
    return Finding(verdict(ratio > 0.5), measured)


@claim("000")
def newton_raphson() -> Finding:
    """Newton's method is Newton-Raphson's on the derivative; on the function itself that finds roots."""
    f = surfaces.get("cosh").f
    x = at(3.0)
    roots = [x]
    for _ in range(5):
        x = x - gradients(f, x[None])[0] / hessians(f, x[None])[0, 0]
        roots.append(x)
    gap = float((torch.stack(roots) - path("cosh", Newton, (3.0,), 5)).abs().max())
    g = surfaces.get("x2_3x_2").f
    x = at(5.0)
    for _ in range(20):
        x = x - g(x) / gradients(g, x[None])[0]
    lowest = float(path("x2_3x_2", Newton, (5.0,), 1)[-1])
    measured = (
        f"on cosh the paths differ by {gap:.0e}; on x² + 3x + 2 the root search on f ends at {float(x):.2f}, "
        f"Newton's method at {lowest:.2f}"
    )
    return Finding(verdict(gap < 1e-9 and abs(float(x) - lowest) > 0.1), measured)


@claim("000")
def saddle_curvature() -> Finding:
    """Second-order methods know saddles by their curvature."""
    steps = {
        "gradient descent": along_saddle(partial(SGD, lr=0.1), 1e-3),
        "saddle-free Newton": along_saddle(partial(Newton, form="saddle_free", damping=0.01), 1e-3),
    }
    sooner = (steps["saddle-free Newton"] or 10**9) < (steps["gradient descent"] or 0)
    return Finding(verdict(sooner), f"steps until it is away by 1, from a thousandth beside the ridge: {listed(steps)}")


@claim("001")
def momentum_curvature() -> Finding:
    """Momentum comes near a second-order method without a Hessian."""
    told = []
    counts = []
    for condition in (10.0, 100.0, 400.0):
        low = 1 / condition
        root = condition**-0.5
        rules: tuple[Factory, ...] = (
            partial(SGD, lr=2 / (1 + low)),
            partial(Momentum, lr=4 / (1 + root) ** 2, beta=((1 - root) / (1 + root)) ** 2),
            Newton,
        )
        scale = at(1.0, low)
        start = torch.ones(2, dtype=torch.float64)
        steps = (int(5 * condition), int(5 * condition), 5)
        walked = [
            descend(lambda x, c=scale: (c * x**2).sum() / 2, rule, start, most)
            for rule, most in zip(rules, steps, strict=True)
        ]
        found = [first_below(points.norm(dim=1), 1e-3) or 0 for points in walked]
        counts.append(found)
        told.append(f"{condition:g}: {', '.join(map(str, found))}")
    measured = f"steps of gradient descent, momentum and Newton's method by condition number: {'; '.join(told)}"
    ok = all(newton < momentum < plain for plain, momentum, newton in counts)
    return Finding(
        "holds only if" if ok else "fails", measured, "rate and beta are made for the curvatures; then it is their root"
    )


@claim("004")
def cg_linear() -> Finding:
    """Conjugate gradients suit linear problems."""
    left: dict[str, list[float]] = {"conjugate gradients": [], "gradient descent": []}
    for seed in range(SEEDS):
        draw = torch.Generator().manual_seed(seed)
        root = torch.randn(20, 30, generator=draw, dtype=torch.float64)
        matrix = root @ root.mT / 30
        right = torch.randn(20, generator=draw, dtype=torch.float64)
        solution = torch.linalg.solve(matrix, right)
        highest = float(torch.linalg.matrix_norm(matrix, 2))

        def loss(x: Tensor, a: Tensor = matrix, b: Tensor = right) -> Tensor:
            return x @ a @ x / 2 - b @ x

        rules = {
            "conjugate gradients": partial(ConjugateGradient, form="fr", line_search="exact"),
            "gradient descent": partial(SGD, lr=1 / highest),
        }
        for name, rule in rules.items():
            end = descend(loss, rule, torch.zeros(20, dtype=torch.float64), 20)[-1]
            left[name].append(float((end - solution).norm() / solution.norm()))
    worst = {name: max(errors) for name, errors in left.items()}
    measured = f"largest relative error of {SEEDS} systems of 20 unknowns after 20 steps: {listed(worst, '.0e')}"
    return Finding(verdict(worst["conjugate gradients"] < 1e-4 < worst["gradient descent"]), measured)


@claim("004")
def lbfgs_tuning() -> Finding:
    """L-BFGS needs less tuning."""
    rules: dict[str, tuple[Factory, int]] = {
        "L-BFGS": (partial(LBFGS, line_search="strong_wolfe"), 20),
        "SGD": (SGD, 500),
        "Momentum": (Momentum, 500),
        "Adam": (Adam, 500),
    }
    found = dict.fromkeys(rules, 0)
    for name in ("rosenbrock", "beale", "booth", "himmelblau"):
        surface = surfaces.get(name)
        draw = torch.Generator().manual_seed(0)
        starts = surface.anywhere(SEEDS, draw)
        for title, (rule, steps) in rules.items():
            ends = descend(surface.f, rule, starts, steps, batched=True)[-1]
            found[title] += int((surface.above(ends) < 1e-6).sum())
    numbers = listed(found)
    measured = f"of {4 * SEEDS} starts on rosenbrock, beale, booth and himmelblau found to 1e-6 at defaults: {numbers}"
    missed = {title: 4 * SEEDS - number for title, number in found.items()}
    return Finding(verdict(missed.pop("L-BFGS") < min(missed.values()) / 2), measured)


def network_loss(w: Tensor, hidden: int) -> Tensor:
    """Return the squared error of a network of one input, tanh units and one output on six points, at flat weights."""
    x = torch.linspace(-2, 2, 6, dtype=w.dtype)
    y = torch.tensor([0.3, -0.8, 0.9, 0.1, -0.6, 0.7], dtype=w.dtype)
    a, b, c = w[: 3 * hidden].view(3, hidden)
    out = (x[:, None] * a + b).tanh() @ c + w[-1]
    loss: Tensor = ((out - y) ** 2).mean() + 1e-3 * (w**2).sum()
    return loss


def saddles_of_a_network(hidden: int, starts: int = 400, steps: int = 80) -> tuple[int, int]:
    """Return how many critical points Newton's method for the gradient finds, and how many of them are saddles."""
    draw = torch.Generator().manual_seed(0)
    w = 1.5 * torch.randn(starts, 3 * hidden + 1, generator=draw, dtype=torch.float64)
    loss = partial(network_loss, hidden=hidden)
    slopes = vmap(grad(loss))
    curvatures = vmap(hessian(loss))
    for _ in range(steps):
        step = torch.linalg.lstsq(curvatures(w), slopes(w)[..., None]).solution[..., 0]
        w = w - step * (0.5 / step.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1)
    w = w[slopes(w).norm(dim=1) < 1e-10]
    values = torch.linalg.eigvalsh(curvatures(w))
    keys = torch.cat([torch.vmap(loss)(w)[:, None], values], 1)  # the same for units in another order
    each = {tuple(round(float(x), 6) for x in key): row for key, row in zip(keys, values, strict=True)}
    return len(each), sum(bool((row < 0).any() and (row > 0).any()) for row in each.values())


@claim("000, 001, 002")
def saddles_common() -> Finding:
    """The more parameters, the more of the points without slope are saddles, and few are minima."""
    found = {hidden: saddles_of_a_network(hidden) for hidden in (1, 2, 3)}
    shares = [saddles / total for total, saddles in found.values()]
    numbers = ", ".join(f"{3 * hidden + 1} weights: {b} of {a}" for hidden, (a, b) in found.items())
    measured = f"saddles among the critical points found of networks with 1, 2 and 3 tanh units: {numbers}"
    return Finding(verdict(shares == sorted(shares) and shares[-1] > 0.5), measured)
