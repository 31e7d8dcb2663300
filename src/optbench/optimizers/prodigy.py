"""Prodigy."""

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.blocks import Block


class Prodigy(Optimizer):
    """Adam whose learning rate is an estimate d of the distance to the solution, which only grows; `lr` multiplies it.

    d is one number for all parameters: the largest quotient so far of r, a weighted sum of <g, p0 - p>, and the 1-norm
    of s, the same sum of the gradients.

    References:
        Mishchenko & Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2023,
        https://arxiv.org/abs/2306.06101
    """

    extends = {"Adam": "estimates the distance"}

    lr: Rate = 1.0
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    d0: Positive = 1e-6

    @staticmethod
    def init(p: Tensor) -> State:
        return {**dict.fromkeys("mvs", torch.zeros_like(p)), "p0": p.clone(), "d": 0.0, "r": 0.0}

    def _move(self, blocks: list[tuple[Block, Hyper]]) -> None:
        oldest, h = max(blocks, key=lambda pair: pair[0].t)  # the others may have been added later
        d, r, norm = oldest.state["d"] or h["d0"], h["beta2"] ** 0.5 * oldest.state["r"], 0.0
        for block, h in blocks:
            g, s, gain = block.gradient(), block.state, d / h["d0"] * d * h["lr"]
            r += gain * float((g * (s["p0"] - block.gather(block.params))).sum())
            block.state = {
                "m": (h["beta1"] * s["m"]).add_(g, alpha=d * (1 - h["beta1"])),
                "v": (h["beta2"] * s["v"]).addcmul_(g, g, value=d * d * (1 - h["beta2"])),
                "s": (h["beta2"] ** 0.5 * s["s"]).add_(g, alpha=gain),
                "p0": s["p0"],
            }
            norm += float(block.state["s"].abs().sum())
        larger = max(d, r / norm) if norm else d
        for block, h in blocks:
            block.t, rate = block.t + 1, d * h["lr"]
            block.state |= {"d": larger, "r": r}
            step = block.state["m"] / block.state["v"].sqrt().add_(larger * h["eps"])
            for p, part in block.scatter(step):
                p.mul_(1 - rate * h["weight_decay"]).sub_(part, alpha=rate)
