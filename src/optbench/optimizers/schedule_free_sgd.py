"""Schedule-free SGD."""

from typing import Annotated

from torch import Tensor

from optbench.checks import Interval, Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State

Weight = Annotated[float, Interval("(0, 1)")]


class ScheduleFreeSGD(Optimizer):
    """Gradient descent on z, with the gradient taken at y = (1 - beta) z + beta x, where x is the mean of all z.

    During training the parameters are at y; `eval()` puts them at x, the method's iterate, and `train()` back.

    References:
        Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """

    extends = {"SGD": "averages the path"}
    whole_step = True

    lr: Rate = 1.0
    beta: Weight = 0.9
    weight_decay: Rate = 0.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"z": p.clone()}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        step = h["lr"] * add_scaled(g, h["weight_decay"], p)
        return follow(step, p, s["z"], t, h["beta"]), {"z": s["z"] - step}

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        return s["z"].lerp(p, 1 / h["beta"])  # type: ignore[no-any-return]


def follow(step: Tensor, y: Tensor, z: Tensor, t: int, beta: float) -> Tensor:
    """Return how far y moves when z moves by a step and x to the mean of the t values of z so far."""
    return add_scaled((1 - beta * (1 - 1 / t)) * step, 1 / t, y - z)
