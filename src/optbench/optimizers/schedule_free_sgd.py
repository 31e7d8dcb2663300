"""Schedule-free SGD."""

from typing import Annotated, Any

from torch import Tensor

from optbench.checks import Interval, Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State

TINY = 1e-300  # while the rate is 0, so is every weight
Weight = Annotated[float, Interval("(0, 1)")]


class ScheduleFreeSGD(Optimizer):
    """Gradient descent on z, with the gradient taken at y = (1 - beta) z + beta x, where x is a mean of all z.

    Each z weighs as much as the largest learning rate so far to the power `weight_power`: with 2, as the authors' code
    has it, what a warm-up did counts little; 0 is the paper's plain mean.

    During training the parameters are at y; `eval()` puts them at x, the method's iterate, and `train()` back.

    References:
        Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """

    extends = {"SGD": "averages the path"}
    whole_step = True

    lr: Rate = 1.0
    beta: Weight = 0.9
    weight_decay: Rate = 0.0
    weight_power: Rate = 2.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"z": p.clone(), "largest": 0.0, "weight": 0.0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        step = h["lr"] * add_scaled(g, h["weight_decay"], p)
        share, weights = weighed(s, h)
        return follow(step, p, s["z"], share, h["beta"]), {"z": s["z"] - step, **weights}

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        return s["z"].lerp(p, 1 / h["beta"])  # type: ignore[no-any-return]


def weighed(s: State, h: Hyper) -> tuple[Any, State]:
    """Return the share of the newest z in the mean x, and what is kept to know the next."""
    largest = s["largest"] + (h["lr"] - s["largest"]) * (h["lr"] > s["largest"])
    new = largest ** h["weight_power"]
    total = s["weight"] + new
    return new / (total + TINY), {"largest": largest, "weight": total}


def follow(step: Tensor, y: Tensor, z: Tensor, share: Any, beta: float) -> Tensor:
    """Return how far y moves when z moves by a step, and x by a share of the way to z."""
    ahead: Tensor = (1 - beta * (1 - share)) * step
    return add_scaled(ahead, share, y - z)
