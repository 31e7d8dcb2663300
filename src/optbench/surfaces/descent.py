"""Descent on a function of one tensor, by the same optimizer classes that train the networks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import Objective
from optbench.optimizers.wrapper import Factory
from optbench.schedules import Schedule


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
    if batched and not optimizer.elementwise():
        options: dict[str, Any] = dict(schedule=schedule, noise=noise, project=project, online=online)
        paths = [descend(f, factory, x, steps, seed=seed + i, **options) for i, x in enumerate(start)]
        return torch.stack(paths, dim=1)
    loss = StepLoss(f, p, online, noise, seed)
    objective = Objective(loss, [p])
    path = torch.full((steps + 1, *start.shape), torch.nan, dtype=start.dtype, device=start.device)
    path[0] = start
    for t in range(1, steps + 1):
        loss.begin(t)
        if schedule is not None:
            set_rates(optimizer, partial(schedule, t - 1))
        value = optimizer.step(objective).detach()
        if not batched and not value.isfinite():
            break
        iterate = evaluated(optimizer, p)
        path[t] = iterate
        if project is not None:
            path[t] = project(iterate)
            with torch.no_grad():
                p.add_(path[t] - iterate)
    return path


class StepLoss:
    """The loss of one step after another, with noise in its gradient.

    Args:
        f: As for `descend`; where it returns more than a scalar, the loss is the sum.
        p: The point, which an optimizer moves.
        online: As for `descend`.
        noise: As for `descend`.
        seed: As for `descend`.
    """

    def __init__(self, f: Callable[..., Tensor], p: Tensor, online: bool, noise: float, seed: int) -> None:
        self.f = f
        self.p = p
        self.online = online
        self.noise = noise
        self.generator = torch.Generator(p.device).manual_seed(seed)

    def begin(self, t: int) -> None:
        """Let the loss be that of step t, from 1."""
        self.t = t
        if self.noise:
            drawn = torch.randn(self.p.shape, generator=self.generator, dtype=self.p.dtype, device=self.p.device)
            self.push = self.noise * drawn

    def __call__(self) -> Tensor:
        """Return the loss at the point, a scalar."""
        value = self.f(self.p, self.t) if self.online else self.f(self.p)
        loss = value.sum() if value.dim() else value
        if not self.noise:
            return loss
        return loss + (self.push * self.p).sum()  # a linear term is a constant in the gradient


def set_rates(optimizer: Optimizer, schedule: Callable[[float], float]) -> None:
    """Set the learning rate of each group that has one to what the schedule makes of its initial rate."""
    for group in optimizer.param_groups:
        if "lr" in group:
            initial = group.setdefault("initial_lr", group["lr"])
            group["lr"] = initial.clone().apply_(schedule) if isinstance(initial, Tensor) else schedule(initial)


def with_rates(factory: Factory, rates: Tensor) -> Factory:
    """Return what makes an element-wise optimizer with a learning rate of its own for each start of a batch.

    Args:
        factory: What makes the optimizer.
        rates: (k, 1), for starts (k, n).
    """

    def make(parameters: Any) -> Optimizer:
        optimizer = factory(parameters)
        for group in optimizer.param_groups:
            group["lr"] = rates  # a constructor takes one number
        return optimizer

    return make


def evaluated(optimizer: Optimizer, p: Tensor) -> Tensor:
    """Return the point at which an optimizer wants to be judged, which of some is not where it steps from."""
    optimizer.eval()
    iterate = p.detach().clone()
    optimizer.train()
    return iterate
