"""The loss of a network small enough for all of its Hessian, as a surface, and its critical points."""

import numpy as np
import torch
from torch import Tensor

from optbench.surfaces.surface import Surface
from optbench.surfaces.terrain import F, gradients, hessians

HIDDEN = 3
RIDGE = 1e-3  # without it whole sets would be critical
LINE = torch.linspace(-1, 1, 5, dtype=torch.float64)
INPUTS = torch.cartesian_prod(LINE, LINE)
TARGETS = torch.randn(len(INPUTS), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SIZE = 4 * HIDDEN + 1
STOPS = (0, 10, 30, 100, 300)  # steps of gradient descent after which a search for critical points starts
STOOD = 1e-9  # below it a gradient is none


def loss(x: Tensor) -> Tensor:
    """Return half the mean squared error of a network with two inputs and one hidden layer, and the ridge.

    Args:
        x: Weights and biases of the hidden layer, weights and bias of the output, (..., SIZE).
    """
    weights, biases, out, bias = torch.split(x, [2 * HIDDEN, HIDDEN, HIDDEN, 1], dim=-1)
    hidden = (INPUTS.to(x) @ torch.unflatten(weights, -1, (HIDDEN, 2)).mT + biases[..., None, :]).tanh()
    error = (hidden @ out[..., None])[..., 0] + bias - TARGETS.to(x)
    value: Tensor = error.square().mean(-1) / 2 + RIDGE / 2 * x.square().sum(-1)
    return value


def paths(f: F, size: int, count: int, seed: int) -> Tensor:
    """Return points along gradient descent from random starts near and far, (count * len(STOPS), size)."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, size, generator=draw, dtype=torch.float64)
    x = x * torch.linspace(0.2, 2, count, dtype=torch.float64)[:, None]
    points = []
    for step in range(STOPS[-1] + 1):
        if step in STOPS:
            points.append(x)
        x = x - 0.5 * gradients(f, x)
    return torch.cat(points)


def descend_gradient_norm(f: F, x: Tensor, iterations: int = 80) -> Tensor:
    """Return the critical points that starts (k, n) come to, those that come to one, (m, n).

    The squared norm of the gradient falls by Levenberg's and Marquardt's method, so that saddles attract as minima do.
    """
    damping = torch.full((len(x), 1, 1), 1e-2, dtype=x.dtype)
    eye = torch.eye(x.shape[-1], dtype=x.dtype)
    g = gradients(f, x)
    for _ in range(iterations):
        H = hessians(f, x)
        step = torch.linalg.solve(H @ H + damping * eye, H @ g[..., None])[..., 0]
        further = gradients(f, x - step)
        better = further.norm(dim=-1) < g.norm(dim=-1)
        x = torch.where(better[:, None], x - step, x)
        g = torch.where(better[:, None], further, g)
        damping = (damping * torch.where(better, 0.3, 4.0)[:, None, None]).clamp(1e-14, 1e6)
    return x[g.norm(dim=-1) < STOOD]


def losses_and_indices(f: F, size: int, count: int = 40, seed: int = 0) -> Tensor:
    """Return loss and number of negative eigenvalues of the Hessian at critical points, (m, 2), sorted, each pair once.

    Args:
        f: A batched function, from (..., size) to (...).
        size: Number of parameters.
        count: Random starts of gradient descent, from whose paths the searches start.
        seed: Of the starts.
    """
    x = descend_gradient_norm(f, paths(f, size, count, seed))
    index = (torch.linalg.eigvalsh(hessians(f, x)) < 0).sum(-1)
    pairs = torch.stack([f(x).round(decimals=7), index.to(x.dtype)], dim=-1)
    return torch.as_tensor(np.unique(pairs.numpy(), axis=0))


SURFACES = (
    Surface(
        "small_network",
        f"loss of a network 2 - {HIDDEN} - 1 with tanh, {SIZE} parameters",
        loss,
        ((-4, 4),) * SIZE,
        "after Dauphin et al., Identifying and Attacking the Saddle Point Problem, 2014, "
        "https://arxiv.org/abs/1406.2572",
        (tuple(torch.randn(SIZE, generator=torch.Generator().manual_seed(2)).double().tolist()),),
    ),
)
