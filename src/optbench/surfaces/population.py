"""Descent of a whole population, of which each step moves a mini-batch."""

import torch
from torch import Tensor

from optbench.optimizers.objective import Objective
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.terrain import F


def migrate(
    f: F, factory: Factory, cloud: Tensor, epochs: int, batch: int, noise: float = 0.0, seed: int = 0
) -> Tensor:
    """Return the path of a population's mean, shape (epochs * mini-batches + 1, n).

    The points of a mini-batch all move by the same step, the optimizer's for the mean of their gradients.

    Args:
        f: A batched function, from (..., n) to (...).
        factory: What makes the one optimizer of all mini-batches.
        cloud: The points at the start, (m, n); left alone.
        epochs: How often each point is moved.
        batch: Points in a mini-batch.
        noise: Standard deviation of what is added to every coordinate of each point's gradient.
        seed: Of the noise and of the mini-batches.
    """
    cloud = cloud.clone()
    draw = torch.Generator().manual_seed(seed)
    p = torch.nn.Parameter(cloud.mean(0))
    optimizer = factory([p])

    def loss() -> Tensor:
        return f(members + (p - before)).mean() + (push * p).sum()

    objective = Objective(loss, [p])
    path = [cloud.mean(0)]
    for _ in range(epochs):
        for index in torch.randperm(len(cloud), generator=draw).tensor_split(tuple(range(batch, len(cloud), batch))):
            members = cloud[index]
            before = p.detach().clone()
            push = noise * torch.randn(members.shape, generator=draw, dtype=cloud.dtype).mean(0)
            optimizer.step(objective)
            cloud[index] += p.detach() - before
            path.append(cloud.mean(0))
    return torch.stack(path)
