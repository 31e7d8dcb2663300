"""Weights on spheres."""

import torch
from torch import Tensor

from optbench.optimizers.base import Hyper, State
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
    compares = True

    base: Factory
    relative: bool = False

    def begin(self, p: Tensor) -> State:
        return {"radius": torch.linalg.vector_norm(p)} if p.dim() > 1 else {}

    def end(self, p: Tensor, start: Tensor, s: State, h: Hyper) -> None:
        if p.dim() < 2:
            return
        if self.relative:
            p.copy_(start + h["lr"] * scaled_to(p - start, s["radius"]))
        p.copy_(scaled_to(p, s["radius"]))


def scaled_to(x: Tensor, length: Tensor) -> Tensor:
    """Return a tensor with another norm, or as it is where that is 0."""
    norm = torch.linalg.vector_norm(x)
    return x * torch.where(norm > 0, length / norm, 1).to(x.dtype)
