"""YellowFin."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from optbench.checks import Count, Decay, Positive, Rate
from optbench.optimizers.base import Hyper, Moving, Optimizer, State

FIRM = 100.0
"""How many times the largest curvature a gradient's square may count."""
FAR = 100.0
"""How far a step's gradient may move the weights."""


class YellowFin(Optimizer):
    """Momentum that tunes its learning rate and momentum for a noisy quadratic model of the loss.

    Both are one number for all parameters, from running means of the range of the curvature over a window of steps, the
    gradients' variance and the distance to the minimum. `lr` is that of the first step; later on a
    group moves at the tuned rate times its own `lr` over the constructor's, so that groups and schedules count. If
    `clip`, as in the authors' code: gradients are cut at ten times the root of the largest curvature before they count,
    those that exceed the root itself move the weights by no more than it, and no gradient's step is longer than 100.

    References:
        Zhang & Mitliagkas, YellowFin and the Art of Momentum Tuning, 2017, https://arxiv.org/abs/1706.03471
    """

    extends = {"Momentum": "tunes itself"}
    common = ("beta", "window", "eps", "clip")
    keeps = ("curvatures",)

    lr: Rate = 0.1
    beta: Decay = 0.999
    window: Count = 20
    eps: Positive = 1e-6
    clip: bool = False

    @staticmethod
    def init(p: Tensor) -> State:
        means = dict.fromkeys(("low", "high", "square", "norm", "distance"), 0.0)
        return {"v": torch.zeros_like(p), "mean": torch.zeros_like(p), "curvatures": p.new_zeros(0), **means}

    def _after(self, p: Tensor, like: Tensor, h: Hyper) -> State:
        return {**self.init(like), "curvatures": like.new_zeros(h["window"])}

    def _move(self, moving: Moving) -> None:
        states = [s for _, _, s, _ in moving]
        gradients = [g for _, g, _, _ in moving]
        oldest = max(states, key=lambda s: s["step"])  # the others may have been added later
        h = moving[0][3]
        t = oldest["step"]
        largest = math.inf
        if h["clip"] and t:
            largest = math.exp(oldest["high"] / (1 - h["beta"] ** t))
        if t > 1:
            gradients = shortened(gradients, (FIRM * largest) ** 0.5 + h["eps"])
        square = sum(float((g * g).sum()) for g in gradients)
        for g, s in zip(gradients, states, strict=True):
            s["mean"] = s["mean"].lerp(g, 1 - h["beta"])
        curvatures, means = remembered(oldest, square, h)
        lr = self.defaults["lr"]
        mu = 0.0
        if t:
            unbias = 1 - h["beta"] ** (t + 1)
            of_means = sum(float(s["mean"].square().sum()) / unbias**2 for s in states)
            lr, mu = tuned({name: value / unbias for name, value in means.items()}, of_means, h)
            lr *= min(1, (t + 1) / (10 * h["window"]))
        longest = FAR / (square + h["eps"]) ** 0.5 if h["clip"] else math.inf
        if square >= largest:
            gradients = shortened(gradients, largest**0.5 + h["eps"])
        for (p, _, s, group), g in zip(moving, gradients, strict=True):
            s.update(means, v=mu * s["v"] + g, curvatures=curvatures.clone(), step=s["step"] + 1)
            share_of_rate = group["lr"] / self.defaults["lr"] if self.defaults["lr"] else 0.0
            p.sub_(s["v"], alpha=float(min(lr * share_of_rate, longest)))


def remembered(s: State, square: float, h: Hyper) -> tuple[Tensor, dict[str, float]]:
    """Return the log curvatures of the window and the running means, after one more gradient.

    Args:
        s: The state before it.
        square: The gradient's squared norm over all parameters.
        h: Hyperparameters.
    """
    newest = s["curvatures"].new_full((1 if s["step"] else h["window"],), math.log(square + h["eps"]))
    curvatures = torch.cat([s["curvatures"], newest])[-h["window"] :]
    share = 1 - h["beta"]

    def moved(name: str, value: float) -> float:
        mean: float = s[name]
        mean += share * (value - mean)
        return mean

    means = {
        "low": moved("low", float(curvatures.min())),
        "high": moved("high", float(curvatures.max())),
        "square": moved("square", square),
        "norm": moved("norm", square**0.5),
    }
    means["distance"] = moved("distance", means["norm"] / (means["square"] + h["eps"]))
    return curvatures, means


def tuned(means: Mapping[str, float], of_means: float, h: Hyper) -> tuple[float, float]:
    """Return learning rate and momentum for the measured curvature, variance and distance.

    Args:
        means: The running means, unbiased; `low` and `high` are logarithms.
        of_means: Squared norm of the unbiased mean gradient.
        h: Hyperparameters.
    """
    low = math.exp(means["low"]) + h["eps"]
    high = math.exp(means["high"]) + h["eps"]
    variance = max(means["square"] - of_means, h["eps"])
    single = single_step(means["distance"] + h["eps"], low, variance, h["eps"])
    robust = 1 - 2 / (max(high / low, 1 + h["eps"]) ** 0.5 + 1)
    root = max(single, robust)
    return (1 - root) ** 2 / low, root * root


def shortened(gradients: list[Tensor], length: float) -> list[Tensor]:
    """Return gradients, as one vector no longer than a length."""
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    ratio = length / (norm + 1e-6)
    return [g * ratio for g in gradients] if ratio < 1 else gradients


def single_step(distance: float, curvature: float, variance: float, eps: float) -> float:
    """Return the root of the momentum that brings the noisy quadratic nearest to its minimum in a step, by Cardano."""
    p = distance * distance * curvature * curvature / 2 / (variance + eps)
    w = -math.cbrt((math.sqrt(p * p + 4 / 27 * p * p * p) + p) / 2)
    return w - p / 3 / (w + eps) + 1
