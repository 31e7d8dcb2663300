"""The closures of a step, and the one that some methods need: it has the loss itself."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from optbench.checks import UserError

Closure = Callable[[], Any]


class Objective:
    """The closure of a step: sets the gradients of one mini-batch's loss, and counts what that took.

    Args:
        loss: Function of nothing that returns the loss, a scalar tensor with its graph. Within one step it must
            return the same function of the parameters at every call.
        params: The parameters to differentiate with respect to.
    """

    def __init__(self, loss: Callable[[], Tensor], params: Iterable[Tensor]) -> None:
        self.loss, self.params = loss, list(params)
        self.grad_evals = self.loss_evals = self.hvp_evals = 0

    @staticmethod
    def of(closure: Any, optimizer: object) -> "Objective":
        """Return the closure of a step that needs the loss function itself.

        Raises:
            UserError: There is no closure, or it is another one.
        """
        if not isinstance(closure, Objective):
            name, given = type(optimizer).__name__, "no closure" if closure is None else "a closure without its loss"
            raise UserError(f"{name}: step() has {given}; call step(Objective(loss, params))")
        return closure

    def __call__(self) -> Tensor:
        """Zero the gradients, evaluate the loss, differentiate it and return it."""
        for p in self.params:
            p.grad = None
        loss = self.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        self.grad_evals += 1
        return loss

    @torch.enable_grad()
    def expand(self, params: list[Tensor]) -> tuple[Tensor, list[Tensor], Callable[[list[Tensor]], list[Tensor]]]:
        """Return the loss, its gradients and the function from vectors to Hessian-vector products, all at one point.

        Args:
            params: What to differentiate with respect to; gradients, vectors and products are lists of their shapes.
        """
        loss = self.loss()
        gradients = torch.autograd.grad(loss, params, create_graph=True, materialize_grads=True)
        curved = [i for i, g in enumerate(gradients) if g.requires_grad]
        self.grad_evals += 1

        def product(vectors: list[Tensor]) -> list[Tensor]:
            self.hvp_evals += 1
            if not curved:
                return [torch.zeros_like(p) for p in params]
            outputs, along = [gradients[i] for i in curved], [vectors[i] for i in curved]
            return list(torch.autograd.grad(outputs, params, along, retain_graph=True, materialize_grads=True))

        return loss.detach(), [g.detach() for g in gradients], product
