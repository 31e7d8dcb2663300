"""Groups of parameters, each with hyperparameters that are checked when they are given."""

import difflib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from optbench.checks import UserError, check, describe, nearest
from optbench.optimizers.rule import Hyper, Rule
from optbench.optimizers.signature import MISSING

Params = Iterable[Any]

WELL_KNOWN = {"params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
"""Keys of a group that torch, Lightning and schedulers leave there."""

TORCHS = {
    key for cls in vars(torch.optim).values() if isinstance(cls, type) for key in inspect.signature(cls).parameters
}
"""What torch's own optimizers read in a group."""


class Grouped(Rule, torch.optim.Optimizer):
    """A rule with the groups of parameters that it moves.

    Args:
        params: Parameters, named parameters or parameter groups, as for any `torch.optim.Optimizer`.
        **hyper: The class's hyperparameters, for all groups that do not set their own.

    Raises:
        UserError: A hyperparameter is unknown, missing, of a wrong type or out of range, or a parameter is not a dense
            tensor of real floating-point numbers.
    """

    named: ClassVar[str] = "Optimizer"
    """The name of the class, also behind a wrapper that Lightning makes of it."""

    def __init__(self, params: Params, **hyper: Any) -> None:
        hyper = self._renamed(hyper)
        for key in hyper.keys() - self.hyper.keys():
            raise nearest(f"hyperparameter of {self.named}", key, self.hyper, ", ".join(self.hyper))
        values = {**self.hyper, **hyper}
        for part in self.parts:
            setattr(self, part, self._check(part, values.pop(part)))
        self._refuse_idle(vars(self))
        super().__init__(params, values)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with hyperparameters of their own where the group sets them; other keys are kept.

        Args:
            param_group: `params`, and any hyperparameters by name.

        Raises:
            UserError: As for the class.
        """
        for key in param_group.keys() & set(self.parts):
            raise self._misplaced(key)
        group = {**self.defaults, **self._renamed(param_group)}
        group |= {key: self._check(key, group[key]) for key in self._own()}
        self._doubt(param_group)
        super().add_param_group(group)
        try:
            for p in group["params"]:
                self._admit_parameter(p)
            self._agree()
            self._refuse_idle(group)
            self.validate(group)
        except UserError:
            self.param_groups.pop()
            raise

    def validate(self, group: Hyper) -> None:
        """Raise a `UserError` where hyperparameters do not fit together, or to the parameters of their group."""

    def _own(self) -> list[str]:
        """Return the hyperparameters that a group holds."""
        return [key for key in self.hyper if key not in self.parts]

    def _renamed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return hyperparameters under today's names."""
        return {self.aliases.get(key, key): value for key, value in values.items()}

    def _agree(self) -> None:
        """Raise a `UserError` where groups differ in what is one number for all of them."""
        first, *others = self.param_groups
        for key in self.common:
            for group in others:
                if group[key] != first[key]:
                    given = f"{key}={group[key]!r}"
                    name = self.named
                    raise UserError(f"{name}: {given} differs from the first group's {first[key]!r}; give one for all")

    def _refuse_idle(self, given: Hyper) -> None:
        """Raise a `UserError` where a hyperparameter is set that another one leaves without a use."""
        for key, (other, values) in self.only.items():
            if key in given and given[key] != self.hyper[key] and given[other] not in values:
                of = f"{other}={' or '.join(values)}"
                this = f"{other}={given[other]}"
                raise UserError(f"{self.named}: {key}={given[key]} is of {of}, and has no use with {this}")

    def _misplaced(self, key: str) -> UserError:
        """Return the error for a group that has what belongs to the optimizer."""
        return UserError(f"{self.named}: {key} is one for all groups; give it beside them, not in one")

    def _doubt(self, group: Hyper) -> None:
        """Warn of a key that is kept, as torch does, but that nobody reads: nearly one of ours, or torch's own."""
        for key in group.keys() - self.hyper.keys() - self.aliases.keys() - WELL_KNOWN:
            close = difflib.get_close_matches(str(key), self.hyper, n=1, cutoff=0.75)
            if close or (key in TORCHS and group[key]):
                hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(self._own())}"
                warnings.warn(f"{self.named}: nothing reads a group's '{key}'; {hint}", stacklevel=4)

    def _check(self, key: str, value: Any) -> Any:
        name = self.named
        kind = self.kinds[key]
        if value is MISSING:
            raise UserError(f"{name}: {key} is missing; give optimizer.{key}=<{describe(kind)}>")
        if not isinstance(value, Tensor) or isinstance(kind, type) and issubclass(kind, Tensor):
            return check(name, key, value, kind)
        if value.numel() != 1 or value.is_complex():
            shape = tuple(value.shape)
            raise UserError(f"{name}: {key} is a tensor of shape {shape} and type {value.dtype}; give a real number")
        check(name, key, value.item(), kind)
        return value.view(()) if value.dim() else value

    def _admit_parameter(self, p: Tensor) -> None:
        name = self.named
        if torch.nn.parameter.is_lazy(p):
            raise UserError(f"{name}: a parameter has no shape yet; run the model once, then make its optimizer")
        if not p.is_floating_point() or p.layout is not torch.strided:
            what = p.dtype if p.layout is torch.strided else p.layout
            raise UserError(f"{name}: a parameter is {what}; give dense real ones of floating type")
        if any(size > 1 and not stride for size, stride in zip(p.shape, p.stride(), strict=True)):
            raise UserError(
                f"{name}: elements of a parameter share their memory, as expand() leaves them; give a clone"
            )
        if not self.shards and hasattr(p, "full_tensor"):
            raise UserError(f"{name}: a parameter is a DTensor, of which it would see a part; give whole ones")
