"""What the methods share that move all parameters at once, as one vector."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from optbench.optimizers.arithmetic import working
from optbench.optimizers.base import Optimizer
from optbench.optimizers.objective import GRADIENTS, Closure, number


class Function:
    """A loss as a function of one vector of n elements: the parameters that have a gradient, one after the other.

    Args:
        params: These parameters.
        closure: What sets their gradients and returns the loss.
        loss: The loss where the parameters are; their gradients there are set.

    Attributes:
        x: The parameters as they were first, shape (n,).
        gradient: Their gradient there, shape (n,).
    """

    def __init__(self, params: list[Tensor], closure: Closure, loss: float) -> None:
        self.params = params
        self.closure = closure
        self.loss = loss
        self.x = self.join(params)
        self.gradient = self.join([p.grad for p in params if p.grad is not None])

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        """Move the parameters to x, shape (n,); return the loss and the gradient there, in the type of x."""
        self.move(x)
        with torch.enable_grad():
            loss = number(self.closure())
        return loss, self.join([p.grad for p in self.params if p.grad is not None]).to(x.dtype)

    def move(self, x: Tensor) -> None:
        """Move the parameters to x, shape (n,)."""
        for p, part in zip(self.params, self.split(x), strict=True):
            p.copy_(part)

    def join(self, tensors: list[Tensor]) -> Tensor:
        """Return tensors (..., *shape of the parameter) as one (..., n); float16 becomes float32."""
        flat = []
        for x, p in zip(tensors, self.params, strict=True):
            leading = x.shape[: x.dim() - p.dim()]
            flat.append(working(x).reshape((*leading, p.numel())))
        return torch.cat(flat, -1)

    def split(self, x: Tensor) -> list[Tensor]:
        """Return a tensor (..., n) as tensors (..., *shape of the parameter)."""
        parts = torch.split(x, [p.numel() for p in self.params], -1)
        return [part.reshape((*x.shape[:-1], *p.shape)) for part, p in zip(parts, self.params, strict=True)]


class Flat(Optimizer):
    """An optimizer that moves all parameters at once.

    Groups may differ in the hyperparameters that `per_group` names; the others belong to all parameters. State is kept
    by parameter, under the names in `keeps`.
    """

    per_group: ClassVar[tuple[str, ...]] = ("lr",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.common = tuple(key for key in cls.hyper if key not in (*cls.per_group, *cls.parts))

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            return self._without_closure(GRADIENTS)
        with torch.enable_grad():
            loss = closure()
        moving = self._moving()
        self._refuse_autocast(moving)
        if params := [p for p, _, _, _ in moving]:
            f = Function(params, closure, number(loss))
            try:
                self._minimize(f)
            except BaseException:  # the closure failed at a point that was tried
                f.move(f.x)
                raise
        return loss

    def _minimize(self, f: Function) -> None:
        raise NotImplementedError

    def _load(self, f: Function, name: str, default: Tensor) -> Tensor:
        """Return a state of all parameters, shape (..., n): zero for one that missed a step, or the default."""
        states = [self.state[p] for p in f.params]
        steps = self._steps(f)
        known = [s.get(name) if s["step"] == steps else None for s in states]
        leading = [x.shape[: x.dim() - p.dim()] for x, p in zip(known, f.params, strict=True) if x is not None]
        if not leading:
            return default
        zeros = [p.new_zeros((*leading[0], *p.shape)) for p in f.params]
        return f.join([zero if x is None else x for x, zero in zip(known, zeros, strict=True)])

    def _store(self, f: Function, **state: Tensor) -> None:
        """Keep states of all parameters, shape (..., n), each with its share in its own type, and count the step."""
        steps = self._steps(f) + 1
        for name, x in state.items():
            for p, part in zip(f.params, f.split(x), strict=True):
                self.state[p][name] = part.to(working(p).dtype, copy=True)
        for p in f.params:
            self.state[p]["step"] = steps

    def _steps(self, f: Function) -> int:
        """Return how many steps there have been; a parameter may have missed the last ones."""
        return max(int(self.state[p]["step"]) for p in f.params)

    def _spread(self, f: Function, name: str) -> Tensor:
        """Return a hyperparameter of the groups as a vector, shape (n,)."""
        return f.join([p.new_ones(p.shape) * value for p, value in self._per_parameter(f, name)])

    def _per_parameter(self, f: Function, name: str) -> list[tuple[Tensor, Any]]:
        """Return each parameter with its group's value of a hyperparameter."""
        values = {p: group[name] for group in self.param_groups for p in group["params"]}
        return [(p, values[p]) for p in f.params]
