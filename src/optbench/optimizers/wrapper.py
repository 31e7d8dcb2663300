"""What Lookahead and SAM share."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from optbench.optimizers.base import Optimizer, State

Factory = Callable[..., Optimizer]


class Wrapper(Optimizer):
    """An optimizer around another, made by the part `base`, whose groups and state are its own.

    Schedules, checkpoints and users see one optimizer; hyperparameters of a group are those of the inner one.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if "inner" in vars(self):
            self.inner.add_param_group(param_group)
        else:
            self.inner: Optimizer = vars(self)["base"]([param_group], **{"compile": True} if self.compile else {})
        self.param_groups, self.defaults = self.inner.param_groups, self.inner.defaults

    def train(self) -> None:
        self.inner.train()

    def eval(self) -> None:
        self.inner.eval()

    @property
    def state(self) -> defaultdict[Tensor, State]:
        """The inner optimizer's state."""
        return self.inner.state

    @state.setter
    def state(self, value: Mapping[Tensor, State]) -> None:
        if "inner" in vars(self):
            self.inner.state = value

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a deep copy keeps."""
        return super().__getstate__() | {"inner": self.inner}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, a deep copy or `load_state_dict`."""
        self.inner = state.pop("inner", vars(self).get("inner"))
        super().__setstate__(state)
        self.inner.param_groups = self.param_groups
