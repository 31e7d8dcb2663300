"""What the optimizers around another one share."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.arithmetic import working
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.objective import Closure
from optbench.optimizers.saved import Admit

Factory = Callable[..., Optimizer]


SHARED = ("state", "param_groups", "defaults", "_dried")


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
    write into the same state of a parameter. A wrapper says in `begin` what it keeps there, under the names in `keeps`,
    and in `end` what it makes of a parameter's step.
    """

    parts: ClassVar[tuple[str, ...]] = ("base",)

    state = shared("state")
    param_groups = shared("param_groups")
    defaults = shared("defaults")
    _dried = shared("_dried")
    compares: ClassVar[bool] = False
    """Whether `end` looks at where a parameter was."""

    def begin(self, p: Tensor) -> State:
        """Return what is kept of a parameter before its first step."""
        return {}

    def end(self, p: Tensor, start: Tensor, s: State, h: Hyper) -> None:
        """Go on from where the inner optimizer has moved a parameter.

        Args:
            p: The parameter.
            start: Where it was, if the class `compares`.
            s: Its state.
            h: Its group.
        """

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None and self._dry():
            return None
        able = [(p, group) for group in self.param_groups for p in group["params"] if p.requires_grad and p.numel()]
        first = {p: self.begin(working(p)) for p, _ in able if self._unbegun(self.state.get(p, {}))}
        starts = [p.clone() if self.compares else p for p, _ in able]
        loss = self.inner.step(closure)
        for (p, group), start in zip(able, starts, strict=True):
            if p.grad is not None:
                s = self.state[p]
                s.update(first.get(p, {}))
                self.end(p, start, s, group)
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if "inner" in vars(self):
            self.inner.add_param_group(param_group)
        else:
            self.inner: Optimizer = vars(self)["base"]([param_group], **{"compile": True} if self.compile else {})
            if not isinstance(self.inner, Optimizer):
                made = type(self.inner).__name__
                raise UserError(f"{self.named}: base makes {made}, which is not built on optbench.optimizers.Optimizer")
        for key in set(self.parts) & param_group.keys() - self.inner.hyper.keys():
            self.inner.param_groups.pop()
            raise self._misplaced(key)

    def eval(self) -> None:
        self.inner.eval()

    def uncompiled(self) -> str:
        return self.inner.uncompiled()

    def _dry(self) -> bool:
        dry = self.inner._dry()
        for p, s in self.state.items() if dry else ():
            s.update(self.begin(working(p)))
        return dry

    def _title(self) -> str:
        return f"{self.named}({self.inner._title()})"

    def _admitted(self, state_dict: dict[str, Any], admit: Admit | None = None) -> dict[str, Any]:
        return self.inner._admitted(state_dict, admit or self._admit_state)

    def _admit_state(self, s: Hyper, p: Tensor, h: Hyper) -> None:
        if inner := {key: x for key, x in s.items() if key not in self.keeps}:
            self.inner._admit_state(inner, p, h)
        known = self.begin(p)
        for key in known.keys() - s.keys():
            raise UserError(f"{self.named}: the saved state lacks '{key}'; load one of {self._title()}")
        self._admit_shapes(s, known, p)

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
