"""Lookahead."""

from torch import Tensor

from optbench.checks import Count, Fraction
from optbench.optimizers.base import Hyper, State
from optbench.optimizers.wrapper import Factory, Wrapper


class Lookahead(Wrapper):
    """Slow weights that move a share of the way to the fast ones after every k steps of another optimizer.

    The fast weights, which are the parameters, go on from there with the state that they have.

    References:
        Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, 2019, https://arxiv.org/abs/1907.08610
    """

    extends = {"SGD": "slow weights"}
    parts = ("base", "k", "alpha")
    keeps = ("slow", "since")

    base: Factory
    k: Count = 5
    alpha: Fraction = 0.5

    def begin(self, p: Tensor) -> State:
        return {"slow": p.clone(), "since": 0}

    def end(self, p: Tensor, start: Tensor, s: State, h: Hyper) -> None:
        s["since"] += 1
        if s["since"] == self.k:
            s["since"] = 0
            s["slow"] = s["slow"].lerp(p.to(s["slow"].dtype), self.alpha)
            p.copy_(s["slow"])
