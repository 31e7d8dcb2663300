"""Runs whose whole step is compiled: a stack of them, or one alone."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from optbench.checks import one_line
from optbench.optimizers.base import Optimizer, State
from optbench.optimizers.halves import Unsplit
from optbench.optimizers.objective import Objective
from optbench.training.clip import Clip
from optbench.training.compiled import Criterion, Part, Tensors
from optbench.training.network import Network
from optbench.training.states import set_state, steps_taken

CACHE = 6 * 2**20
"""Bytes of weights and state that are trained together: those of more replicas would not stay in the cache.

With two processes on one third-level cache a step takes 240 us a replica in parts of 4 MB, 275 in parts of 10.
"""


class Compiled:
    """Networks and their optimizers as one, stepped by a compiled function; one network alone is a stack of one.

    Args:
        models: The networks, of one architecture; those that share their mini-batches follow one another.
        optimizers: The optimizer of each, of one class; they serve for their numbers and their state, and never step.
        loss: Function of outputs, targets and `reduction`.
        orders: How many different mini-batches there are at a step.
        example: A mini-batch of the size that most have, x (batch, features) and y (batch, ...).
        clip: How gradients are clipped, if they are.

    Attributes:
        seconds: What compiling took.

    Raises:
        Unsplit: The step cannot be compiled whole, because of the rule or of the compiler.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        loss: Criterion,
        orders: int,
        example: tuple[Tensor, Tensor],
        clip: Clip | None = None,
    ) -> None:
        if not Network.takes(models[0]):
            raise Unsplit("its network has unknown layers")
        self.network = Network(models, apart=True)
        self.parts: list[list[Part]] = []
        share = len(models) // orders
        size = together(models[0], share)
        self.steps = steps_taken(optimizers[0])
        began = time.perf_counter()
        try:
            for start in range(0, len(models), share):
                cuts = [slice(i, min(i + size, start + share)) for i in range(start, start + share, size)]
                self.parts.append([Part(rows, self.network, optimizers[rows], loss, example, clip) for rows in cuts])
        except Unsplit:
            raise
        except Exception as error:  # of a compiler's making
            raise Unsplit(f"torch.compile: {one_line(error)[:200]}") from error
        self.seconds = time.perf_counter() - began

    def advance(self, x: Tensor, y: Tensor, lrs: Sequence[Sequence[float]]) -> Tensor:
        """Take a step for each mini-batch and return the losses before it, shape (steps, replicas).

        Args:
            x: Inputs (steps, orders, batch, features).
            y: Targets (steps, orders, batch, ...).
            lrs: Learning rates by replica and step.
        """
        losses = [
            part.advance(x[:, i], y[:, i], self.steps, lrs[part.rows])
            for i, parts in enumerate(self.parts)
            for part in parts
        ]
        self.steps += len(x)
        return torch.cat(losses, 1)

    def gradient_of(self, i: int) -> Tensors:
        """Return the last gradients of a replica by parameter; none before the first step."""
        part = self._part(i)
        return {name: gradient[i - part.rows.start] for name, gradient in part.gradients.items()}

    def state_of(self, i: int) -> dict[str, State]:
        """Return the state of a replica by parameter, copied; none before the first step."""
        return tree_map_only(Tensor, Tensor.clone, self.live_state_of(i))  # type: ignore[no-any-return]

    def live_state_of(self, i: int) -> dict[str, State]:
        """Return the state of a replica by parameter, whose tensors the next steps move; none before the first."""
        part = self._part(i)
        if not self.steps:
            return {}
        return {name: {"step": self.steps, **own} for name, own in part.state_of(i - part.rows.start).items()}

    def _part(self, i: int) -> Part:
        return next(part for parts in self.parts for part in parts if part.rows.start <= i < part.rows.stop)


def together(model: nn.Module, share: int) -> int:
    """Return how many of the replicas that share their mini-batches stay in the cache, a part of them if one fits.

    Args:
        model: One of the networks.
        share: How many share their mini-batches.
    """
    if next(model.parameters()).device.type != "cpu":
        return share
    each = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    most = max(1, CACHE // each)
    parts = -(-share // most)
    even = [size for size in range(1, most + 1) if share % size == 0]
    rough = -(-share // parts)
    return max(even) if 2 * max(even) > rough else rough


class Alone:
    """One run as a stack of one, whose optimizer has the state as if it had stepped itself.

    Args:
        model: The network.
        optimizer: Its optimizer, which never steps.
        objective: What counts the gradients.
        loss: Function of outputs, targets and `reduction`.
        example: A mini-batch of the size that most have, x (batch, features) and y (batch, ...).
        clip: How gradients are clipped, if they are.

    Raises:
        Unsplit: As for `Compiled`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        objective: Objective,
        loss: Criterion,
        example: tuple[Tensor, Tensor],
        clip: Clip | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.objective = objective
        self.stack = Compiled([model], [optimizer], loss, 1, example, clip)

    def advance(self, chunk: tuple[Tensor, Tensor], lrs: Sequence[float]) -> list[float]:
        """Take a step for each mini-batch of a chunk and return the losses before it.

        Args:
            chunk: Inputs (steps, batch, features) and targets (steps, batch, ...).
            lrs: The learning rate of each step.
        """
        x, y = chunk
        losses: list[float] = self.stack.advance(x.unsqueeze(1), y.unsqueeze(1), [lrs])[:, 0].tolist()
        self.objective.grad_evals += len(losses)
        for name, gradient in self.stack.gradient_of(0).items():
            self.model.get_parameter(name).grad = gradient
        set_state(self.model, self.optimizer, self.stack.live_state_of(0))
        group = self.optimizer.param_groups[0]
        group |= {"lr": lrs[-1]} if "lr" in group else {}
        return losses
