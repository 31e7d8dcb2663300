"""What of an optimizer is saved and loaded: state, groups and class, checked before anything is taken up."""

import warnings
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.arithmetic import working
from optbench.optimizers.groups import Grouped
from optbench.optimizers.rule import Hyper, State

Admit = Callable[[Hyper, Tensor, Hyper], None]
"""What raises where a saved state is not one for a parameter in a group."""


class Saved(Grouped):
    """A rule with its groups, and a state that can be saved and loaded."""

    def _after(self, p: Tensor, like: Tensor, h: Hyper) -> State:
        """Return a state like that of a parameter after a step, made of one like it, which may be without memory."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return state, groups and the name of the class; later steps leave them as they are."""
        owned = {id(p) for group in self.param_groups for p in group["params"]}
        for p in self.state:
            if isinstance(p, Tensor) and id(p) not in owned:
                which = f"a parameter of shape {tuple(p.shape)}"
                raise UserError(f"{self.named}: {which} has a state and no group; del optimizer.state[p]")
        kept = super().state_dict()
        kept["state"] = {
            key: {k: x.clone() if isinstance(x, Tensor) else x for k, x in s.items()} if isinstance(s, dict) else s
            for key, s in kept["state"].items()
        }
        return kept | {"class": self._title()}

    @torch.inference_mode(False)
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned, from this class in this version or an older one.

        A hyperparameter that is missing takes the constructor's value, with one warning.

        Raises:
            UserError: The state is another class's, or a value is out of range; nothing is loaded then.
        """
        given: dict[str, Any] = {}

        def admit(_: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
            self._admit_class(state_dict)
            given.update(self._admitted(state_dict))
            return given

        hooks = [  # after those that others have for what is given, and before those for what is there then
            self.register_load_state_dict_pre_hook(admit),
            self.register_load_state_dict_post_hook(lambda _: self._take_over(given), prepend=True),
        ]
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()

    def _take_over(self, given: dict[str, Any]) -> None:
        """Replace loaded tensors by copies: torch's may be the given ones, or rounded to the parameter's type."""
        saved = [i for group in given["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(saved, params, strict=True):
            own = self.state.get(p, {})
            s = given["state"].get(i, {})
            for key, x in s.items():
                if isinstance(x, Tensor) and key in own:
                    dtype = working(p).dtype if x.is_floating_point() else None
                    own[key] = x.detach().to(p.device, dtype, copy=True)
            if "step" in own:
                own["step"] = int(own["step"])

    def _title(self) -> str:
        """Return the name of the class, as a saved state has it."""
        return self.named

    def _admit_class(self, state_dict: Mapping[str, Any]) -> None:
        if not {"state", "param_groups"} <= state_dict.keys():
            raise UserError(f"{self.named}: a saved state has 'state' and 'param_groups', this one {list(state_dict)}")
        other = state_dict.get("class", self._title())
        own = self._title()
        if other != own:
            raise UserError(f"{self.named}: the saved state is of {other}; load one of {own}")

    def _admitted(self, state_dict: dict[str, Any], admit: Admit | None = None) -> dict[str, Any]:
        """Return a saved state with all hyperparameters there and in their ranges.

        Args:
            state_dict: What was saved.
            admit: What checks the state of a parameter, if another optimizer is around this one.
        """
        name = self.named
        groups = []
        missing = []
        for saved in state_dict["param_groups"]:
            group = self._renamed(saved)
            missing += [key for key in self._own() if key not in group and key not in missing]
            group |= {key: self._check(key, group.get(key, self.defaults[key])) for key in self._own()}
            groups.append(group)
        if missing:
            taken = ", ".join(f"{key}={self.defaults[key]!r}" for key in missing)
            warnings.warn(f"{name}: the saved state is of an older version; it takes {taken}", stacklevel=3)
        for saved, group in zip(groups, self.param_groups, strict=False):  # of another number or size: torch says so
            self.validate({**saved, "params": group["params"]})
            for i, p in zip(saved["params"], group["params"], strict=False):
                s = state_dict["state"].get(i, {})
                for key, x in s.items():
                    if not isinstance(x, Tensor | Real):
                        raise UserError(f"{name}: the saved '{key}' is {x!r}, no number or tensor")
                if s:
                    (admit or self._admit_state)(s, p, saved)
        return {**state_dict, "param_groups": groups}

    def _admit_state(self, s: Hyper, p: Tensor, h: Hyper) -> None:
        like = working(torch.empty(p.shape, dtype=p.dtype, device="meta"))
        name = self.named
        first = {"step": 0, **self.init(like)}
        known = first | self._after(p, like, h)
        if foreign := sorted(s.keys() - known.keys() - {"gradient_point"}):
            raise UserError(f"{name}: the saved state has '{foreign[0]}', which is another class's; load one of {name}")
        stepped = s.get("step", 1)
        sure = known.keys() - set(self.keeps) if stepped else set()
        if lacking := sorted((first.keys() | sure) - s.keys()):
            raise UserError(f"{name}: the saved state lacks '{lacking[0]}'; load one of {name}")
        self._admit_shapes(s, {key: known[key] for key in sure}, p)

    def _admit_shapes(self, s: Hyper, known: State, p: Tensor) -> None:
        for key, x in known.items():
            shape = getattr(x, "shape", ())
            has = tuple(getattr(s[key], "shape", ()))
            if has != shape and 0 not in shape:
                raise UserError(f"{self.named}: the saved '{key}' has shape {has}, its parameter {tuple(p.shape)}")
