"""SAM."""

from typing import Any

import torch

from optbench.checks import Rate, UserError
from optbench.optimizers.objective import Closure
from optbench.optimizers.wrapper import Factory, Wrapper


class SAM(Wrapper):
    """Step of another optimizer with the gradient from where the loss is about highest in a ball around the weights.

    `adaptive` scales the ball by the weights' magnitudes (ASAM). Two gradients a step; the loss is the unperturbed one.

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
            raise UserError("SAM: step() has no closure; give one that sets the gradients, which is called twice")
        return self.inner.step(lambda: self._sharp(closure))

    def _sharp(self, closure: Closure) -> Any:
        loss = closure()
        with torch.no_grad():
            params = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            self._refuse_sparse(params)
            scaled = [p.abs() * p.grad if self.adaptive else p.grad for p in params]
            length = torch.stack([torch.linalg.vector_norm(x) for x in scaled] or [torch.zeros(())])
            rho = self.rho / (torch.linalg.vector_norm(length) + 1e-12)
            weights = [p.clone() for p in params]
            for p, x in zip(params, scaled, strict=True):
                p.add_(rho * (p.abs() * x if self.adaptive else x))
        closure()
        with torch.no_grad():
            for p, w in zip(params, weights, strict=True):
                p.copy_(w)
        return loss
