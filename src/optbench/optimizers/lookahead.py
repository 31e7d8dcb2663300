"""Lookahead."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optbench.checks import Count, Fraction
from optbench.optimizers.base import State
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

    base: Factory
    k: Count = 5
    alpha: Fraction = 0.5

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        params = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        for p in params:
            self._state[p] = self._state[p] or {"slow": p.clone(), "since": 0}
        loss = self.inner.step(closure)
        for p in params:
            s = self._state[p]
            s["since"] += p.grad is not None
            if s["since"] == self.k:
                s["since"] = 0
                s["slow"] = s["slow"].lerp(p, self.alpha)
                p.copy_(s["slow"])
        return loss

    @property
    def state(self) -> defaultdict[Tensor, State]:
        """The inner optimizer's state, the slow weights, and the steps since they moved."""
        inner = self.inner.state
        return defaultdict(dict, {p: {**inner[p], **self._state[p]} for p in {**inner, **self._state}})

    @state.setter
    def state(self, value: Mapping[Tensor, State]) -> None:
        own = {"slow", "since"}
        self._state = defaultdict(dict, {p: {k: s[k] for k in own & s.keys()} for p, s in value.items()})
        if "inner" in vars(self):
            self.inner.state = {p: {k: v for k, v in s.items() if k not in own} for p, s in value.items()}
