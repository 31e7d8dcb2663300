"""Claims that a document works out by hand: single steps, formulas beside its code, slopes."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from optbench import surfaces
from optbench.claims.claim import Finding, claim, path, verdict
from optbench.optimizers import SGD, Adagrad, Adam, Momentum, NAdam, RMSprop
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.descent import descend

ALL = tuple(range(5))
"""The samples of `linear_regression`: y = 2x at x = 1, 2, 3, 4, 5."""


def point(values: Tensor | tuple[float, ...]) -> str:
    """Return numbers as a point."""
    return f"({', '.join(f'{float(x):.6g}' for x in values)})"


def worked(
    rule: Factory, gradient: tuple[float, ...], end: tuple[float, ...], samples: tuple[int, ...] = ALL
) -> Finding:
    """Take a document's worked step on y = 2x from (1, 1), and compare its gradient and where it leads.

    Args:
        rule: What steps.
        gradient: As the document has it.
        end: Where the document arrives; of the first parameters, if it goes no further.
        samples: Those that the step sees.
    """
    parts = surfaces.get("linear_regression").parts
    assert parts is not None
    index = torch.tensor(samples)
    return beside(lambda w: parts(w, index), rule, (1.0, 1.0), gradient, end)


def beside(
    f: Callable[[Tensor], Tensor],
    rule: Factory,
    start: tuple[float, ...],
    gradient: tuple[float, ...],
    end: tuple[float, ...],
) -> Finding:
    """Take a step, and compare its gradient and where it leads with what a document has."""
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(f(w), w)
    reached = descend(f, rule, w.detach(), 1)[1]
    right = all(abs(float(a) - b) < 1e-3 for a, b in zip([*g, *reached[: len(end)]], [*gradient, *end], strict=True))
    measured = f"the gradient is {point(g)} and the step leads to {point(reached)}"
    return Finding(verdict(right), measured, "" if right else f"the document has {point(gradient)} and {point(end)}")


@claim("004")
def adam_example() -> Finding:
    """A step of 0.01 of Adam takes a linear neuron's (0.5, -0.8, 0.2) to (0.498, -0.802, 0.198)."""

    def loss(w: Tensor) -> Tensor:
        return (w[0] - w[1] + w[2] - 1) ** 2 / 2

    rule = partial(Adam, lr=0.01)
    return beside(loss, rule, (0.5, -0.8, 0.2), (0.3, -0.3, 0.3), (0.498, -0.802, 0.198))


@claim("001")
def nadam_code() -> Finding:
    """The code of NAdam computes what its formula says."""
    text, code = (path("mild_bowl", partial(NAdam, lr=0.1, form=form), (6.0, 6.0)) for form in ("text", "simple"))
    apart = float((text - code).norm(dim=1).max())
    measured = f"paths of 100 steps of 0.1 on mild_bowl come to lie {apart:.2g} apart"
    condition = "the text weighs the average before this gradient, the code the one that has it already"
    return Finding(verdict(apart < 1e-9), measured, condition)


@claim("001")
def nadam_convex() -> Finding:
    """NAdam's numerator is a convex combination of momentum and gradient."""
    sums = {t: 0.9 + 0.1 / (1 - 0.9**t) for t in (1, 10, 50)}
    numbers = ", ".join(f"{x:.3f} at step {t}" for t, x in sums.items())
    return Finding("fails", f"with beta1 = 0.9 its weights add up to {numbers}", "a convex combination's add up to 1")


@claim("001")
def curvature_tells() -> Finding:
    """Where the gradient is zero the curvature tells all of the point."""
    found = []
    for name, power, sign in (("x⁴", 4, 1), ("-x⁴", 4, -1), ("x³", 3, 1)):
        x = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(sign * x**power, x, create_graph=True)
        (curve,) = torch.autograd.grad(slope, x)
        left, right = (sign * side**power for side in (-1, 1))
        kind = "a minimum" if left > 0 else "a maximum"
        if left < 0 < right:
            kind = "no extremum"
        found.append(f"{name} has slope {abs(slope.item()):g}, curvature {abs(curve.item()):g} and {kind}")
    return Finding("fails", f"at 0 {', '.join(found)}", "where the curvature is 0 as well it tells nothing")


@claim("000")
def elongated_slopes() -> Finding:
    """The slopes of 0.1 x² + y² are 0.01 along x and 1 along y."""
    w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(surfaces.get("shallow_bowl").f(w), w)
    measured = f"at (1, 1) they are {point(g)}, and the curvatures the same"
    return Finding(verdict(abs(float(g[0]) - 0.01) < 1e-6), measured, "the document takes 0.01 x² for 0.1 x²")


@claim("000")
def gradient_off_course() -> Finding:
    """In a round bowl the gradient points to the minimum, in an elongated one past it."""
    angles = {}
    for name in ("bowl", "shallow_bowl"):
        w = torch.full((2,), 6.0, dtype=torch.float64, requires_grad=True)
        (g,) = torch.autograd.grad(surfaces.get(name).f(w), w)
        angles[name] = float(torch.cosine_similarity(g, w.detach(), 0).clamp(max=1).acos().rad2deg())
    numbers = ", ".join(f"{name} {x:.0f}°" for name, x in angles.items())
    measured = f"angle at (6, 6) between steepest descent and the way to the minimum: {numbers}"
    return Finding(verdict(angles["bowl"] < 1e-4 and angles["shallow_bowl"] > 10), measured)


SGD_STEP = partial(SGD, lr=0.01)
MOMENTUM_STEP = partial(Momentum, lr=0.01, beta=0.9)


@claim("004")
def zero_gradient() -> Finding:
    """On y = 2x from (1, 1) the gradient is (0, 0), and a step of descent leaves the parameters at (1, 1)."""
    return worked(SGD_STEP, (0.0, 0.0), (1.0, 1.0))


@claim("004")
def first_sample() -> Finding:
    """There a step of descent on the first sample alone leaves the parameters at (1, 1)."""
    return worked(SGD_STEP, (0.0, 0.0), (1.0, 1.0), (0,))


@claim("004")
def minibatch_example() -> Finding:
    """There a step of 0.01 on the mini-batch of the second and the third sample leads to (1.01, 1.03)."""
    return worked(SGD_STEP, (-1.0, -3.0), (1.01, 1.03), (1, 2))


@claim("004")
def momentum_example() -> Finding:
    """There a step of 0.01 of momentum leads to (1.03, 1.07)."""
    return worked(MOMENTUM_STEP, (-3.0, -7.0), (1.03, 1.07))


@claim("004")
def adagrad_example() -> Finding:
    """There a step of 0.1 of Adagrad leads to (0.998, 0.996)."""
    return worked(partial(Adagrad, lr=0.1), (-1.4, -3.8), (0.998, 0.996))


@claim("004")
def rmsprop_example() -> Finding:
    """There a step of 0.1 of RMSprop takes the bias to 1.00028."""
    return worked(partial(RMSprop, lr=0.1, alpha=0.9), (-3.6, -7.6), (1.0002778,))
