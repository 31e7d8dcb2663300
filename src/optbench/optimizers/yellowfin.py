"""YellowFin."""

import math

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.blocks import Block


class YellowFin(Optimizer):
    """Momentum that tunes its learning rate and momentum for a noisy quadratic model of the loss.

    Both are one number for all parameters, from running means of the range of the curvature over a window of steps, the
    gradients' variance and the distance to the minimum. `lr` and `beta_init` serve the first step only.

    References:
        Zhang & Mitliagkas, YellowFin and the Art of Momentum Tuning, 2017, https://arxiv.org/abs/1706.03471
    """

    extends = {"Momentum": "tunes itself"}

    lr: Rate = 0.1
    beta_init: Decay = 0.0
    beta: Decay = 0.999
    window: Count = 20
    eps: Positive = 1e-6

    @staticmethod
    def init(p: Tensor) -> State:
        return {**dict.fromkeys(("v", "mean"), torch.zeros_like(p)), "curvatures": (), "means": (0.0,) * 5}

    def _move(self, blocks: list[tuple[Block, Hyper]]) -> None:
        oldest, h = max(blocks, key=lambda pair: pair[0].t)  # the others may have been added later
        t, share, unbias = oldest.t, 1 - h["beta"], 1 - h["beta"] ** (oldest.t + 1)
        square = mean = 0.0
        for block, _ in blocks:
            g = block.gradient()
            block.state["mean"] = block.state["mean"].lerp(g, share)
            square += float((g * g).sum())
            mean += float(block.state["mean"].square().sum()) / unbias**2
        curvatures = (*oldest.state["curvatures"], math.log(square + h["eps"]))[-h["window"] :]
        low, high, mean_square, norm, distance = oldest.state["means"]
        low += share * (min(curvatures) - low)
        high += share * (max(curvatures) - high)
        mean_square += share * (square - mean_square)
        norm += share * (square**0.5 - norm)
        distance += share * (norm / (mean_square + h["eps"]) - distance)
        lr, mu = h["lr"], h["beta_init"]
        if t:
            low_h, high_h = (math.exp(x / unbias) + h["eps"] for x in (low, high))
            mu = max(
                single_step(distance / unbias + h["eps"], low_h, max(mean_square / unbias - mean, h["eps"]), h["eps"]),
                1 - 2 / (max(high_h / low_h, 1 + h["eps"]) ** 0.5 + 1),
            )
            lr = (1 - mu) ** 2 / low_h * min(1, (t + 1) / (10 * h["window"]))
            mu *= mu
        for block, _ in blocks:
            v = mu * block.state["v"] + block.gradient()
            block.t += 1
            block.state |= {"v": v, "curvatures": curvatures, "means": (low, high, mean_square, norm, distance)}
            for p, part in block.scatter(v):
                p.sub_(part, alpha=lr)


def single_step(distance: float, curvature: float, variance: float, eps: float) -> float:
    """Return the root of the momentum that brings the noisy quadratic nearest to its minimum in a step, by Cardano."""
    p = distance * distance * curvature * curvature / 2 / (variance + eps)
    w = -math.cbrt((math.sqrt(p * p + 4 / 27 * p * p * p) + p) / 2)
    return w - p / 3 / (w + eps) + 1
