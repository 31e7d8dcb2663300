"""The closures of a step, and the one that some methods need: it has the loss itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from optbench.checks import UserError

Closure = Callable[[], Any]
Sum = Callable[[Sequence[Tensor]], None]

GRADIENTS = "give one that sets the gradients, which is called again"
"""What a method asks for that evaluates at several points."""
LOSS = "call step(Objective(loss, params))"
"""What a method asks for that differentiates the loss itself."""


def number(loss: Any) -> float:
    """Return what a closure returned as a number.

    Raises:
        UserError: It is none.
    """
    try:
        return float(loss.detach() if isinstance(loss, Tensor) else loss)
    except (TypeError, ValueError, RuntimeError):
        given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UserError(f"step(): the closure returns {given}; let it return the loss, one number") from None


class Objective:
    """The closure of a step: sets the gradients of one mini-batch's loss, and counts what that took.

    Args:
        loss: Function of nothing that returns the loss, a scalar tensor with its graph. Within one step it must
            return the same function of the parameters at every call.
        params: The parameters to differentiate with respect to.
        total: What sums tensors in place over the processes that share the mini-batch, each of which has a part of the
            gradient; the loss is the whole one already. None where there is one process.
    """

    def __init__(self, loss: Callable[[], Tensor], params: Iterable[Tensor], total: Sum | None = None) -> None:
        self.loss = loss
        self.params = list(params)
        self.total = total
        self.grad_evals = self.loss_evals = self.hvp_evals = 0

    @staticmethod
    def of(closure: Any, optimizer: torch.optim.Optimizer) -> "Objective":
        """Return the closure of a step that needs the loss function itself.

        Args:
            closure: An objective, also inside a partial, as Lightning's wrapper of an optimizer makes one of it; or any
                function that returns the loss with its graph, and need not differentiate it.
            optimizer: Who needs it.
        """
        inner = closure
        while isinstance(inner, partial):
            inside = (inner.func, *inner.args, *inner.keywords.values())
            functions = [x for x in inside if isinstance(x, Objective | partial)]
            inner = functions[0] if functions else None
        if isinstance(inner, Objective):
            return inner
        name = type(optimizer).__name__

        def loss() -> Tensor:
            value = closure()
            if isinstance(value, Tensor) and value.requires_grad:
                return value
            raise lossless(name)

        return Graph(loss, [p for group in optimizer.param_groups for p in group["params"]], name)

    def __call__(self) -> Tensor:
        """Zero the gradients, evaluate the loss, differentiate it and return it."""
        loss = self._evaluate()
        self._differentiate(loss)
        if self.total:
            self.total([p.grad for p in self.params if p.grad is not None])
        self.grad_evals += 1
        return loss

    def _evaluate(self) -> Tensor:
        for p in self.params:
            p.grad = None
        return self.loss()

    def _differentiate(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    @torch.enable_grad()
    def expand(self, params: list[Tensor]) -> tuple[Tensor, list[Tensor], Callable[[list[Tensor]], list[Tensor]]]:
        """Return the loss, its gradients and the function from vectors to Hessian-vector products, all at one point.

        Args:
            params: What to differentiate with respect to; gradients, vectors and products are lists of their shapes.
        """
        loss = self.loss()
        gradients = self._gradients(loss, params)
        curved = [i for i, g in enumerate(gradients) if g.requires_grad]
        self.grad_evals += 1

        def product(vectors: list[Tensor]) -> list[Tensor]:
            self.hvp_evals += 1
            if not curved:
                return [torch.zeros_like(p) for p in params]
            outputs = [gradients[i] for i in curved]
            along = [vectors[i] for i in curved]
            return self._summed(torch.autograd.grad(outputs, params, along, retain_graph=True, materialize_grads=True))

        return loss.detach(), self._summed(gradients), product

    def _summed(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums of tensors over the processes, without their graph."""
        if self.total is None:
            return [part.detach() for part in parts]
        sums = [part.detach().clone() for part in parts]
        self.total(sums)
        return sums

    def _gradients(self, loss: Tensor, params: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss, params, create_graph=True, materialize_grads=True)


def lossless(name: str) -> UserError:
    """Return the error for a closure that does not give away its loss with the graph."""
    return UserError(
        f"{name}: step() has a closure without its loss; call step(Objective(loss, params)), or return the loss before "
        "backward(); in Lightning set automatic_optimization = False and step self.optimizers() so"
    )


class Graph(Objective):
    """An objective out of a plain closure, which may have differentiated its loss and freed the graph.

    Args:
        loss: The closure.
        params: As for any objective.
        name: Whose step it is, for the message.
    """

    def __init__(self, loss: Callable[[], Tensor], params: Iterable[Tensor], name: str) -> None:
        super().__init__(loss, params)
        self.name = name

    def _evaluate(self) -> Tensor:
        loss = super()._evaluate()
        for p in self.params:
            p.grad = None  # whatever the closure has set by itself
        return loss

    def _differentiate(self, loss: Tensor) -> None:
        with self._whole():
            super()._differentiate(loss)

    def _gradients(self, loss: Tensor, params: list[Tensor]) -> tuple[Tensor, ...]:
        with self._whole():
            return super()._gradients(loss, params)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if "backward through the graph a second time" not in str(error):
                raise
            raise lossless(self.name) from None
