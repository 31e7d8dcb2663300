"""Lookahead."""

from typing import Any

import torch

from optbench.checks import Count, Fraction
from optbench.optimizers.objective import Closure
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

    def _dry(self) -> bool:
        dry = super()._dry()
        for s in self.state.values() if dry else ():
            s.update(slow=torch.zeros(0), since=0)
        return dry

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None and self._dry():
            return None
        self._forget_dry()
        params = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        for p in params:
            if "slow" not in self.state[p]:
                self.state[p].update(slow=p.clone(), since=0)
        loss = self.inner.step(closure)
        for p in params:
            s = self.state[p]
            s["since"] += p.grad is not None
            if s["since"] == self.k:
                s["since"] = 0
                s["slow"] = s["slow"].lerp(p.to(s["slow"].dtype), self.alpha)
                p.copy_(s["slow"])
        return loss
