"""What the methods share that move all parameters at once, as one vector."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import Closure


class Function:
    """A loss as a function of one vector: the parameters that have a gradient, one after the other.

    Args:
        params: These parameters.
        closure: What sets their gradients and returns the loss.
        loss: The loss where the parameters are; their gradients there are set.
    """

    def __init__(self, params: list[Tensor], closure: Closure, loss: float) -> None:
        self.params, self.closure, self.loss = params, closure, loss
        self.x = self.join(params)
        self.gradient = self.join([p.grad for p in params if p.grad is not None])

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        """Move the parameters to x; return the loss and the gradient there, in the type of x."""
        self.move(x)
        with torch.enable_grad():
            loss = number(self.closure())
        return loss, self.join([p.grad for p in self.params if p.grad is not None]).to(x.dtype)

    def move(self, x: Tensor) -> None:
        """Move the parameters to x."""
        for p, part in zip(self.params, self.split(x), strict=True):
            p.copy_(part)

    def join(self, tensors: list[Tensor]) -> Tensor:
        """Return tensors in the parameters' shapes as one vector; leading dimensions stay."""
        pairs = zip(tensors, self.params, strict=True)
        return torch.cat([x.reshape(*x.shape[: x.dim() - p.dim()], p.numel()) for x, p in pairs], -1)

    def split(self, x: Tensor) -> list[Tensor]:
        """Return a vector as tensors in the parameters' shapes; leading dimensions stay."""
        parts = torch.split(x, [p.numel() for p in self.params], -1)
        return [part.reshape(*x.shape[:-1], *p.shape) for part, p in zip(parts, self.params, strict=True)]


def number(loss: Any) -> float:
    """Return what a closure returned as a number."""
    return float(loss.detach() if isinstance(loss, Tensor) else loss)


class Flat(Optimizer):
    """An optimizer that moves all parameters at once.

    Groups may differ in the hyperparameters that `per_group` names; the others belong to all parameters. State is kept
    by parameter.
    """

    per_group: ClassVar[tuple[str, ...]] = ("lr",)

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            name = type(self).__name__
            raise UserError(f"{name}: step() has no closure; give one that sets the gradients, which is called again")
        with torch.enable_grad():
            loss = closure()
        params = [p for group in self.param_groups for p in group["params"] if p.grad is not None and p.numel()]
        self._refuse_sparse(params)
        if params:
            self._minimize(Function(params, closure, number(loss)))
        return loss

    def _minimize(self, f: Function) -> None:
        raise NotImplementedError

    def _load(self, f: Function, name: str, default: Tensor) -> Tensor:
        """Return a state of all parameters, zero where one has none yet, or the default where none has."""
        known = [self._state[p].get(name) for p in f.params]
        lead = next((x.shape[: x.dim() - p.dim()] for x, p in zip(known, f.params, strict=True) if x is not None), None)
        if lead is None:
            return default
        return f.join([p.new_zeros(*lead, *p.shape) if x is None else x for x, p in zip(known, f.params, strict=True)])

    def _store(self, f: Function, **state: Tensor) -> None:
        """Keep states of all parameters, each with its share in its own type, and count the step."""
        for name, x in state.items():
            for p, part in zip(f.params, f.split(x), strict=True):
                self._state[p][name] = part.to(p.dtype, copy=True)
        for p in f.params:
            self._state[p]["step"] = self._state[p].get("step", 0) + 1

    def _spread(self, f: Function, name: str) -> Tensor:
        """Return a hyperparameter of the groups as a vector."""
        return f.join([p.new_ones(p.shape) * value for p, value in self._per_parameter(f, name)])

    def _per_parameter(self, f: Function, name: str) -> list[tuple[Tensor, Any]]:
        """Return each parameter with its group's value of a hyperparameter."""
        values = {p: group[name] for group in self.param_groups for p in group["params"]}
        return [(p, values[p]) for p in f.params]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, as for any optimizer.

        Args:
            param_group: `params`, and what the class allows to differ between groups.

        Raises:
            UserError: As for the class, or a hyperparameter differs that belongs to all parameters.
        """
        super().add_param_group(param_group)
        first, last = self.param_groups[0], self.param_groups[-1]
        for key in self.defaults.keys() & self.hyper.keys() - set(self.per_group):
            if last[key] != first[key]:
                self.param_groups.pop()
                name = type(self).__name__
                raise UserError(
                    f"{name}: {key}={last[key]!r} differs from the first group's {first[key]!r}; give one for all"
                )
