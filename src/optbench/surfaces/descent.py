"""Descent on a function of one tensor, by the same optimizer classes that train the networks."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import Objective

Factory = Callable[..., Optimizer]
Schedule = Callable[[int, float], float]


def descend(
    f: Callable[..., Tensor],
    factory: Factory,
    start: Tensor,
    steps: int,
    *,
    schedule: Schedule | None = None,
    noise: float = 0.0,
    seed: int = 0,
    project: Callable[[Tensor], Tensor] | None = None,
    online: bool = False,
    batched: bool = False,
) -> Tensor:
    """Return the path of an optimizer on a function, shape (steps + 1, *start.shape), the start included.

    A path that leaves the finite numbers is NaN from there on.

    Args:
        f: Any callable from a tensor of the start's shape to a scalar that autograd can differentiate.
        factory: What makes the optimizer from a list of parameters, such as `partial(Adam, lr=0.1)`.
        start: The first point; its dtype and device are the path's.
        steps: Number of steps.
        schedule: Learning rate from the step, from 0, and the initial rate.
        noise: Standard deviation of what is added to every coordinate of a step's gradient.
        seed: Of the noise; every optimizer with the same seed meets the same noise.
        project: What moves an iterate back to where it may be, after every step.
        online: Whether every step has a loss of its own, `f(x, t)` with t from 1.
        batched: Whether the start is a batch (k, n) of independent ones, and `f` takes (k, n) to (k,). A rule that is
            element-wise runs them as one tensor, any other one after the other.

    Raises:
        UserError: `steps` is less than 1.
    """
    if steps < 1:
        raise UserError(f"steps={steps} is less than 1")
    p = torch.nn.Parameter(start.detach().clone())
    optimizer = factory([p])
    if batched and not elementwise(optimizer):
        one = partial(descend, f, factory, steps=steps, schedule=schedule, noise=noise, project=project, online=online)
        return torch.stack([one(start=x, seed=seed + i) for i, x in enumerate(start)], dim=1)
    generator = torch.Generator(start.device).manual_seed(seed)

    def loss() -> Tensor:
        value = f(p, t) if online else f(p)
        value = value.sum() if batched else value
        return value + (push * p).sum() if noise else value  # a linear term is a constant in the gradient

    objective = Objective(loss, [p])
    path = torch.full((steps + 1, *start.shape), torch.nan, dtype=start.dtype, device=start.device)
    path[0] = start
    for t in range(1, steps + 1):
        if noise:
            push = noise * torch.randn(start.shape, generator=generator, dtype=start.dtype, device=start.device)
        if schedule is not None:
            for group in optimizer.param_groups:
                if "lr" in group:
                    group["lr"] = schedule(t - 1, group.setdefault("initial_lr", group["lr"]))
        if not math.isfinite(optimizer.step(objective).detach()) and not batched:
            break
        optimizer.eval()
        iterate = p.detach().clone()
        optimizer.train()
        path[t] = iterate if project is None else project(iterate)
        if project is not None:
            with torch.no_grad():
                p.add_(path[t] - iterate)
    return path


def elementwise(optimizer: Optimizer) -> bool:
    """Return whether every coordinate moves by itself, whatever the others do."""
    return optimizer.by_update() and not optimizer.whole_tensor
