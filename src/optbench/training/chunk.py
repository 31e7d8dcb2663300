"""The part of a chunk of mini-batches that is trained on, and where it is interrupted."""

from collections.abc import Iterator, Sequence

import lightning.pytorch as lightning
from torch import Tensor

from optbench.data.chunks import Chunks


def within(trainer: lightning.Trainer, steps: int, chunk: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the part of a chunk that lies within the limits of steps, which Lightning looks at between chunks only.

    Args:
        trainer: The trainer, which was not yet done before the chunk.
        steps: Steps taken.
        chunk: Mini-batches, x and y.
    """
    ends = [trainer.max_steps] if trainer.max_steps != -1 else []
    if trainer.should_stop and trainer.current_epoch >= (trainer.min_epochs or 0):
        ends += [trainer.min_steps] if trainer.min_steps else []
    left = min(ends, default=steps + len(chunk[0])) - steps
    return chunk[0][:left], chunk[1][:left]


def first_batch(loader: Chunks) -> tuple[Tensor, Tensor]:
    """Return some mini-batch of the size that most have."""
    return loader.x[: loader.batch_size], loader.y[: loader.batch_size]


def spans(keeps: Sequence[bool]) -> Iterator[slice]:
    """Yield parts of a chunk that make it whole, each up to a step whose weights are kept.

    Args:
        keeps: Whether the weights after each step are.
    """
    start = 0
    for i, kept in enumerate(keeps, 1):
        if kept or i == len(keeps):
            yield slice(start, i)
            start = i
