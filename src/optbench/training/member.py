"""A run as one of the processes that share it sees it: its share of each mini-batch, and of each evaluation."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from optbench.training.module import Training, in_full
from optbench.training.team import Team


class Member(Training):
    """A run as one of the processes that share it sees it."""

    team: Team

    def join(self, team: Team) -> None:
        """Take a place among the processes, and the weights of the first one.

        Raises:
            UserError: They have other data.
        """
        self.team = team
        self.total = team.sum_
        team.align(self.model, self.data)

    def batch_loss(self) -> Tensor:
        """Return the loss of the current mini-batch, with the graph of this process's share of it."""
        x, y = self.batch
        rows, weight = self.team.share(len(x))
        loss: Tensor = self.data.loss(*in_full(self.outputs(x[rows]), y[rows]))
        return Total.apply(loss * weight)  # type: ignore[no-any-return]

    def measure(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Return the mean loss over a split and, for classes, the accuracy; each process measures its share."""
        rows, weight = self.team.share(len(x))
        shares = super().measure(x[rows], y[rows])
        means = torch.tensor(list(shares.values()), dtype=torch.float64) * weight
        self.team.sum_([means])
        return dict(zip(shares, means.tolist(), strict=True))


class Total(torch.autograd.Function):
    """The sum of a number over the processes, whose gradient is that of this process's part."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        """Return the sum."""
        total = part.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient."""
        return gradient
