"""The Hessian of a network from its products with vectors: eigenvalues, trace, spectral density."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from optbench.landscape.arrays import Floats
from optbench.landscape.task import Task
from optbench.optimizers.objective import Objective

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Krylov:
    """What Lanczos' method found.

    Attributes:
        values: Ritz values, from low to high.
        vectors: Ritz vectors as rows, orthonormal.
        weights: Squared share of the start in each Ritz vector; they sum to 1.
        residuals: How far each is from an eigenpair: the norm of the operator's product less value times vector.
    """

    values: Tensor
    vectors: Tensor
    weights: Tensor
    residuals: Tensor


def lanczos(product: Product, start: Tensor, iterations: int = 60, tolerance: float = 1e-3, ends: int = 1) -> Krylov:
    """Return Ritz pairs of a symmetric operator; it ends early where those at the ends of its spectrum have settled.

    Args:
        product: The operator.
        start: A vector with a share in every direction, such as a random one.
        iterations: Calls of `product` at most; as many vectors are kept.
        tolerance: Size of the residuals at which it ends, relative to the values; 0 takes all iterations.
        ends: How many values at either end have to settle.

    References:
        Lanczos, An iteration method for the solution of the eigenvalue problem of linear differential and integral
        operators, 1950, https://doi.org/10.6028/jres.045.026
    """
    basis = [start / start.norm()]
    alphas: list[float] = []
    betas: list[float] = []
    while True:
        w = product(basis[-1])
        alphas.append(float(w @ basis[-1]))
        known = torch.stack(basis)
        for _ in range(2):  # once is not enough: rounding would bring found directions back
            w = w - known.mT @ (known @ w)
        values, rotation = torch.linalg.eigh(tridiagonal(alphas, betas))
        beta = float(w.norm())
        residuals = beta * rotation[-1].abs()
        last = len(alphas) == min(iterations, start.numel()) or beta <= 1e-7 * max(1e-30, float(values.abs().max()))
        outer = [*range(min(ends, len(values))), *range(max(0, len(values) - ends), len(values))]
        settled = bool((residuals[outer] <= tolerance * values[outer].abs()).all())  # a hundredth apart, perhaps
        if last or (settled and len(values) > ends and tolerance):
            return Krylov(values, rotation.mT.to(known) @ known, rotation[0].square(), residuals)
        betas.append(beta)
        basis.append(w / beta)


def extremes(product: Product, start: Tensor, iterations: int = 60, tolerance: float = 1e-3) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of a symmetric operator; arguments as of `lanczos`.

    Both are inside the true range, and each within `tolerance` of its size of an eigenvalue where it ended early.
    """
    values = lanczos(product, start, iterations, tolerance).values
    return float(values[0]), float(values[-1])


def tridiagonal(diagonal: list[float], beside: list[float]) -> Tensor:
    """Return a symmetric tridiagonal matrix in float64."""
    off = torch.tensor(beside, dtype=torch.float64)
    return torch.tensor(diagonal, dtype=torch.float64).diag() + off.diag(1) + off.diag(-1)


class Hessian:
    """The Hessian of a task's loss at some weights.

    Args:
        task: Model, loss and examples.
        weights: Flat, shape (parameters,).

    Attributes:
        loss: At the weights.
        gradient: Flat.
        size: Number of parameters.
    """

    def __init__(self, task: Task, weights: Floats | Tensor) -> None:
        self.task = task.frozen()
        params: list[Tensor] = list(self.task.model.parameters())
        vector_to_parameters(torch.as_tensor(weights).to(params[0]), params)
        objective = Objective(lambda: self.task.loss(self.task.model(self.task.x), self.task.y), params)
        loss, gradients, self.hvp = objective.expand(params)
        self.params = params
        self.loss = float(loss)
        self.gradient = torch.cat([g.reshape(-1) for g in gradients])
        self.size = self.gradient.numel()

    def __call__(self, v: Tensor) -> Tensor:
        """Return the Hessian times a flat vector, flat."""
        parts = torch.split(v, [p.numel() for p in self.params])
        products = self.hvp([x.view_as(p) for x, p in zip(parts, self.params, strict=True)])
        return torch.cat([x.reshape(-1) for x in products])

    def starts(self, seed: int = 0) -> Iterator[Tensor]:
        """Yield random vectors, always the same."""
        draw = torch.Generator().manual_seed(seed)
        while True:
            yield torch.randn(self.size, generator=draw).to(self.gradient)


def trace(hessian: Hessian, probes: int = 20, seed: int = 0) -> tuple[float, float]:
    """Return the trace of a Hessian by Hutchinson's estimator, and its standard error.

    Args:
        hessian: The operator.
        probes: Random vectors of signs, each of which takes a product; at least 2.
        seed: Draws them.

    References:
        Hutchinson, A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines, 1990,
        https://doi.org/10.1080/03610919008812866
    """
    starts = hessian.starts(seed)
    signs = [next(starts).sign() for _ in range(probes)]
    found = torch.tensor([float(v @ hessian(v)) for v in signs], dtype=torch.float64)
    return float(found.mean()), float(found.std() / math.sqrt(probes))


@dataclass(frozen=True)
class Density:
    """A spectral density: how many of the eigenvalues lie where.

    Attributes:
        values: Nodes of all probes, shape (nodes,).
        weights: Share of the eigenvalues that each stands for; they sum to 1.
        residuals: How far each node is from an eigenvalue at most.
    """

    values: Floats
    weights: Floats
    residuals: Floats

    def at(self, grid: Floats, width: float) -> Floats:
        """Return the density at values (n,), each node spread by a normal distribution of a width."""
        spread = np.exp(-0.5 * ((grid[:, None] - self.values) / width) ** 2) / (width * math.sqrt(2 * math.pi))
        density: Floats = spread @ self.weights
        return density


def spectral_density(hessian: Hessian, probes: int = 4, iterations: int = 40, seed: int = 0) -> Density:
    """Return the density of a Hessian's eigenvalues by stochastic Lanczos quadrature.

    Args:
        hessian: The operator.
        probes: Random starts.
        iterations: Nodes for each of them, a product each.
        seed: Draws the starts.

    References:
        Ghorbani, Krishnan & Xiao, An investigation into neural net optimization via Hessian eigenvalue density, 2019,
        https://arxiv.org/abs/1901.10159
    """
    starts = hessian.starts(seed)
    found = [lanczos(hessian, next(starts), iterations, tolerance=0) for _ in range(probes)]
    join = [
        torch.cat([getattr(k, name).double() for k in found]).numpy() for name in ("values", "weights", "residuals")
    ]
    return Density(join[0], join[1] / probes, join[2])
