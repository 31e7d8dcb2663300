"""What Lookahead and SAM share."""

from collections.abc import Callable, Iterable
from typing import Any

from optbench.optimizers.base import Optimizer

Factory = Callable[..., Optimizer]


SHARED = ("state", "param_groups", "defaults")


def shared(name: str) -> Any:
    """Return an attribute that is the inner optimizer's; torch's constructor sets it before there is one."""

    def get(self: "Wrapper") -> Any:
        return getattr(self.inner, name)

    def put(self: "Wrapper", value: Any) -> None:
        if "inner" in vars(self):
            setattr(self.inner, name, value)

    return property(get, put, doc=f"The inner optimizer's {name}.")


class Wrapper(Optimizer):
    """An optimizer around another, made by the part `base`, whose groups, defaults and state are its own.

    Schedules, checkpoints and users see one optimizer; hyperparameters of a group are those of the inner one, and both
    write into the same state of a parameter.
    """

    state = shared("state")
    param_groups = shared("param_groups")
    defaults = shared("defaults")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if "inner" in vars(self):
            self.inner.add_param_group(param_group)
        else:
            self.inner: Optimizer = vars(self)["base"]([param_group], **{"compile": True} if self.compile else {})

    def train(self) -> None:
        self.inner.train()

    def eval(self) -> None:
        self.inner.eval()

    def uncompiled(self) -> str:
        return self.inner.uncompiled()

    def _dry(self) -> bool:
        return self.inner._dry()

    def _forget_dry(self) -> None:
        self.inner._forget_dry()

    def _admitted(self, state_dict: dict[str, Any], more: Iterable[str] = ()) -> dict[str, Any]:
        return self.inner._admitted(state_dict, [*self.keeps, *more])

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, a deep copy or `load_state_dict`."""
        if "inner" in state:
            self.inner = state.pop("inner")
        else:
            self.inner.__setstate__({key: state[key] for key in ("state", "param_groups")})
        super().__setstate__({key: value for key, value in state.items() if key not in SHARED})

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a deep copy keeps."""
        own = {key: value for key, value in super().__getstate__().items() if key not in SHARED}
        return own | {"inner": self.inner}
