"""L-BFGS-B's model of the loss within bounds, beside the same worked out with whole matrices, stretch by stretch."""

import pytest
import torch

from optbench.optimizers.lbfgsb import cauchy_point, compact, subspace_minimum

SIZE, PAIRS = 6, 3


def problem(seed):
    """Return a point in a box, a gradient and pairs of a quadratic."""
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(SIZE, SIZE, generator=draw, dtype=torch.float64)
    curvature = root @ root.mT / SIZE + 0.3 * torch.eye(SIZE, dtype=torch.float64)
    steps = torch.randn(PAIRS, SIZE, generator=draw, dtype=torch.float64)
    pairs = [torch.stack([s, curvature @ s]) for s in steps]
    x, g = (torch.randn(SIZE, generator=draw, dtype=torch.float64) for _ in range(2))
    lo, hi = (x - torch.rand(SIZE, generator=draw).double(), x + torch.rand(SIZE, generator=draw).double())
    lo[0] = x[0]  # one that is at its bound already
    return x, g, lo, hi, pairs


def whole_hessian(pairs):
    """Return the BFGS matrix of the pairs, update by update."""
    s, y = pairs[-1]
    B = (y @ y) / (s @ y) * torch.eye(SIZE, dtype=torch.float64)
    for s, y in pairs:
        B = B - torch.outer(B @ s, B @ s) / (s @ B @ s) + torch.outer(y, y) / (s @ y)
    return B


def first_lowest(x, g, lo, hi, B):
    """Return the first local minimum of the model along the projected gradient, from parabolas between its bends."""

    def at(t):
        return (x - t * g).clamp(lo, hi)

    def model(t):
        way = at(t) - x
        return float(g @ way + way @ B @ way / 2)

    limits = torch.where(g > 0, (x - lo) / g, (x - hi) / g)
    bends = [0.0, *sorted(t for t in limits.tolist() if t > 0)]
    for a, b in zip(bends, [*bends[1:], bends[-1] + 1], strict=True):
        left, middle, right = model(a), model((a + b) / 2), model(b)
        curve = 4 * (left - 2 * middle + right) / (b - a) ** 2
        slope = (4 * middle - 3 * left - right) / (b - a)
        if slope >= -1e-12:
            return at(a)
        if curve > 0 and -slope / curve <= b - a:
            return at(a - slope / curve)
    raise AssertionError("a positive definite model has a minimum")


@pytest.mark.parametrize("seed", range(20))
def test_the_model_is_minimised_as_with_whole_matrices(seed):
    x, g, lo, hi, pairs = problem(seed)
    B = whole_hessian(pairs)
    theta, W, M = compact(x, pairs)
    torch.testing.assert_close(theta * torch.eye(SIZE, dtype=torch.float64) - W @ M @ W.mT, B)
    cauchy, way = cauchy_point(x, g, lo, hi, theta, W, M)
    expected = first_lowest(x, g, lo, hi, B)
    torch.testing.assert_close(cauchy, expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(way, W.mT @ (cauchy - x))
    free = (cauchy > lo) & (cauchy < hi)
    slope = g + B @ (cauchy - x)
    d = torch.zeros_like(x)
    d[free] = torch.linalg.solve(B[free][:, free], -slope[free])
    shares = [1.0] + [float(((hi if v > 0 else lo)[i] - cauchy[i]) / v) for i, v in enumerate(d) if v]
    torch.testing.assert_close(subspace_minimum(x, g, lo, hi, pairs), cauchy + min(shares) * d)
