"""MoMo."""

from typing import Any

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import working
from optbench.optimizers.base import Hyper, Moving, Optimizer, State
from optbench.optimizers.objective import Closure, number


class MoMo(Optimizer):
    """Momentum whose step goes to where the mean of the past linear models of the loss meets a lower bound of it.

    `lr` is the longest step, in units of the mean gradient. The bound is `lower_bound`, or is estimated from there
    upwards if `adapt_bound`. Step length and bound are one number for all parameters; a step needs a closure that
    returns the loss.

    References:
        Schaipp et al., MoMo: Momentum Models for Adaptive Learning Rates, 2023, https://arxiv.org/abs/2305.07583
    """

    extends = {"Momentum": "Polyak's step length"}
    common = ("beta", "lower_bound", "adapt_bound")

    lr: Rate = 1.0
    beta: Decay = 0.9
    weight_decay: Rate = 0.0
    lower_bound: float = 0.0
    adapt_bound: bool = False

    @staticmethod
    def init(p: Tensor) -> State:
        return {"d": torch.zeros_like(p), "dot": 0.0, "loss": 0.0, "bound": 0.0}

    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            return self._without_closure("give one that sets the gradients and returns the loss")

        def observed() -> Any:
            loss = closure()
            self._loss = number(loss)
            return loss

        return super().step(observed)

    def _move(self, moving: Moving) -> None:
        states = [s for _, _, s, _ in moving]
        oldest = max(states, key=lambda s: s["step"])  # the others may have been added later
        h = moving[0][3]
        lowest = h["lower_bound"]
        bound, loss = (oldest["bound"], oldest["loss"]) if oldest["step"] else (lowest, self._loss)
        loss += (1 - h["beta"]) * (self._loss - loss)
        dot = past = square = 0.0
        for p, g, s, _ in moving:
            share = 1 - h["beta"] if s["step"] else 1.0
            s["d"] = s["d"].lerp(g, share)
            s["dot"] += share * (inner(g, p) - s["dot"])
            dot = dot + inner(s["d"], p)
            past = past + s["dot"]
            square = square + inner(s["d"], s["d"])
        if h["adapt_bound"]:
            bound = max(lowered(bound, height(loss, past, dot, h), h), lowest)
        for p, _, s, group in moving:
            s.update(loss=loss, bound=bound, step=s["step"] + 1)
            p.sub_(s["d"], alpha=length(bound, height(loss, past, dot, group), square, group)).div_(shrink(group))
        if h["adapt_bound"]:
            taken = length(bound, height(loss, past, dot, h), square, h)
            for s in states:
                s["bound"] = max(loss + dot - past - taken * square / 2, lowest)


def shrink(h: Hyper) -> float:
    """Return by what the decay divides the weights."""
    return float(1 + h["lr"] * h["weight_decay"])


def height(loss: float, past: float, dot: float, h: Hyper) -> float:
    """Return the mean model of the loss where the weights are, with decay.

    Args:
        loss: Mean of the past losses.
        past: Mean of the inner products of past gradients with the weights where they were taken.
        dot: Inner product of the mean gradient with the weights.
        h: Hyperparameters of a group.
    """
    return shrink(h) * (loss - past) + dot


def lowered(bound: float, height: float, h: Hyper) -> float:
    """Return a bound, or half the model's height where the bound is above that."""
    return height / (2 * shrink(h)) if height < shrink(h) * bound else bound


def length(bound: float, height: float, square: float, h: Hyper) -> float:
    """Return how far to go along the mean gradient, whose square is given: to the bound, or as far as lr allows."""
    return min(float(h["lr"]), max(height - shrink(h) * bound, 0.0) / square) if square else 0.0


def inner(x: Tensor, y: Tensor) -> float:
    """Return the inner product of two tensors."""
    return float((working(x) * working(y)).sum())
