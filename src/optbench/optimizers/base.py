"""The shell around pure per-tensor updates: a `torch.optim.Optimizer` to torch, Lightning and a user.

An optimizer states its hyperparameters as annotated fields, its state in `init` and its rule in `update`; everything
else that is expected of it is here, once.
"""

import difflib
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from optbench.checks import UserError, check, describe, nearest
from optbench.optimizers.arithmetic import Spent, gradient, subtract_, working
from optbench.optimizers.compiling import Program
from optbench.optimizers.objective import Closure
from optbench.optimizers.rule import Hyper as Hyper
from optbench.optimizers.rule import Rule
from optbench.optimizers.rule import State as State
from optbench.optimizers.signature import MISSING, declared, documented, signature

Params = Iterable[Any]
Moving = list[tuple[Tensor, Hyper]]
"""Parameters that have a gradient, each with its group."""
Admit = Callable[[Hyper, Tensor, Hyper], None]
"""What raises where a saved state is not one for a parameter in a group."""
Compile = bool | Literal["update", "off"]

WELL_KNOWN = {"params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
"""Keys of a group that torch, Lightning and schedulers leave there."""

TORCHS = {
    key for cls in vars(torch.optim).values() if isinstance(cls, type) for key in inspect.signature(cls).parameters
}
"""What torch's own optimizers read in a group."""

SLICE = 2**17
"""Elements that an update moves at a time on a CPU: its temporaries then never leave the cache."""

PROGRAMS = 8
"""Compiled steps that an optimizer keeps: each is for the parameters that moved, as they lay in memory."""


class Optimizer(Rule, torch.optim.Optimizer):
    """A pure update of one tensor, run over parameter groups.

    A subclass annotates its hyperparameters, each with its range (`lr: Rate = 0.01`); one without a default has to be
    given. A class body may also hold a plain `hyper = dict(lr=0.01)`, which checks types only.

    Args:
        params: Parameters, named parameters or parameter groups, as for any `torch.optim.Optimizer`.
        compile: Whether all parameters move in one call through torch.compile (`"update"` or True). It is compiled at
            the second step, and kept on disk for later runs; what cannot be compiled steps without, and says so once.
        **hyper: The class's hyperparameters, for all groups that do not set their own.

    Raises:
        UserError: A hyperparameter is unknown, missing, of a wrong type or out of range, or a parameter is not a dense
            tensor of real floating-point numbers.
    """

    named: ClassVar[str] = "Optimizer"
    """The name of the class, also behind a wrapper that Lightning makes of it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the hyperparameters into `hyper`, the signature and the docstring."""
        super().__init_subclass__(**kwargs)
        for name in ("init", "update", "iterate"):
            if inspect.isfunction(vars(cls).get(name)):
                raise UserError(f"{cls.__name__}: {name} is called without an instance; write @staticmethod above it")
        own, kinds = declared(cls)
        base = next(c for c in cls.__mro__[1:] if issubclass(c, Optimizer))
        if base is cls.__mro__[1]:  # Lightning wraps by a mixin in front
            cls.named = cls.__name__
        cls.hyper = {**base.hyper, **own}
        cls.kinds = {**base.kinds, **kinds}
        cls.needs = tuple(name for name in ("model", "total_steps") if name in cls.hyper)
        cls.__signature__ = signature(  # type: ignore[attr-defined]
            {**cls.hyper, "compile": False}, {**cls.kinds, "compile": Compile}
        )
        cls.__doc__ = documented(cls.__doc__, cls.hyper, cls.kinds)

    def __init__(self, params: Params, *, compile: Compile = False, **hyper: Any) -> None:
        name = self.named
        hyper = self._renamed(hyper)
        for key in hyper.keys() - self.hyper.keys():
            raise nearest(f"hyperparameter of {name}", key, self.hyper, ", ".join(self.hyper))
        self.compile = check(name, "compile", compile, Compile) in (True, "update")
        self._programs: list[Program] = []
        self._refused = ""
        self._dried = False
        values = {**self.hyper, **hyper}
        for part in self.parts:
            setattr(self, part, self._check(part, values.pop(part)))
        super().__init__(params, values)

    # What kind of rule it is -----------------------------------------------------------------------------------------

    @classmethod
    def elementwise(cls) -> bool:
        """Return whether every coordinate moves by itself, whatever the others do."""
        return cls.by_update() and not cls.whole_tensor

    @classmethod
    def by_update(cls) -> bool:
        """Return whether a step is `update` alone, of one parameter after another."""
        own, plain = (tuple(inspect.unwrap(getattr(c, name)) for name in ("step", "_move")) for c in (cls, Optimizer))
        return own == plain

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        """Return whether many runs with such hyperparameters may train as one stack, whose steps are `update` alone."""
        return cls.by_update()

    # The step --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: Function that sets the gradients and returns the loss, called once first; see `Objective`.

        Returns:
            What the closure returned, or None.
        """
        if closure is None and self._dry():
            return None
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if moving := self._moving():
            self._move(moving)
        return loss

    @torch.no_grad()
    def eval(self) -> None:
        """Put the parameters at the method's own iterate, to be evaluated or saved; for most rules they always are."""
        if type(self).iterate is Optimizer.iterate:
            return
        for group in self.param_groups:
            for p in group["params"]:
                s = self.state.get(p, {})
                if s.get("step") and "gradient_point" not in s:
                    s["gradient_point"] = p.clone()
                    p.copy_(self.iterate(working(p), s, group))

    @torch.no_grad()
    def train(self) -> None:
        """Put the parameters back where the next gradient belongs, bit by bit."""
        for p, s in self.state.items():
            if "gradient_point" in s:
                p.copy_(s.pop("gradient_point"))

    def _moving(self) -> Moving:
        """Return the parameters that have a gradient."""
        self._forget_dry()
        if self.common and len(self.param_groups) > 1:
            self._agree()
        moving: Moving = []
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                if g is None or not p.numel():
                    continue
                if g.layout is not torch.strided:
                    raise UserError(f"{self.named}: a gradient is {g.layout}; use a dense one")
                moving.append((p, group))
        return moving

    def _move(self, moving: Moving) -> None:
        """Move parameters, at least one; a rule with numbers for all of them overrides this."""
        if self.compile and self._move_compiled(moving):
            return
        for p, group in moving:
            self._advance(p, group)

    def _advance(self, p: Tensor, group: Hyper) -> None:
        s = self._ready(p)
        t = s["step"] + 1
        if p.numel() > SLICE and self._slices(p, s, group):
            new = self._advance_slices(p, s, t, group)
        else:
            change, new = self.update(gradient(p), working(p), Spent(s), t, group)
            subtract_(p, self.rate(group), change)
        s.update(new)
        s["step"] = t

    def _slices(self, p: Tensor, s: State, group: Hyper) -> bool:
        """Return whether a parameter may move slice by slice; its first step shows what the state holds."""
        shaped = any(isinstance(x, Tensor) and x.dim() for x in group.values())
        whole = [p, p.grad, *(x for x in s.values() if isinstance(x, Tensor))]
        flat = all(x.is_contiguous() and x.shape == p.shape for x in whole if x is not None)
        plain = p.device.type == "cpu" and type(p.data) is Tensor and not torch.compiler.is_compiling()
        return s["step"] > 0 and flat and plain and not shaped and self.elementwise()

    def _advance_slices(self, p: Tensor, s: State, t: int, group: Hyper) -> State:
        """Move a parameter and the tensors of its state in place, and return the numbers of its next state."""
        numbers = {key: x for key, x in s.items() if not isinstance(x, Tensor)}
        names = s.keys() - numbers.keys()
        whole = [p, p.grad, *(s[key] for key in names)]
        for part, g, *old in zip(*(x.view(-1).split(SLICE) for x in whole if x is not None), strict=True):
            state = dict(zip(names, old, strict=True))
            change, new = self.update(working(g), working(part), Spent(numbers | state), t, group)
            subtract_(part, self.rate(group), change)
            for key, x in state.items():
                x.copy_(new.pop(key))
        return new

    def _ready(self, p: Tensor) -> State:
        """Return the state of a parameter, made before its first step, in the type that the parameter has by now."""
        s: State = self.state.setdefault(p, {})
        if "step" not in s:
            s["step"] = 0
            s.update(self.init(working(p)))
        if "gradient_point" in s:
            raise UserError(f"{self.named}: the parameters are at the iterate; call train() before step()")
        dtype = torch.float32 if p.dtype is torch.float16 else p.dtype
        for key, x in s.items():
            if isinstance(x, Tensor) and x.dtype is not dtype and x.is_floating_point():
                s[key] = x.to(dtype)
        return s

    def _dry(self) -> bool:
        """Make the state and return True if this step is none: it has no state, no rate and no gradient but zero.

        `torch.distributed.checkpoint` takes one to find out what there is to be saved or loaded.
        """
        if self.state or any(group.get("lr", 1) for group in self.param_groups):
            return False
        moving = self._moving()
        if any(p.grad.any() for p, _ in moving if p.grad is not None):
            return False
        for p, group in moving:
            s = self._ready(p)
            s |= {key: x for key, x in self._after(p, working(p), group).items() if key not in s}
        self._dried = True
        return True

    def _after(self, p: Tensor, like: Tensor, h: Hyper) -> State:
        """Return a state like that of a parameter after a step, made of one like it, which may be without memory."""
        first = self.init(like)
        kept = {key: like.new_zeros(0) for key in self.keeps}
        if not (self.by_update() or self.stackable(h)):
            return first | kept
        return first | kept | self.update(torch.zeros_like(like), like, dict(first), 1, h)[1]

    def _forget_dry(self) -> None:
        """Forget what a dry step has made, and nobody has loaded into: the weights may be others by now."""
        if self._dried:
            self._dried = False
            for s in self.state.values():
                if not s.get("step"):
                    s.clear()

    def _without_closure(self, remedy: str) -> None:
        """Take a step that has no closure: it may be dry.

        Raises:
            UserError: It is not.
        """
        if not self._dry():
            raise UserError(f"{self.named}: step() has no closure; {remedy}")

    def _move_compiled(self, moving: Moving) -> bool:
        """Move by the compiled rule and return True, unless that cannot be, or not in this step."""
        states = [self._ready(p) for p, _ in moving]
        if not all(s["step"] for s in states):
            return False  # only the first step shows what a state holds
        try:
            if any(program(moving, states) for program in self._programs):
                return True
            if len(self._programs) == PROGRAMS:
                raise RuntimeError(f"which parameters move, or how they lie in memory, has changed {PROGRAMS} times")
            self._programs.append(Program(type(self), moving, states))
            self._programs[-1](moving, states)
        except Exception as error:  # of a compiler's making
            self._refuse_compile(" ".join(str(error).split())[:200])
            return False
        return True

    def _refuse_compile(self, reason: str) -> None:
        warnings.warn(f"{self.named}: steps without compile: {reason}", stacklevel=2)
        self.compile, self._programs, self._refused = False, [], reason

    def uncompiled(self) -> str:
        """Return why no step was taken by the compiled rule, or nothing where one was."""
        return "" if self._programs else self._refused or "the first step never is"

    # Groups, and what is saved ---------------------------------------------------------------------------------------

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
        if self.compile and not (self.by_update() or self.stackable(group)):
            self._refuse_compile("a step is more than its update")

    def _refuse_idle(self, group: Hyper) -> None:
        """Raise a `UserError` where a hyperparameter is set that another one leaves without a use."""
        for key, (other, values) in self.only.items():
            if group[key] != self.hyper[key] and group[other] not in values:
                of, this = f"{other}={' or '.join(values)}", f"{other}={group[other]}"
                raise UserError(f"{self.named}: {key}={group[key]} is of {of}, and has no use with {this}")

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
                    given, name = f"{key}={group[key]!r}", self.named
                    raise UserError(f"{name}: {given} differs from the first group's {first[key]!r}; give one for all")

    def _misplaced(self, key: str) -> UserError:
        """Return the error for a group that has what belongs to the optimizer."""
        return UserError(f"{self.named}: {key} is one for all groups; give it beside them, not in one")

    def _doubt(self, group: Hyper) -> None:
        """Warn of a key that is kept, as torch does, but that nobody reads: nearly one of ours, or torch's own."""
        for key in group.keys() - self.hyper.keys() - self.aliases.keys() - WELL_KNOWN:
            close = difflib.get_close_matches(str(key), self.hyper, n=1, cutoff=0.75)
            if close or (key in TORCHS and group[key]):
                hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(self._own())}"
                warnings.warn(f"{self.named}: nothing reads a group's '{key}'; {hint}", stacklevel=3)

    def _check(self, key: str, value: Any) -> Any:
        name, kind = self.named, self.kinds[key]
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
            own, s = self.state.get(p, {}), given["state"].get(i, {})
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
        other, own = state_dict.get("class", self._title()), self._title()
        if other != own:
            raise UserError(f"{self.named}: the saved state is of {other}; load one of {own}")

    def _admitted(self, state_dict: dict[str, Any], admit: Admit | None = None) -> dict[str, Any]:
        """Return a saved state with all hyperparameters there and in their ranges.

        Args:
            state_dict: What was saved.
            admit: What checks the state of a parameter, if another optimizer is around this one.
        """
        name, groups, missing = self.named, [], []
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
                if s := state_dict["state"].get(i):
                    (admit or self._admit_state)(s, p, saved)
        return {**state_dict, "param_groups": groups}

    def _admit_state(self, s: Hyper, p: Tensor, h: Hyper) -> None:
        like = working(torch.empty(p.shape, dtype=p.dtype, device="meta"))
        name, first = self.named, {"step": 0, **self.init(like)}
        after = first | self._after(p, like, h)
        known = after if s.get("step") else first
        if foreign := sorted(s.keys() - after.keys() - {"gradient_point"}):
            raise UserError(f"{name}: the saved state has '{foreign[0]}', which is another class's; load one of {name}")
        if lacking := sorted(known.keys() - s.keys()):
            raise UserError(f"{name}: the saved state lacks '{lacking[0]}'; load one of {name}")
        for key in known.keys() - set(self.keeps):
            given, shape = s[key], getattr(known[key], "shape", ())
            has = tuple(getattr(given, "shape", ()))
            if not isinstance(given, Tensor | Real):
                raise UserError(f"{name}: the saved '{key}' is {given!r}, no number or tensor")
            if known is after and has != shape and 0 not in shape:
                raise UserError(f"{name}: the saved '{key}' has shape {has}, its parameter {tuple(p.shape)}")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a deep copy keeps."""
        own = {part: getattr(self, part) for part in self.parts}
        return (
            super().__getstate__()
            | own
            | {"compile": self.compile, "_programs": [], "_refused": "", "_dried": self._dried}
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, a deep copy or `load_state_dict`, which fills the objects that others may hold."""
        if "state" in vars(self):
            self.state.clear()
            self.state.update(state.pop("state"))
            self.param_groups[:] = state.pop("param_groups")
        super().__setstate__(state)
