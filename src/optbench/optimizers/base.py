"""The only machinery: an imperative shell around pure per-tensor updates.

An optimizer states its hyperparameters as annotated fields, its state in `init` and its rule in `update`; everything
else that torch, Lightning and a user expect of a `torch.optim.Optimizer` is here, once.
"""

import inspect
import itertools
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd import profiler
from torch.optim import optimizer as torch_optimizer

from optbench.checks import UserError, check, describe, nearest
from optbench.optimizers import compiled
from optbench.optimizers.arithmetic import Direction, Spent, subtract_
from optbench.optimizers.blocks import Block, Pack
from optbench.optimizers.objective import Closure
from optbench.optimizers.signature import declared, documented, signature

State = dict[str, Any]
Hyper = Mapping[str, Any]
Params = Iterable[Any]

PACK = 2**14  # parameters of up to this many elements share one vector: a kernel's launch costs more than its work
SLICE = 2**17  # larger ones are cut to this on a CPU: an update's temporaries then never leave the cache


def direct(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that takes torch's way only where something is hooked to it or profiled: that way costs 10 us."""
    plain = step.__wrapped__  # type: ignore[attr-defined]

    @wraps(step)
    def run(self: "Optimizer", closure: Closure | None = None) -> Any:
        hooks = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        everywhere = torch_optimizer._global_optimizer_pre_hooks or torch_optimizer._global_optimizer_post_hooks
        if hooks or everywhere or profiler._is_profiler_enabled:
            return step(self, closure)
        return plain(self, closure)

    run.direct = True  # type: ignore[attr-defined]
    return run


class Optimizer(torch.optim.Optimizer):
    """A pure update of one tensor, run over parameter groups.

    A subclass annotates its hyperparameters, each with its range (`lr: Rate = 0.01`); one without a default has to be
    given. A class body may also hold a plain `hyper = dict(lr=0.01)`, which checks types only.

    Args:
        params: Parameters, named parameters or parameter groups, as for any `torch.optim.Optimizer`.
        search: The ranges in which a study may look for hyperparameters, as a config declares them; no rule reads it.
        compile: Whether an element-wise rule steps through torch.compile; what cannot steps without, and says so. The
            kernel is compiled at the first step, and kept on disk for later runs.
        **hyper: The class's hyperparameters, for all groups that do not set their own.

    Raises:
        UserError: A hyperparameter is unknown, missing, of a wrong type or out of range, or a parameter is complex
            or sparse.
    """

    hyper: ClassVar[dict[str, Any]] = {}
    """Defaults by name; `inspect.Parameter.empty` where a value has to be given."""
    kinds: ClassVar[dict[str, Any]] = {}
    """Annotation by hyperparameter."""
    extends: ClassVar[dict[str, str]] = {}
    """The classes that the rule builds on, each with the idea that it adds."""
    order: ClassVar[float] = 1
    """1 for gradients alone, 1.5 for curvature that is estimated from gradients, 2 for curvature that is evaluated."""
    whole_tensor: ClassVar[bool] = False
    """Whether the rule needs each tensor in its own shape, rather than any part of a flat vector."""
    whole_step: ClassVar[bool] = False
    """Whether `update` returns the step itself, learning rate included, rather than a direction to scale by `lr`."""
    bare: ClassVar[bool] = False
    """Whether `update` returns little but the gradient: to pack or to cut parameters costs more than it saves then."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Fields that belong to the optimizer instead of its groups: objects such as a model, which no state_dict holds."""

    needs: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that the run itself gives, where nobody else does: `model`, `total_steps`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the hyperparameters into `hyper`, the signature and the docstring."""
        super().__init_subclass__(**kwargs)
        own, kinds = declared(cls)
        base = next(c for c in cls.__mro__[1:] if issubclass(c, Optimizer))  # Lightning wraps by a mixin in front
        cls.hyper = {**base.hyper, **own}
        cls.kinds = {**base.kinds, **kinds}
        cls.needs = tuple(name for name in ("model", "total_steps") if name in cls.hyper)
        cls.__signature__ = signature(  # type: ignore[attr-defined]
            {**cls.hyper, "compile": False}, {**cls.kinds, "compile": bool}
        )
        cls.__doc__ = documented(cls.__doc__, cls.hyper, cls.kinds)

    compile = False

    def __init__(
        self, params: Params, *, search: Mapping[str, Any] | None = None, compile: bool = False, **hyper: Any
    ) -> None:
        for name in hyper.keys() - self.hyper.keys():
            raise nearest(f"hyperparameter of {type(self).__name__}", name, self.hyper, ", ".join(self.hyper))
        self._blocks: list[tuple[Block, int]] = []
        self._packed: list[int] = []
        self._state: defaultdict[Tensor, State] = defaultdict(dict)
        self.compile = check(type(self).__name__, "compile", compile, bool)
        values = {**self.hyper, **hyper}
        for part in self.parts:
            setattr(self, part, self._check(part, values.pop(part)))
        super().__init__(params, values)

    # The rule --------------------------------------------------------------------------------------------------------

    @staticmethod
    def init(p: Tensor) -> State:
        """Return the state of a parameter before its first step: tensors of its shape, or numbers."""
        return {}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: Any, h: Hyper) -> tuple[Direction, State]:
        """Return the direction to descend along, a tensor or a `Quotient`, and the next state.

        Args:
            g: Gradient.
            p: Parameter, of the same shape.
            s: State; like g and p it belongs to the caller and is not changed.
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
        """Return whether a step is `update` alone, of one block after another."""
        own, plain = (tuple(inspect.unwrap(getattr(c, name)) for name in ("step", "_move")) for c in (cls, Optimizer))
        return own == plain

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        """Return whether many runs with such hyperparameters may train as one stack, whose steps are `update` alone."""
        return cls.by_update()

    # The shell -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: Function that sets the gradients and returns the loss, called once first; see `Objective`.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if blocks := self._active():
            self._move(blocks)
        return loss

    @torch.no_grad()
    def eval(self) -> None:
        """Put the parameters at the method's own iterate, to be evaluated or saved; for most rules they always are."""
        if type(self).iterate is Optimizer.iterate:
            return
        for group in self.param_groups:
            for p in group["params"]:
                s = self.state[p]
                if s and "gradient_point" not in s:
                    s["gradient_point"] = p.clone()
                    p.copy_(self.iterate(p, s, group))

    @torch.no_grad()
    def train(self) -> None:
        """Put the parameters back where the next gradient belongs, bit by bit."""
        if type(self).iterate is Optimizer.iterate:
            return
        for p, s in self.state.items():
            if "gradient_point" in s:
                p.copy_(s.pop("gradient_point"))

    def _move(self, blocks: list[tuple[Block, Hyper]]) -> None:
        """Move the parameters of all blocks, each given with its group; a rule with numbers for all overrides this."""
        for block, group in blocks:
            self._advance(block, group)

    def _advance(self, block: Block, group: Hyper) -> None:
        block.t += 1
        if self.compile and self._launch(block, group):
            return
        p = block.point()
        change, block.state = self.update(block.gradient(), p, Spent(block.state), block.t, group)
        subtract_(p, self.rate(group), change)
        block.store()

    def _launch(self, block: Block, group: Hyper) -> bool:
        """Move a block by the compiled rule and return True, unless that cannot be, or not in this step."""
        if block.launch is None or not block.launch.fits(group):
            block.launch = None
            try:
                block.launch = compiled.bind(type(self), block, group)
            except Exception as error:  # of a compiler's making
                self._refuse_compile(" ".join(str(error).split())[:200])
        if block.launch is None:
            return False
        block.launch(block.state, block.t, group)
        return True

    def _refuse_compile(self, reason: str) -> None:
        warnings.warn(f"{type(self).__name__}: steps without compile=true: {reason}", stacklevel=2)
        self.compile = False
        self._packed = []  # to pack anew

    def _active(self) -> list[tuple[Block, Hyper]]:
        """Return the blocks of the parameters that have a gradient, packed anew only where that set has changed."""
        key = [id(p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if key != self._packed:
            params = [[p for p in group["params"] if p.grad is not None and p.numel()] for group in self.param_groups]
            self._refuse_sparse(itertools.chain(*params))
            self._settle()
            self._blocks = [(block, i) for i, group in enumerate(params) for block in self._pack(group)]
            self._packed = key
        return [(block, self.param_groups[i]) for block, i in self._blocks]

    def _refuse_sparse(self, params: Iterable[Tensor]) -> None:
        for p in params:
            if p.grad is not None and p.grad.layout is not torch.strided:
                raise UserError(f"{type(self).__name__}: a gradient is {p.grad.layout}; use a dense one")

    def _pack(self, params: list[Tensor]) -> list[Block]:
        blocks, packs = [], defaultdict(list)
        largest = math.inf if self.compile else 0 if self.bare else PACK
        for p in params:
            s = self._state[p]
            if "gradient_point" in s:
                raise UserError(f"{type(self).__name__}: the parameters are at the iterate; call train() before step()")
            t, numbers = s.get("step", 0), tuple(v for v in s.values() if not isinstance(v, Tensor))
            if self.whole_tensor or p.numel() > largest:
                blocks += [Block([p], t, span) for span in self._spans(p)]
            else:
                packs[p.dtype, p.device, t, numbers].append(p)
        blocks += [Pack(pack, t) if len(pack) > 1 else Block(pack, t) for (_, _, t, _), pack in packs.items()]
        for block in blocks:
            states = [self._state[p] or self.init(p) for p in block.params]
            for k in (k for k in states[0] if k != "step"):
                values = [s[k] for s in states]
                shaped = isinstance(values[0], Tensor) and values[0].shape == block.params[0].shape
                block.state[k] = block.gather(values).clone() if shaped else values[0]
        return blocks

    def _spans(self, p: Tensor) -> list[slice | None]:
        if self.whole_tensor or self.bare or p.numel() <= SLICE or p.device.type != "cpu" or not p.is_contiguous():
            return [None]
        return [slice(a, min(a + SLICE, p.numel())) for a in range(0, p.numel(), SLICE)]

    def _settle(self) -> None:
        """Write the state of all blocks back to the parameters that it belongs to, and forget the blocks."""
        blocks, self._blocks, self._packed = self._blocks, [], []
        slices: defaultdict[tuple[Tensor, str], list[Tensor]] = defaultdict(list)
        for block, _ in blocks:
            size = sum(p.numel() for p in block.params)
            for p in block.params:
                self._state[p]["step"] = block.t
            for k, value in block.state.items():
                if block.span is not None and isinstance(value, Tensor) and value.dim():
                    slices[block.params[0], k].append(value)
                elif isinstance(value, Tensor) and len(block.params) > 1 and value.numel() == size:
                    for p, part in block.scatter(value):
                        self._state[p][k] = part
                else:
                    self._state.update({p: {**self._state[p], k: value} for p in block.params})
        for (p, k), parts in slices.items():
            self._state[p][k] = torch.cat(parts).view(p.shape)

    # What torch, Lightning and pickle ask for ------------------------------------------------------------------------

    @property
    def state(self) -> defaultdict[Tensor, State]:
        """State by parameter: `step`, and what `init` names. Reading it ends the blocks; the next step packs anew."""
        self._settle()
        return self._state

    @state.setter
    def state(self, value: Mapping[Tensor, State]) -> None:
        self._blocks, self._packed = [], []
        self._state = defaultdict(dict, value)

    def _patch_step_function(self) -> None:
        super()._patch_step_function()
        cls = type(self)
        if not hasattr(cls.step, "direct"):
            cls.step = direct(cls.step)  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a deep copy keeps."""
        own = {part: getattr(self, part) for part in self.parts}
        return super().__getstate__() | own | {"compile": self.compile}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, a deep copy or `load_state_dict`."""
        self.state = state.pop("state")
        super().__setstate__(state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with hyperparameters of their own where the group sets them.

        Args:
            param_group: `params`, and any hyperparameters by name.

        Raises:
            UserError: As for the class.
        """
        name, known = type(self).__name__, [key for key in self.hyper if key not in self.parts]
        for key in param_group.keys() - set(known) - {"params", "param_names", "initial_lr"}:
            raise nearest(f"hyperparameter of {name}", key, known, ", ".join(known))
        group = {**self.defaults, **param_group}
        group |= {key: self._check(key, group[key]) for key in known}
        self.validate(group)
        if self.compile and (self.whole_tensor or not self.stackable(group)):
            self._refuse_compile("it is not element-wise")
        super().add_param_group(group)
        for p in self.param_groups[-1]["params"]:
            if p.is_complex() or p.layout is not torch.strided:
                what = p.dtype if p.is_complex() else p.layout
                raise UserError(f"{name}: a parameter is {what}; give dense real ones")

    def _check(self, key: str, value: Any) -> Any:
        name, kind = type(self).__name__, self.kinds[key]
        if value is inspect.Parameter.empty:
            raise UserError(f"{name}: {key} is missing; give optimizer.{key}=<{describe(kind)}>")
        return value if isinstance(value, Tensor) else check(name, key, value, kind)

    def validate(self, group: Hyper) -> None:
        """Raise a `UserError` where hyperparameters do not fit together; those of one group are given."""
