"""Gradient clipping, of every gradient that a step evaluates: alone, and in a stack each run by its own norm."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Positive, UserError, check
from optbench.optimizers.objective import Objective, Sum

TINY = 1e-6  # torch.nn.utils.clip_grad_norm_'s


@dataclass(frozen=True)
class Clip:
    """How gradients are clipped.

    Args:
        most: Largest norm of a run's gradient, or largest absolute value of an element.
        by: `norm` or `value`.
    """

    most: float
    by: str

    def __call__(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of several runs, shape (runs, ...), clipped as torch does it."""
        if self.by == "value":
            return [g.clamp(-self.most, self.most) for g in gradients]
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
        factor = (self.most / (torch.linalg.vector_norm(norms, dim=0) + TINY)).clamp(max=1)
        return [g * factor.view(-1, *[1] * (g.dim() - 1)) for g in gradients]

    def alone(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of one run, clipped."""
        return [g[0] for g in self([g.unsqueeze(0) for g in gradients])]


def clipping(trainer: Mapping[str, Any]) -> Clip | None:
    """Return the clipping that a trainer's config asks for, if any.

    Raises:
        UserError: A value is of a wrong type or out of range, or would be ignored.
    """
    most = check("trainer", "gradient_clip_val", trainer.get("gradient_clip_val"), Positive | None)
    by = check("trainer", "gradient_clip_algorithm", trainer.get("gradient_clip_algorithm"), ALGORITHM)
    if most is None and by is not None:
        raise UserError(f"trainer: gradient_clip_algorithm={by} clips nothing; give trainer.gradient_clip_val too")
    return None if most is None else Clip(most, by or "norm")


ALGORITHM = Literal["norm", "value"] | None


class Clipped(Objective):
    """The closure of a step, with clipped gradients.

    Args:
        loss: As for `Objective`.
        params: As for `Objective`.
        clip: How.
        total: As for `Objective`.
    """

    def __init__(self, loss: Callable[[], Tensor], params: Any, clip: Clip, total: Sum | None = None) -> None:
        super().__init__(loss, params, total)
        self.clip = clip

    def __call__(self) -> Tensor:
        """Set the gradients, clip them and return the loss."""
        loss = super().__call__()
        there = [p for p in self.params if p.grad is not None]
        for p, g in zip(there, self.clip.alone([p.grad for p in there if p.grad is not None]), strict=True):
            p.grad = g
        return loss

    def expand(self, params: list[Tensor]) -> tuple[Tensor, list[Tensor], Callable[[list[Tensor]], list[Tensor]]]:
        """Return loss, gradients, which are clipped, and Hessian-vector products, which are not."""
        loss, gradients, product = super().expand(params)
        return loss, self.clip.alone(gradients), product
