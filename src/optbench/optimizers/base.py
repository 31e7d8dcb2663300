"""The shell around pure per-tensor updates: a `torch.optim.Optimizer` to torch, Lightning and a user.

An optimizer states its hyperparameters as annotated fields, its state in `init` and its rule in `update`; everything
else that is expected of it is here, once.
"""

import inspect
import warnings
from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import UserError, check, one_line
from optbench.optimizers.arithmetic import Spent, subtract_, working
from optbench.optimizers.compiling import Program
from optbench.optimizers.groups import Params
from optbench.optimizers.objective import Closure
from optbench.optimizers.rule import Hyper as Hyper, State as State
from optbench.optimizers.saved import Saved
from optbench.optimizers.signature import declared, documented, signature

Moving = list[tuple[Tensor, Tensor, State, Hyper]]
"""Parameters that have a gradient, each with this in the type that rules compute in, with its state and its group."""
Compile = bool | Literal["update", "off"]

SLICE = 2**18
"""Elements that an update moves at a time on a CPU: its temporaries then never leave the cache."""

PROGRAMS = 8
"""Compiled steps that an optimizer keeps: each is for the parameters that moved, as they lay in memory."""


class Optimizer(Saved):
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the hyperparameters into `hyper`, the signature and the docstring."""
        super().__init_subclass__(**kwargs)
        for name in ("init", "update", "iterate"):
            if inspect.isfunction(vars(cls).get(name)):
                raise UserError(f"{cls.__name__}: {name} is called without an instance; write @staticmethod above it")
        annotated = cls.__annotations__
        for name, value in vars(cls).items():
            known = name in annotated or hasattr(cls.__mro__[1], name)
            if type(value) in (int, float) and not known and not name.startswith("_"):
                raise UserError(f"{cls.__name__}: {name} lacks its range; annotate it, as `{name}: Rate = {value}`")
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

    def __init__(self, params: Params, *defaults: Any, compile: Compile = False, **hyper: Any) -> None:
        if defaults:
            raise UserError(f"{self.named}: annotate what it takes, as `lr: Rate = 0.1`, and leave __init__ out")
        self.compile = check(self.named, "compile", compile, Compile) in (True, "update")
        self._programs: list[Program] = []
        self._refused = ""
        self._dried = False
        self._types: list[tuple[int, torch.dtype]] = []
        super().__init__(params, **hyper)

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
        """Return what moves."""
        if torch.is_inference_mode_enabled():
            raise UserError(f"{self.named}: a state made under inference_mode could never change; step outside of it")
        if self.common and len(self.param_groups) > 1:
            self._agree()
        moving: Moving = []
        state = self.state
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                if g is None:
                    continue
                if g.layout is not torch.strided:
                    raise UserError(f"{self.named}: a gradient is {g.layout}; use a dense one")
                s = state.get(p)
                if not s or (not s.get("step") and self._unbegun(s)):
                    if not p.numel():
                        continue
                    s = self._begin(p)
                elif "gradient_point" in s:
                    raise UserError(f"{self.named}: the parameters are at the iterate; call train() before step()")
                moving.append((p, working(g), s, group))
        self._follow(moving)
        return moving

    def _unbegun(self, s: State) -> bool:
        """Return whether a state is yet to be made: there is none, or that of a dry step, with other weights."""
        return "step" not in s or (self._dried and not s["step"])

    def _begin(self, p: Tensor) -> State:
        """Return the state of a parameter, made anew."""
        s: State = self.state.setdefault(p, {})
        s.clear()
        s.update({"step": 0, **self.init(working(p))})
        return s

    def _follow(self, moving: Moving) -> None:
        """Give states the types that their parameters have, unless these moved with the same types in the last step."""
        types = [(id(p), g.dtype) for p, g, _, _ in moving]
        if types == self._types:
            return
        self._types = types
        for _, g, s, _ in moving:
            for key, x in s.items():
                if isinstance(x, Tensor) and x.is_floating_point():
                    s[key] = x.to(g.dtype)

    def _move(self, moving: Moving) -> None:
        """Move parameters, at least one; a rule with numbers for all of them overrides this."""
        if self.whole_tensor and torch.is_autocast_enabled(kind := moving[0][0].device.type):
            with torch.autocast(kind, enabled=False):  # which would round products of matrices
                return self._move(moving)
        if self.compile and self._move_compiled(moving):
            return
        for p, g, s, group in moving:
            t = s["step"] + 1
            if p.numel() > SLICE and self._slices(p, s, group):
                new = self._move_slices(p, s, t, group)
            else:
                change, new = self.update(g, working(p), Spent(s), t, group)
                subtract_(p, self.rate(group), change)
            s.update(new)
            s["step"] = t

    def _slices(self, p: Tensor, s: State, group: Hyper) -> bool:
        """Return whether a parameter may move slice by slice; its first step shows what the state holds."""
        shaped = any(isinstance(x, Tensor) and x.dim() for x in group.values())
        whole = [p, p.grad, *(x for x in s.values() if isinstance(x, Tensor))]
        flat = all(x.is_contiguous() and x.shape == p.shape for x in whole if x is not None)
        plain = p.device.type == "cpu" and type(p.data) is Tensor and not torch.compiler.is_compiling()
        return s["step"] > 0 and flat and plain and not shaped and not self.whole_tensor

    def _move_slices(self, p: Tensor, s: State, t: int, group: Hyper) -> State:
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

    def _dry(self) -> bool:
        """Make the state and return True if this step is none: it has no state, no rate and no gradient but zero.

        `torch.distributed.checkpoint` takes one to find out what there is to be saved or loaded.
        """
        if self.state or any(group.get("lr", 1) for group in self.param_groups):
            return False
        moving = self._moving()
        if any(g.any() for _, g, _, _ in moving):
            return False
        self._dried = True
        for p, _, s, group in moving:
            later = self._after(p, working(p), group)
            s.update({key: x for key, x in later.items() if key not in s or isinstance(x, Tensor)})
        return True

    def _after(self, p: Tensor, like: Tensor, h: Hyper) -> State:
        """Return a state like that of a parameter after a step, made of one like it, which may be without memory."""
        first = self.init(like)
        kept = {key: like.new_zeros(0) for key in self.keeps}
        if not (self.by_update() or self.stackable(h)):
            return first | kept
        return first | kept | self.update(torch.zeros_like(like), like, dict(first), 1, h)[1]

    def _without_closure(self, remedy: str) -> None:
        """Take a step that has no closure: it may be dry.

        Raises:
            UserError: It is not.
        """
        if not self._dry():
            raise UserError(f"{self.named}: step() has no closure; {remedy}")

    def _refuse_autocast(self, moving: Moving) -> None:
        """Raise a `UserError` in a step whose closure is called on the way, where autocast cannot be told apart."""
        if moving and torch.is_autocast_enabled(moving[0][0].device.type):
            raise UserError(f"{self.named}: step() is within autocast, which would round it; put only the loss there")

    def _move_compiled(self, moving: Moving) -> bool:
        """Move by the compiled rule and return True, unless that cannot be, or not in this step."""
        if not all(s["step"] for _, _, s, _ in moving):
            return False  # only the first step shows what a state holds
        try:
            if any(program(moving) for program in self._programs):
                return True
            if len(self._programs) == PROGRAMS:
                raise RuntimeError(f"which parameters move, or how they lie in memory, has changed {PROGRAMS} times")
            self._programs.append(Program(type(self), moving))
            self._programs[-1](moving)
        except Exception as error:  # of a compiler's making
            self._refuse_compile(one_line(error)[:200])
            return False
        return True

    def _refuse_compile(self, reason: str) -> None:
        warnings.warn(f"{self.named}: steps without compile: {reason}", stacklevel=2)
        self.compile = False
        self._programs = []
        self._refused = reason

    def uncompiled(self) -> str:
        """Return why no step was taken by the compiled rule, or nothing where one was."""
        return "" if self._programs else self._refused or "the first step never is"

    # Groups and copies ------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with hyperparameters of their own where the group sets them; other keys are kept.

        Args:
            param_group: `params`, and any hyperparameters by name.

        Raises:
            UserError: As for the class.
        """
        super().add_param_group(param_group)
        if self.compile and not (self.by_update() or self.stackable(self.param_groups[-1])):
            self._refuse_compile("a step is more than its update")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a deep copy keeps."""
        own = {part: getattr(self, part) for part in self.parts}
        fresh = {"_programs": [], "_refused": "", "_types": []}
        return super().__getstate__() | own | fresh | {"compile": self.compile, "_dried": self._dried}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, a deep copy or `load_state_dict`, which fills the objects that others may hold."""
        if "state" in vars(self):
            self.state.clear()
            self.state.update(state.pop("state"))
            self.param_groups[:] = state.pop("param_groups")
        super().__setstate__(state)
