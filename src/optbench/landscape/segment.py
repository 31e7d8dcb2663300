"""Between two solutions: the loss along the segment that joins them, and how high it rises."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from optbench.checks import Interval, UserError, check
from optbench.landscape.arrays import Floats
from optbench.landscape.grid import MEMORY, losses
from optbench.landscape.plane import Plane
from optbench.landscape.task import Loss, Task

Solution = Floats | Tensor | nn.Module
Several = Annotated[int, Interval("[2, inf)")]
POINTS = 25


def interpolation(
    a: Solution,
    b: Solution,
    points: int = POINTS,
    *,
    x: Tensor,
    y: Tensor,
    model: nn.Module | None = None,
    loss: Loss = F.cross_entropy,
    memory: int = MEMORY,
) -> Floats:
    """Return the loss at evenly spaced points of the segment from one solution to another, shape (points,).

    Args:
        a: Where it starts: flat weights (parameters,), or a model that has them.
        b: Where it ends.
        points: How many, both ends included; at least 2.
        x: Inputs (examples, ...).
        y: Targets (examples, ...).
        model: Whose weights they are; needed where neither end is a model.
        loss: From outputs and targets to a mean over the examples.
        memory: Bytes that activations may take.

    Raises:
        UserError: There are too few points, or the ends are of different models.
    """
    check("interpolation", "points", points, Several)
    made = next((given for given in (model, a, b) if isinstance(given, nn.Module)), None)
    if made is None:
        raise UserError("interpolation: flat weights need the model that they are of; give model=")
    start = _flat(a)
    end = _flat(b)
    plane = Plane(start, np.stack([end - start, np.zeros_like(start)]), "segment")
    along = np.stack([np.linspace(0, 1, points), np.zeros(points)], 1)
    return losses(Task(made, loss, x, y), plane, along, memory)


def barrier(
    a: Solution,
    b: Solution,
    points: int = POINTS,
    *,
    x: Tensor,
    y: Tensor,
    model: nn.Module | None = None,
    loss: Loss = F.cross_entropy,
) -> float:
    """Return how far the loss along a segment rises above the line between its ends; 0 where it never does.

    Arguments as of `interpolation`.

    References:
        Frankle, Dziugaite, Roy & Carbin, Linear mode connectivity and the lottery ticket hypothesis, 2020,
        https://arxiv.org/abs/1912.05671
    """
    return height(interpolation(a, b, points, x=x, y=y, model=model, loss=loss))


def height(values: Floats) -> float:
    """Return the largest height of values (points,) above the line from the first to the last."""
    return float((values - np.linspace(values[0], values[-1], len(values))).max())


def barriers(task: Task, solutions: Sequence[Floats], points: int = 11) -> Floats:
    """Return the barriers between all pairs of solutions, shape (n, n), symmetric and 0 on the diagonal."""
    found = np.zeros((len(solutions), len(solutions)))
    for i, a in enumerate(solutions):
        for j in range(i):
            values = interpolation(a, solutions[j], points, x=task.x, y=task.y, model=task.model, loss=task.loss)
            found[i, j] = found[j, i] = height(values)
    return found


def _flat(solution: Solution) -> Floats:
    if isinstance(solution, nn.Module):
        solution = parameters_to_vector(solution.parameters())
    if isinstance(solution, Tensor):
        solution = solution.detach().cpu().numpy()
    return np.asarray(solution, np.float64)
