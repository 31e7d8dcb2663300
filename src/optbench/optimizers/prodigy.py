"""Prodigy."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.base import Moving, Optimizer, State


class Prodigy(Optimizer):
    """Adam whose learning rate is an estimate d of the distance to the solution, which only grows; `lr` multiplies it.

    d is one number for all parameters: the largest quotient so far of r, a weighted sum of <g, p0 - p>, and the 1-norm
    of s, the same sum of the gradients. A group with another lr moves at its own times d, and its gradients weigh in
    both sums by that; the authors' code refuses such groups.

    References:
        Mishchenko & Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2023,
        https://arxiv.org/abs/2306.06101
    """

    extends = {"Adam": "estimates the distance"}
    common = ("beta2", "d0")

    lr: Rate = 1.0
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    d0: Positive = 1e-6

    @staticmethod
    def init(p: Tensor) -> State:
        return {**{name: torch.zeros_like(p) for name in "mvs"}, "p0": p.clone(), "d": 0.0, "r": 0.0}

    def _move(self, moving: Moving) -> None:
        states = [s for _, _, s, _ in moving]
        oldest = max(states, key=lambda s: s["step"])  # the others may have been added later
        h = moving[0][3]
        d = oldest["d"] or h["d0"]
        r = h["beta2"] ** 0.5 * oldest["r"]
        norm = 0.0
        for p, g, s, h in moving:
            gain = d / h["d0"] * d * float(h["lr"])
            r += gain * float((g * (s["p0"] - p)).sum())
            s["m"] = (h["beta1"] * s["m"]).add_(g, alpha=d * (1 - h["beta1"]))
            s["v"] = (h["beta2"] * s["v"]).addcmul_(g, g, value=d * d * (1 - h["beta2"]))
            s["s"] = (h["beta2"] ** 0.5 * s["s"]).add_(g, alpha=gain)
            norm += float(s["s"].abs().sum())
        larger = max(d, r / norm) if norm else d
        for p, _, s, h in moving:
            s.update(d=larger, r=r, step=s["step"] + 1)
            rate = d * float(h["lr"])
            direction = s["m"] / s["v"].sqrt().add_(larger * h["eps"])
            p.mul_(1 - rate * h["weight_decay"]).sub_(direction, alpha=rate)
