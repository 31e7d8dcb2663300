"""Descent on a function of one tensor, by the same optimizer classes that train the networks."""

from collections.abc import Callable

import torch
from torch import Tensor

from optbench.optimizers.base import Objective, Optimizer


def descend(
    f: Callable[[Tensor], Tensor],
    factory: Callable[[list[Tensor]], Optimizer],
    start: Tensor,
    steps: int,
) -> Tensor:
    """Return the path of an optimizer on a function, shape (steps + 1, *start.shape), the start included.

    Args:
        f: Any callable from a tensor of the start's shape to a scalar that autograd can differentiate.
        factory: What makes the optimizer from a list of parameters, such as `partial(Adam, lr=0.1)`.
        start: The first point; its dtype and device are the path's.
        steps: Number of steps.
    """
    p = torch.nn.Parameter(start.detach().clone())
    optimizer = factory([p])
    objective = Objective(lambda: f(p), [p])
    path = torch.empty(steps + 1, *start.shape, dtype=start.dtype, device=start.device)
    path[0] = start
    for i in range(steps):
        optimizer.step(objective)
        optimizer.eval()
        path[i + 1] = p.detach()
        optimizer.train()
    return path
