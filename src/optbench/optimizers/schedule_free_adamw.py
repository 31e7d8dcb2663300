"""Schedule-free AdamW."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import add_scaled
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.schedule_free_sgd import Weight, follow, weighed


class ScheduleFreeAdamW(Optimizer):
    """Adam's second moment on z, with the gradient taken at y = (1 - beta1) z + beta1 x, where x is a mean of all z.

    Each z weighs as much as the largest learning rate so far to the power `weight_power`, as in ScheduleFreeSGD.

    During training the parameters are at y, where the decay acts too; `eval()` puts them at x, the method's iterate,
    and `train()` back.

    References:
        Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """

    extends = {"ScheduleFreeSGD": "of scaled gradients", "AdamW": "averages the path"}
    whole_step = True

    lr: Rate = 0.0025
    beta1: Weight = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    weight_power: Rate = 2.0

    @staticmethod
    def init(p: Tensor) -> State:
        return {"z": p.clone(), "v": torch.zeros_like(p), "largest": 0.0, "weight": 0.0}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        v = s["v"].lerp(g * g, 1 - h["beta2"])
        root = (v / (1 - h["beta2"] ** t)).sqrt_().add_(h["eps"])
        step = h["lr"] * add_scaled(g / root, h["weight_decay"], p)
        share, weights = weighed(s, h)
        return follow(step, p, s["z"], share, h["beta1"]), {"z": s["z"] - step, "v": v, **weights}

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        return s["z"].lerp(p, 1 / h["beta1"])  # type: ignore[no-any-return]
