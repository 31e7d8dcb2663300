"""The Hessian of a network: its extreme eigenvalues, from Hessian-vector products alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.landscape.grid import problem
from optbench.optimizers.objective import Objective
from optbench.records import Run
from optbench.surfaces.terrain import name_ground


@dataclass(frozen=True)
class Ground:
    """The ground under a network at one step of its training.

    Attributes:
        step: Which step.
        loss: On the examples that the Hessian is of.
        gradient_norm: 2-norm of the gradient.
        lowest: Smallest eigenvalue of the Hessian.
        highest: Largest eigenvalue of the Hessian.
    """

    step: int
    loss: float
    gradient_norm: float
    lowest: float
    highest: float

    @property
    def name(self) -> str:
        """What the ground is by both eigenvalues."""
        return name_ground(torch.tensor([self.lowest, self.highest]))


def extremes(
    product: Callable[[Tensor], Tensor], start: Tensor, iterations: int = 60, tolerance: float = 1e-3
) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of a symmetric operator, by Lanczos' method.

    Both are inside the true range, and each within `tolerance` of its size of an eigenvalue where it ended early.

    Args:
        product: The operator.
        start: A vector with a share in every direction, such as a random one.
        iterations: Calls of `product` at most; as many vectors are kept.
        tolerance: Size of the residuals at which it ends, relative to the eigenvalues.

    References:
        Lanczos, An iteration method for the solution of the eigenvalue problem of linear differential and integral
        operators, 1950, https://doi.org/10.6028/jres.045.026
    """
    basis = [start / start.norm()]
    alphas: list[float] = []
    betas: list[float] = []
    for _ in range(min(iterations, start.numel())):
        w = product(basis[-1])
        alphas.append(float(w @ basis[-1]))
        known = torch.stack(basis)
        for _ in range(2):  # once is not enough: rounding would bring found directions back
            w = w - known.mT @ (known @ w)
        values, vectors = torch.linalg.eigh(tridiagonal(alphas, betas))
        beta = float(w.norm())
        residuals = beta * vectors[-1, [0, -1]].abs()
        if (residuals <= tolerance * values[[0, -1]].abs()).all():  # one may be a hundredth of the other
            break
        betas.append(beta)
        basis.append(w / beta)
    return float(values[0]), float(values[-1])


def tridiagonal(diagonal: list[float], beside: list[float]) -> Tensor:
    """Return a symmetric tridiagonal matrix in float64."""
    off = torch.tensor(beside, dtype=torch.float64)
    return torch.tensor(diagonal, dtype=torch.float64).diag() + off.diag(1) + off.diag(-1)


def along_run(run: Run, points: int = 9, examples: int = 1000) -> list[Ground]:
    """Return the ground at points of a run's trajectory, evenly among those that it kept.

    Args:
        run: A finished run.
        points: How many, the first and the last included.
        examples: Of the training split, the first ones; the loss is their mean.

    Raises:
        UserError: The run kept no trajectory, or its data cannot be had.
    """
    if run.trajectory is None:
        raise UserError(f"{run.directory} holds no trajectory.npz; train it again with trajectory=true")
    steps, weights = run.trajectory
    task = problem(run.config, examples)
    params: list[Tensor] = list(task.model.parameters())
    objective = Objective(lambda: task.loss(task.model(task.x), task.y), params)
    start = torch.randn(sum(p.numel() for p in params), generator=torch.Generator().manual_seed(0))
    found = []
    for i in sorted({round(k * (len(steps) - 1) / max(1, points - 1)) for k in range(points)}):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(weights[i]), params)
        loss, gradients, hvp = objective.expand(params)
        low, high = extremes(partial(flat_product, hvp, params), start)
        norm = torch.cat([g.reshape(-1) for g in gradients]).norm()
        found.append(Ground(int(steps[i]), float(loss), float(norm), low, high))
    return found


def flat_product(hvp: Callable[[list[Tensor]], list[Tensor]], params: list[Tensor], v: Tensor) -> Tensor:
    """Return the Hessian times a flat vector, flat."""
    parts = torch.split(v, [p.numel() for p in params])
    products = hvp([x.view_as(p) for x, p in zip(parts, params, strict=True)])
    return torch.cat([x.reshape(-1) for x in products])
