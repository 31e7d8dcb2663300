"""SAM."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from optbench.checks import Rate
from optbench.optimizers.arithmetic import gradient
from optbench.optimizers.objective import GRADIENTS, Closure, Objective
from optbench.optimizers.wrapper import Factory, Wrapper


class SAM(Wrapper):
    """Step of another optimizer with the gradient from where the loss is about highest in a ball around the weights.

    `adaptive` scales the ball by the weights' magnitudes (ASAM). Two gradients a step; the loss is the unperturbed one,
    and so are the running statistics of batch normalization, as the authors advise.

    References:
        Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, 2021,
        https://arxiv.org/abs/2010.01412
        Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, 2021, https://arxiv.org/abs/2102.11600
    """

    extends = {"SGD": "gradient from uphill"}
    parts = ("base", "rho", "adaptive")

    base: Factory
    rho: Rate = 0.05
    adaptive: bool = False

    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            return self._without_closure(GRADIENTS)
        if not isinstance(closure, Objective):
            return self.inner.step(lambda: self._sharp(closure))
        uphill = Uphill(partial(self._sharp, closure), closure)
        loss = self.inner.step(uphill)
        closure.grad_evals += uphill.grad_evals
        closure.loss_evals += uphill.loss_evals
        closure.hvp_evals += uphill.hvp_evals
        return loss

    def _sharp(self, closure: Closure) -> Any:
        loss = closure()
        params = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        weights = [p.detach().clone() for p in params]
        try:
            self._climb(params)
            with kept_statistics():
                closure()
        finally:
            with torch.no_grad():
                for p, w in zip(params, weights, strict=True):
                    p.copy_(w)
        return loss

    @torch.no_grad()
    def _climb(self, params: list[Tensor]) -> None:
        """Move the parameters along their gradients, to the edge of the ball."""
        scaled = [p.abs() * gradient(p) if self.adaptive else gradient(p) for p in params]
        lengths = [torch.linalg.vector_norm(x) for x in scaled]
        rho = self.rho / (torch.linalg.vector_norm(torch.stack(lengths or [torch.zeros(())])) + 1e-12)
        for p, x in zip(params, scaled, strict=True):
            p.add_(rho * (p.abs() * x if self.adaptive else x))


class Uphill(Objective):
    """An objective whose gradients are SAM's, and whose loss and curvature are those of the unperturbed weights.

    Args:
        sharp: What sets the gradients.
        objective: The one that it stands for.
    """

    def __init__(self, sharp: Closure, objective: Objective) -> None:
        super().__init__(objective.loss, objective.params, objective.total)
        self.sharp = sharp

    def __call__(self) -> Tensor:
        """Set SAM's gradients, which counts at the other objective, and return the loss."""
        loss: Tensor = self.sharp()
        return loss


@contextmanager
def kept_statistics() -> Iterator[None]:
    """Leave the running statistics of all normalizations as they are, whatever is evaluated inside."""
    kept: dict[nn.Module, dict[str, Tensor]] = {}

    def keep(module: nn.Module, _: Any) -> None:
        if module not in kept and getattr(module, "running_mean", None) is not None:
            kept[module] = {name: x.clone() for name, x in module.named_buffers(recurse=False)}

    hook = register_module_forward_pre_hook(keep)
    try:
        yield
    finally:
        hook.remove()
        with torch.no_grad():
            for module, buffers in kept.items():
                for name, x in buffers.items():
                    module.get_buffer(name).copy_(x)
