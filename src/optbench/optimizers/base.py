"""The shell around pure per-tensor updates: a `torch.optim.Optimizer` to torch, Lightning and a user.

An optimizer states its hyperparameters as annotated fields, its state in `init` and its rule in `update`; everything
else that is expected of it is here, once.
"""

import difflib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from optbench.checks import UserError, check, describe, nearest
from optbench.optimizers.arithmetic import Direction, Spent, gradient, subtract_, working
from optbench.optimizers.compiling import Program
from optbench.optimizers.objective import Closure
from optbench.optimizers.signature import MISSING, declared, documented, signature

State = dict[str, Any]
Hyper = Mapping[str, Any]
Params = Iterable[Any]
Moving = list[tuple[Tensor, Hyper]]
"""Parameters that have a gradient, each with its group."""
Compile = bool | Literal["update", "off"]

WELL_KNOWN = {"params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
"""Keys of a group that torch, Lightning and schedulers leave there."""

SLICE = 2**17
"""Elements that an update moves at a time on a CPU: its temporaries then never leave the cache."""

PROGRAMS = 8
"""Compiled steps that an optimizer keeps: each is for the parameters that moved, as they lay in memory."""


class Optimizer(torch.optim.Optimizer):
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

    hyper: ClassVar[dict[str, Any]] = {}
    """Defaults by name; `signature.MISSING` where a value has to be given."""
    kinds: ClassVar[dict[str, Any]] = {}
    """Annotation by hyperparameter."""
    aliases: ClassVar[dict[str, str]] = {}
    """Former names of hyperparameters, each with today's."""
    extends: ClassVar[dict[str, str]] = {}
    """The classes that the rule builds on, each with the idea that it adds."""
    order: ClassVar[float] = 1
    """1 for gradients alone, 1.5 for curvature that is estimated from gradients, 2 for curvature that is evaluated."""
    whole_tensor: ClassVar[bool] = False
    """Whether the rule needs each tensor in its own shape, rather than any part of a flat vector."""
    whole_step: ClassVar[bool] = False
    """Whether `update` returns the step itself, learning rate included, rather than a direction to scale by `lr`."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Fields that belong to the optimizer instead of its groups: objects such as a model, which no state_dict holds."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that the run itself gives, where nobody else does: `model`, `total_steps`."""
    common: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that are one number for all parameters: groups may not differ in them."""
    shards: ClassVar[bool] = True
    """Whether parameters may be DTensors, as those of FSDP2 are."""
    shares: ClassVar[bool] = True
    """Whether several processes may share a mini-batch, each with a part of the gradient; see `Objective`."""
    only: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {}
    """The hyperparameters that are heeded with some values of another one alone, with its name and these."""
    scheduled: ClassVar[bool] = True
    """Whether the learning rate counts at every step, rather than at the first alone."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Names in the state beside those that `init` and `update` return."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the hyperparameters into `hyper`, the signature and the docstring."""
        super().__init_subclass__(**kwargs)
        for name in ("init", "update", "iterate"):
            if inspect.isfunction(vars(cls).get(name)):
                raise UserError(f"{cls.__name__}: {name} is called without an instance; write @staticmethod above it")
        own, kinds = declared(cls)
        base = next(c for c in cls.__mro__[1:] if issubclass(c, Optimizer))  # Lightning wraps by a mixin in front
        cls.hyper = {**base.hyper, **own}
        cls.kinds = {**base.kinds, **kinds}
        cls.needs = tuple(name for name in ("model", "total_steps") if name in cls.hyper)
        cls.__signature__ = signature(  # type: ignore[attr-defined]
            {**cls.hyper, "compile": False}, {**cls.kinds, "compile": Compile}
        )
        cls.__doc__ = documented(cls.__doc__, cls.hyper, cls.kinds)

    def __init__(self, params: Params, *, compile: Compile = False, **hyper: Any) -> None:
        name = type(self).__name__
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

    # The rule --------------------------------------------------------------------------------------------------------

    @staticmethod
    def init(p: Tensor) -> State:
        """Return the state of a parameter before its first step: tensors of its type, or numbers."""
        return {}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: Any, h: Hyper) -> tuple[Direction, State]:
        """Return the direction to descend along, a tensor or a `Quotient`, and the next state.

        Args:
            g: Gradient.
            p: Parameter, of the same shape.
            s: State; like g and p it belongs to the caller and is not changed, but through the helpers of `arithmetic`
                whose names end in an underscore: what is given to one of these may not be read afterwards.
            t: Step, from 1; a number, or a tensor of floating type.
            h: Hyperparameters, numbers or tensors that broadcast against p.
        """
        raise NotImplementedError

    @staticmethod
    def iterate(p: Tensor, s: State, h: Hyper) -> Tensor:
        """Return the method's own iterate, where the parameter in training is another point; see `eval`."""
        return p

    @classmethod
    def rate(cls, h: Hyper) -> Any:
        """Return what a direction is to be scaled by: the learning rate, or 1 where `update` returns the whole step."""
        return 1.0 if cls.whole_step else h["lr"]

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
        if type(self).iterate is Optimizer.iterate:
            return
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
                    raise UserError(f"{type(self).__name__}: a gradient is {g.layout}; use a dense one")
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
        s: State = self.state[p]
        if "step" not in s:
            s["step"] = 0
            s.update(self.init(working(p)))
        if "gradient_point" in s:
            raise UserError(f"{type(self).__name__}: the parameters are at the iterate; call train() before step()")
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
            self._ready(p).update(self._blank(p, group))
        self._dried = True
        return True

    def _blank(self, p: Tensor, group: Hyper) -> State:
        """Return what the state of a parameter holds only after its first step, empty or zero."""
        blank = {key: p.new_zeros(0) for key in self.keeps}
        if self.by_update():
            blank |= self.update(torch.zeros_like(p), p, self.init(working(p)), 1, group)[1]
        return {key: value for key, value in blank.items() if key not in self.state[p]}

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
            raise UserError(f"{type(self).__name__}: step() has no closure; {remedy}")

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
        warnings.warn(f"{type(self).__name__}: steps without compile: {reason}", stacklevel=2)
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
        group = {**self.defaults, **self._renamed(param_group)}
        group |= {key: self._check(key, group[key]) for key in self._own()}
        self._doubt(param_group)
        super().add_param_group(group)
        try:
            self._agree()
            self._refuse_idle(group)
            self.validate(group)
            for p in group["params"]:
                self._admit_parameter(p)
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
                raise UserError(f"{type(self).__name__}: {key}={group[key]} is of {of}, and has no use with {this}")

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
                    given, name = f"{key}={group[key]!r}", type(self).__name__
                    raise UserError(f"{name}: {given} differs from the first group's {first[key]!r}; give one for all")

    def _doubt(self, group: Hyper) -> None:
        """Warn of a key that is nearly the name of a hyperparameter: it is kept, as torch does, but nobody reads it."""
        for key in group.keys() - self.hyper.keys() - self.aliases.keys() - WELL_KNOWN:
            for close in difflib.get_close_matches(str(key), self.hyper, n=1, cutoff=0.75):
                warnings.warn(
                    f"{type(self).__name__}: nothing reads a group's '{key}'; did you mean '{close}'?", stacklevel=3
                )

    def _check(self, key: str, value: Any) -> Any:
        name, kind = type(self).__name__, self.kinds[key]
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
        name = type(self).__name__
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
        """Return state and groups as for any `torch.optim.Optimizer`; later steps leave them as they are."""
        kept = super().state_dict()
        kept["state"] = {
            key: {k: x.clone() if isinstance(x, Tensor) else x for k, x in s.items()} if isinstance(s, dict) else s
            for key, s in kept["state"].items()
        }
        return kept

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned, from this class in this version or an older one.

        A hyperparameter that is missing takes the constructor's value, with one warning.

        Raises:
            UserError: The state is another class's, or a value is out of range; nothing is loaded then.
        """
        super().load_state_dict(self._admitted(state_dict))
        saved = [i for group in state_dict["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(saved, params, strict=True):
            own, given = self.state.get(p, {}), state_dict["state"].get(i, {})
            for key in own.keys() & given.keys():
                if isinstance(given[key], Tensor):  # torch's may be the given one, or rounded to the parameter's type
                    dtype = working(p).dtype if given[key].is_floating_point() else None
                    own[key] = given[key].detach().to(p.device, dtype, copy=True)
            if "step" in own:
                own["step"] = int(own["step"])

    def _admitted(self, state_dict: dict[str, Any], more: Iterable[str] = ()) -> dict[str, Any]:
        """Return a saved state with all hyperparameters there and in their ranges.

        Args:
            state_dict: What was saved.
            more: Names in a parameter's state that are a wrapper's.
        """
        name, groups, missing = type(self).__name__, [], []
        for saved in state_dict["param_groups"]:
            group = self._renamed(saved)
            missing += [key for key in self._own() if key not in group and key not in missing]
            group |= {key: self._check(key, group.get(key, self.defaults[key])) for key in self._own()}
            groups.append(group)
        if missing:
            taken = ", ".join(f"{key}={self.defaults[key]!r}" for key in missing)
            warnings.warn(f"{name}: the saved state is of an older version; it takes {taken}", stacklevel=3)
        for saved, group in zip(groups, self.param_groups, strict=False):  # of another number or size: torch says so
            for i, p in zip(saved["params"], group["params"], strict=False):
                self._admit_state(state_dict["state"].get(i) or {}, p, saved, more)
        return {**state_dict, "param_groups": groups}

    def _admit_state(self, s: Hyper, p: Tensor, h: Hyper, more: Iterable[str]) -> None:
        if not s.keys() - set(more):
            return
        name, like = type(self).__name__, torch.zeros([min(n, 2) for n in p.shape])
        first = self.init(like)
        known = {"step", "gradient_point", *first, *self.keeps, *more}
        if self.by_update() or self.stackable(h):
            known |= self.update(like, like, first, 1, h)[1].keys()
        if foreign := sorted(s.keys() - known):
            raise UserError(f"{name}: the saved state has '{foreign[0]}', which is another class's; load one of {name}")
        if lacking := sorted({"step", *first} - s.keys()):
            raise UserError(f"{name}: the saved state lacks '{lacking[0]}'; load one of {name}")
        for key, x in first.items():
            given = s[key]
            if isinstance(x, Tensor) and x.shape == like.shape and getattr(given, "shape", None) != p.shape:
                has = tuple(getattr(given, "shape", ()))
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
