"""Surfaces over two parameters."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from optbench.surfaces.surface import Surface

PI = torch.pi


def quadratic(a: float, b: float) -> Callable[[Tensor], Tensor]:
    """Return a x² + b y²."""

    def f(x: Tensor) -> Tensor:
        return a * x[..., 0] ** 2 + b * x[..., 1] ** 2

    return f


def sigmoids(inputs: tuple[float, ...], targets: tuple[float, ...]) -> Callable[[Tensor], Tensor]:
    """Return the squared error of one sigmoid neuron, a function of its weight and its bias."""
    u = torch.tensor(inputs, dtype=torch.float64)
    y = torch.tensor(targets, dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        return 0.5 * ((x[..., :1] * u.to(x) + x[..., 1:]).sigmoid() - y.to(x)).square().sum(-1)

    return f


def wavy_bowl(x: Tensor) -> Tensor:
    """Return sin x cos y on a shallow bowl."""
    return x[..., 0].sin() * x[..., 1].cos() + 0.1 * x.square().sum(-1)


def saddle(x: Tensor) -> Tensor:
    """Return x² - y²."""
    return x[..., 0] ** 2 - x[..., 1] ** 2


def monkey_saddle(x: Tensor) -> Tensor:
    """Return x³ - 3 x y²."""
    return x[..., 0] ** 3 - 3 * x[..., 0] * x[..., 1] ** 2


def rosenbrock(x: Tensor) -> Tensor:
    """Return Rosenbrock's banana."""
    return (1 - x[..., 0]) ** 2 + 100 * (x[..., 1] - x[..., 0] ** 2) ** 2


def beale(x: Tensor) -> Tensor:
    """Return Beale's function."""
    a = x[..., 0]
    b = x[..., 1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def himmelblau(x: Tensor) -> Tensor:
    """Return Himmelblau's function."""
    a = x[..., 0]
    b = x[..., 1]
    return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2


def booth(x: Tensor) -> Tensor:
    """Return Booth's function."""
    a = x[..., 0]
    b = x[..., 1]
    return (a + 2 * b - 7) ** 2 + (2 * a + b - 5) ** 2


def three_hump_camel(x: Tensor) -> Tensor:
    """Return the three-hump camel."""
    a = x[..., 0]
    b = x[..., 1]
    return 2 * a**2 - 1.05 * a**4 + a**6 / 6 + a * b + b**2


def styblinski_tang(x: Tensor) -> Tensor:
    """Return the function of Styblinski and Tang."""
    return 0.5 * (x**4 - 16 * x**2 + 5 * x).sum(-1)


def rastrigin(x: Tensor) -> Tensor:
    """Return Rastrigin's function."""
    return (10 + x**2 - 10 * (2 * PI * x).cos()).sum(-1)


def ackley(x: Tensor) -> Tensor:
    """Return Ackley's function; its minimum is a cusp, where the gradient is taken to be 0."""
    radius: Tensor = torch.linalg.vector_norm(x, dim=-1) / x.shape[-1] ** 0.5
    return 20 - 20 * (-0.2 * radius).exp() + torch.e - (2 * PI * x).cos().mean(-1).exp()


def banana_canal(x: Tensor) -> Tensor:
    """Return a winding canal along y = 2 sin x that falls slowly to the right."""
    return (x[..., 1] - 2 * x[..., 0].sin()) ** 2 + 0.02 * (x[..., 0] - 5) ** 2


def square(low: float, high: float) -> tuple[tuple[float, float], ...]:
    """Return the same interval for both parameters."""
    return (low, high), (low, high)


CORNERS = ((6.0, 6.0), (-6.0, 6.0), (-6.0, -6.0), (6.0, -6.0))
ORIGIN = ((0.0, 0.0),)
WB = ("w", "b")
TEXTBOOK = "textbook quadratic"
SFU = "Surjanovic & Bingham, Virtual Library of Simulation Experiments, https://www.sfu.ca/~ssurjano/"
D2L = "Zhang et al., Dive into Deep Learning, 2023, https://d2l.ai"

WEIGHT = (math.log(0.9 / 0.1) - math.log(0.2 / 0.8)) / 2  # the line through the logits of both targets
BIAS = math.log(0.2 / 0.8) - 0.5 * WEIGHT

SURFACES = (
    Surface("bowl", "w² + b²", quadratic(1, 1), square(-7, 7), TEXTBOOK, ((-2, -2), (-4, 6)), ORIGIN, labels=WB),
    Surface("mild_bowl", "0.3 w² + 0.2 b²", quadratic(0.3, 0.2), square(-7, 7), TEXTBOOK, CORNERS, ORIGIN, labels=WB),
    Surface(
        "elongated_bowl", "0.7 w² + 0.1 b²", quadratic(0.7, 0.1), square(-8, 8), TEXTBOOK, CORNERS, ORIGIN, labels=WB
    ),
    Surface("shallow_bowl", "0.1 x² + y²", quadratic(0.1, 1), square(-10, 10), TEXTBOOK, ((-8, 6),), ORIGIN),
    Surface("d2l_bowl", "x² + 2 y²", quadratic(1, 2), square(-6, 3), D2L, ((-5, -5),), ORIGIN),
    Surface("ravine", "x² + 10 y²", quadratic(1, 10), square(-6, 6), TEXTBOOK, ((-5, 1),), ORIGIN),
    Surface("steep_ravine", "x² + 15 y²", quadratic(1, 15), square(-6, 6), TEXTBOOK, ((-5, 1),), ORIGIN),
    Surface(
        "sigmoid_pair",
        "½ Σ (σ(w u + b) - y)², two points",
        sigmoids((0.5, 2.5), (0.2, 0.9)),
        square(-7, 7),
        "one sigmoid neuron, squared error; the minimum passes through both points",
        ((-2, -2), (-4, 6), (-3, -1)),
        ((WEIGHT, BIAS),),
        labels=WB,
    ),
    Surface(
        "sigmoid_plateau",
        "½ Σ (σ(w u + b) - ½)², three points",
        sigmoids((0.35, 3, 3.5), (0.5, 0.5, 0.5)),
        square(-7, 7),
        "one sigmoid neuron, squared error; all targets are ½",
        ((2, 4), (-2, -2), (-3, -1)),
        ORIGIN,
        labels=WB,
    ),
    Surface(
        "wavy_bowl",
        "sin x cos y + 0.1 (x² + y²)",
        wavy_bowl,
        square(-5, 5),
        "textbook, not convex",
        ((4, 4), (3, -3)),
        (
            (-1.306440008369, 0),
            (1.265513549059, 2.571953557433),
            (1.265513549059, -2.571953557433),
            (3.837467106499, 0),
        ),
    ),
    Surface(
        "saddle",
        "x² - y²",
        saddle,
        square(-2, 2),
        D2L,
        ((1.5, 1.5), (-1.5, 1), (1.5, -1), (-0.25, 0), (1.5, 0)),
        saddles=ORIGIN,
        domain=square(-2, 2),
    ),
    Surface(
        "monkey_saddle",
        "x³ - 3 x y²",
        monkey_saddle,
        square(-2, 2),
        "Hilbert & Cohn-Vossen, Anschauliche Geometrie, 1932; the Hessian at 0 is 0",
        ((1, 0.5), (1, 0)),
        domain=square(-2, 2),
    ),
    Surface(
        "rosenbrock",
        "(1 - x)² + 100 (y - x²)²",
        rosenbrock,
        ((-2, 2), (-1, 3)),
        "Rosenbrock, An Automatic Method for Finding the Greatest or Least Value of a Function, 1960, "
        "https://doi.org/10.1093/comjnl/3.3.175",
        ((-1.2, 1),),
        ((1, 1),),
    ),
    Surface(
        "beale",
        "(1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
        beale,
        square(-4.5, 4.5),
        f"Beale, On an Iterative Method for Finding a Local Minimum, 1958; {SFU}",
        ((1, 1), (-3, -3)),
        ((3, 0.5),),
        saddles=((0, 1), (0.100538, -2.644514)),
    ),
    Surface(
        "himmelblau",
        "(x² + y - 11)² + (x + y² - 7)²",
        himmelblau,
        square(-6, 6),
        "Himmelblau, Applied Nonlinear Programming, 1972, https://en.wikipedia.org/wiki/Himmelblau%27s_function",
        ((0, 0), (-0.5, 4.5)),
        (
            (3, 2),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        saddles=((-3.073026, -0.081353), (-0.127961, -1.953715), (0.086678, 2.884255), (3.385154, 0.073852)),
        maxima=((-0.270845, -0.923039),),
    ),
    Surface(
        "booth",
        "(x + 2y - 7)² + (2x + y - 5)²",
        booth,
        square(-10, 10),
        SFU,
        ((-8, -6),),
        ((1, 3),),
    ),
    Surface(
        "three_hump_camel",
        "2x² - 1.05x⁴ + x⁶/6 + xy + y²",
        three_hump_camel,
        square(-2.2, 2.2),
        SFU,
        ((-2, -1), (2, 1)),
        ((0, 0), (-1.747552345830, 0.873776172915), (1.747552345830, -0.873776172915)),
        saddles=((-1.070542, 0.535271), (1.070542, -0.535271)),
    ),
    Surface(
        "styblinski_tang",
        "½ Σ (x⁴ - 16x² + 5x)",
        styblinski_tang,
        square(-5, 5),
        f"Styblinski & Tang, Experiments in Nonconvex Optimization, 1990; {SFU}",
        ((0, 0), (4, 4)),
        tuple((a, b) for a in (-2.903534027771, 2.746802770990) for b in (-2.903534027771, 2.746802770990)),
        saddles=tuple(p for m in (-2.903534, 2.746803) for p in ((m, 0.156731), (0.156731, m))),
        maxima=((0.156731, 0.156731),),
    ),
    Surface(
        "rastrigin",
        "Σ (10 + x² - 10 cos 2πx)",
        rastrigin,
        square(-5.12, 5.12),
        f"Rastrigin, Systems of Extremal Control, 1974; {SFU}",
        ((-4.2, 3.7),),
        ORIGIN,
    ),
    Surface(
        "ackley",
        "20 - 20 exp(-0.2 r) + e - exp(mean cos 2πx), r = rms x",
        ackley,
        square(-5, 5),
        f"Ackley, A Connectionist Machine for Genetic Hillclimbing, 1987; {SFU}",
        ((-3.3, 2.4),),
        ORIGIN,
    ),
    Surface(
        "banana_canal",
        "(y - 2 sin x)² + 0.02 (x - 5)²",
        banana_canal,
        square(-6, 6),
        "a canal after Rosenbrock's banana, wound along a sine",
        ((-5, 0),),
        ((5, 2 * math.sin(5)),),
    ),
)
