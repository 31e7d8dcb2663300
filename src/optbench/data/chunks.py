"""The training loader: chunks of mini-batches out of tensors in memory."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

CHUNK = 2**22  # numbers in a chunk: with more, a large batch would have a second copy of the data in memory


class Chunks:
    """An epoch at a time, items (x, y) with leading dimensions (mini-batches, batch).

    The order of an epoch depends on the seed and the epoch alone. The last, smaller mini-batch is a chunk of its own. A
    batch of all samples is neither shuffled nor copied.

    Args:
        x: Inputs, shape (samples, features).
        y: Targets, shape (samples, ...), on the same device.
        batch_size: Samples in a mini-batch.
        seed: Of the order.
        chunk_size: Mini-batches that are gathered at once; fewer where the chunk would be above 16 MiB.
        limit: Mini-batches of an epoch to give; all where None.
        repeated: Whether every epoch is the first one again.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int,
        seed: int = 0,
        chunk_size: int = 50,
        limit: int | None = None,
        repeated: bool = False,
    ) -> None:
        self.x = x
        self.y = y
        self.batch_size = batch_size
        self.seed = seed
        self.repeated = repeated
        self.epoch = 0
        samples = len(x) if limit is None else min(len(x), limit * batch_size)
        whole = samples - samples % batch_size
        batches = max(1, min(chunk_size, CHUNK * len(x) // (batch_size * x.numel())))
        self.edges = sorted({*range(0, whole, batches * batch_size), whole, samples})
        self.batches_per_epoch = math.ceil(len(x) / batch_size)
        self._done = 0
        self._resume = (0, 0)

    def order(self, epoch: int) -> Tensor:
        """Return the order of an epoch: indices of all samples, drawn on the CPU whatever the device."""
        drawn = 0 if self.repeated else epoch
        return torch.from_numpy(np.random.default_rng([self.seed, drawn]).permutation(len(self.x)))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, done = self._resume
        start = done if epoch == self.epoch else 0
        self._resume = (0, 0)
        full = self.batch_size == len(self.x)
        order = None if full else self.order(self.epoch).to(self.x.device)
        for i in range(start, len(self)):
            self._done = i + 1
            rows = None if order is None else order[self.edges[i] : self.edges[i + 1]]
            yield self._gather(self.x, rows), self._gather(self.y, rows)

    def _gather(self, tensor: Tensor, rows: Tensor | None) -> Tensor:
        if rows is None:
            return tensor[None]
        return tensor.index_select(0, rows).view(-1, min(self.batch_size, len(rows)), *tensor.shape[1:])

    # What Lightning asks for ---------------------------------------------------------------------------------------

    @property
    def sampler(self) -> "Chunks":
        """Itself: Lightning calls `loader.sampler.set_epoch` before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Return how far the epoch is, in chunks."""
        return {"epoch": self.epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration, where it is of that epoch, go on from there."""
        self._resume = state["epoch"], state["done"]


class Batches(Chunks):
    """Chunks with the mini-batches of several orders side by side: x (mini-batches, orders, batch, features).

    Args:
        loaders: The chunks of each order, of the same data. A full batch has no order: there is one for all.
    """

    def __init__(self, loaders: Sequence[Chunks]) -> None:
        first = loaders[0]
        super().__init__(first.x, first.y, first.batch_size, first.seed)  # its edges are the first's own
        self.edges = first.edges
        self.loaders = loaders

    def order(self, epoch: int) -> Tensor:
        """Return the orders of an epoch: indices (samples, orders)."""
        return torch.stack([loader.order(epoch) for loader in self.loaders], 1)

    def _gather(self, tensor: Tensor, rows: Tensor | None) -> Tensor:
        if rows is None:
            return tensor[None, None]
        size = min(self.batch_size, len(rows))
        orders = len(self.loaders)
        index = rows.view(-1, size, orders).mT.flatten()
        return tensor.index_select(0, index).view(-1, orders, size, *tensor.shape[1:])
