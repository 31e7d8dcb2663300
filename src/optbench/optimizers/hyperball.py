"""Weights on spheres."""

from typing import Any

import torch
from torch import Tensor

from optbench.optimizers.objective import Closure
from optbench.optimizers.wrapper import Factory, Wrapper


class Hyperball(Wrapper):
    """Another optimizer's step, after which each matrix gets back the Frobenius norm that it began with.

    If `relative`, the step itself first gets the length of lr times that norm (the paper), so that lr is about the
    angle it turns by. Decay has no place here. Vectors move as the base moves them.

    References:
        Wen et al., Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball Optimization, 2026,
        https://arxiv.org/abs/2606.16899
    """

    extends = {"SGD": "keeps the norms"}
    parts = ("base", "relative")
    keeps = ("radius",)
    fixed_norms = True

    base: Factory
    relative: bool = False

    def _dry(self) -> bool:
        dry = super()._dry()
        for p, s in self.state.items() if dry else ():
            if p.dim() > 1:
                s["radius"] = torch.zeros(())
        return dry

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None and self._dry():
            return None
        self._forget_dry()
        matrices = [(p, h) for h in self.param_groups for p in h["params"] if p.requires_grad and p.dim() > 1]
        for p, _ in matrices:
            if "radius" not in self.state[p]:
                self.state[p]["radius"] = torch.linalg.vector_norm(p)
        before = [p.clone() for p, _ in matrices]
        loss = self.inner.step(closure)
        for (p, group), start in zip(matrices, before, strict=True):
            radius = self.state[p]["radius"]
            if self.relative:
                p.copy_(start + group["lr"] * scaled_to(p - start, radius))
            p.copy_(scaled_to(p, radius))
        return loss


def scaled_to(x: Tensor, length: Tensor) -> Tensor:
    """Return a tensor with another norm, or as it is where that is 0."""
    norm = torch.linalg.vector_norm(x)
    return x * torch.where(norm > 0, length / norm, 1).to(x.dtype)
