"""What one call of a rule moves: a parameter, a slice of one, or many small ones together."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from optbench.optimizers.compiled import Launch


class Block:
    """A parameter, or a slice of one, that a single call of `update` moves.

    Args:
        params: The parameter, in a list.
        t: Steps taken.
        span: The elements of the flat parameter, or None for all of it.

    Attributes:
        state: What `init` and `update` return: tensors in the shape that `gather` gives, or numbers.
        launch: The compiled rule, once it is bound to the state.
    """

    launch: Launch | None = None

    def __init__(self, params: list[Tensor], t: int, span: slice | None = None) -> None:
        self.params, self.t, self.span = params, t, span
        self.state: dict[str, Any] = {}

    def gather(self, tensors: list[Tensor]) -> Tensor:
        """Return tensors in the parameters' shapes as the one tensor that `update` sees."""
        return tensors[0] if self.span is None else tensors[0].reshape(-1)[self.span]

    def scatter(self, tensor: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each parameter, or its slice, with its share of a tensor that `gather` could have returned."""
        return [(self.gather(self.params), tensor)]

    def gradient(self) -> Tensor:
        """Return the gradients as `update` sees them, until the next call."""
        g = self.params[0].grad
        return g if self.span is None else g.reshape(-1)[self.span]  # type: ignore[return-value, union-attr]

    def point(self) -> Tensor:
        """Return the parameters as `update` sees them, until the next call."""
        p = self.params[0]
        return p if self.span is None else p.reshape(-1)[self.span]

    def store(self) -> None:
        """Put the parameters where `point` was moved to in place."""


class Pack(Block):
    """Several parameters that one call of an element-wise `update` moves, as one flat vector.

    Its memory is kept: to concatenate anew at each step would cost more than all arithmetic.
    """

    @cached_property
    def memory(self) -> list[tuple[Tensor, list[Tensor]]]:
        """Two flat vectors, each with its parts in the parameters' shapes: for gradients and for parameters."""
        flats = self.gather(self.params), self.gather(self.params)
        return [(flat, [part for _, part in self.scatter(flat)]) for flat in flats]

    def gather(self, tensors: list[Tensor]) -> Tensor:
        return torch.cat([x.flatten() for x in tensors])

    def scatter(self, tensor: Tensor) -> list[tuple[Tensor, Tensor]]:
        parts = torch.split(tensor, [p.numel() for p in self.params])
        return [(p, part.view(p.shape)) for p, part in zip(self.params, parts, strict=True)]

    def gradient(self) -> Tensor:
        return self._load(0, [p.grad for p in self.params])  # type: ignore[misc]

    def point(self) -> Tensor:
        return self._load(1, self.params)

    def store(self) -> None:
        torch._foreach_copy_(self.params, self.memory[1][1])

    def _load(self, i: int, tensors: list[Tensor]) -> Tensor:
        flat, parts = self.memory[i]
        torch._foreach_copy_(parts, tensors)
        return flat
