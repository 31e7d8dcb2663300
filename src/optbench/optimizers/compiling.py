"""All parameters of a step in one compiled call that reads and writes each element once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from optbench.optimizers.arithmetic import working
from optbench.optimizers.halves import Halves, Rule, State, Unsplit, halve

Hyper = Mapping[str, Any]
Moving = Sequence[tuple[Tensor, Hyper]]

OPTIONS: dict[str, Any] = {"size_asserts": False, "guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
"""What is compiled is a function of its tensors alone, whose layout is checked here: twice would cost a tenth."""

KERNELS: dict[Any, Callable[..., None]] = {}
"""What this process has compiled, by halves, places of numbers and layout: runs that follow one another share it."""


@dataclass
class Cohort:
    """Parameters of one group that have taken equally many steps, so that all numbers of their updates are the same.

    Attributes:
        group: The group.
        halves: Those of any member.
        place: Of the first of its numbers among those of all.
        members: Their places among the parameters that move.
    """

    group: Hyper
    halves: Halves
    place: int
    members: list[int] = field(default_factory=list)

    def fits(self, states: Sequence[State]) -> bool:
        """Return whether its constants are what they were, and its members still take the same numbers."""
        first, *others = (states[i] for i in self.members)
        alike = all(other[key] == first[key] for other in others for key in ("step", *self.halves.form.numbers))
        return alike and self.halves.form.fits(self.group)

    def numbers(self, states: Sequence[State]) -> tuple[list[float], dict[str, float]]:
        """Return what its members need of the numbers in the coming step, and those of their states after it."""
        form, first = self.halves.form, states[self.members[0]]
        t = first["step"] + 1
        changing = [float(self.group[name]) for name in form.changing]
        needed, renewed = self.halves.numbers(t, *changing, *(first[name] for name in form.numbers))
        return needed, {"step": t, **{name: float(x) for name, x in zip(form.numbers, renewed, strict=True)}}


class Program:
    """The compiled step of some parameters.

    Args:
        rule: The optimizer's class.
        moving: The parameters, each with its group.
        states: Their states, with the names that these have after every step.

    Raises:
        Exception: Whatever torch.compile has to say where it cannot.
    """

    def __init__(self, rule: Rule, moving: Moving, states: Sequence[State]) -> None:
        if any(type(p) not in (Tensor, torch.nn.Parameter) for p, _ in moving):
            raise Unsplit("its parameters are not plain tensors")
        self.halves = [halve(rule, [group], p.detach(), s) for (p, group), s in zip(moving, states, strict=True)]
        self.groups = [id(group) for _, group in moving]
        cohorts: dict[Any, Cohort] = {}
        end = 0
        for i, ((_, group), halves, s) in enumerate(zip(moving, self.halves, states, strict=True)):
            key = id(group), halves.source, *(s[name] for name in ("step", *halves.form.numbers))
            if key not in cohorts:
                cohorts[key] = Cohort(group, halves, end)
                end += halves.needs
            cohorts[key].members.append(i)
        self.cohorts = list(cohorts.values())
        places = {i: cohort.place for cohort in self.cohorts for i in cohort.members}
        self.places = [places[i] for i in range(len(moving))]
        tensors = self._tensors(moving, states)
        if len({id(x) for x in tensors}) < len(tensors):
            raise Unsplit("two of its tensors are one")
        self.layout = layout(tensors)
        self.device = tensors[0].device
        key = tuple(map(id, self.halves)), tuple(self.places), tuple(self.layout)
        if key not in KERNELS:
            KERNELS[key] = compiled(self._step, torch.zeros(end, dtype=torch.float64, device=self.device), *tensors)
        self.kernel = KERNELS[key]

    def __call__(self, moving: Moving, states: Sequence[State]) -> bool:
        """Move the parameters and their states in place, and return True; or False if they are not as they were."""
        if self.groups != [id(group) for _, group in moving]:
            return False
        tensors = self._tensors(moving, states)
        if layout(tensors) != self.layout or not all(cohort.fits(states) for cohort in self.cohorts):
            return False
        needed: list[float] = []
        renewed = []
        for cohort in self.cohorts:
            own, new = cohort.numbers(states)
            needed += own
            renewed.append(new)
        numbers = torch.tensor(needed, dtype=torch.float64, device=self.device)
        self.kernel(numbers, *tensors)
        for cohort, new in zip(self.cohorts, renewed, strict=True):
            for i in cohort.members:
                states[i].update(new)
        return True

    def _tensors(self, moving: Moving, states: Sequence[State]) -> list[Any]:
        """Return gradient, parameter and the tensors of the state of each parameter."""
        found: list[Any] = []
        for (p, _), halves, state in zip(moving, self.halves, states, strict=True):
            found += [p.grad, p, *(state[name] for name in halves.form.vectors)]
        return found

    def _step(self, numbers: Tensor, *tensors: Tensor) -> None:
        left, scalars = iter(tensors), numbers.unbind()
        for i, halves in enumerate(self.halves):
            g, p, *old = (next(left) for _ in range(2 + len(halves.form.vectors)))
            needed = scalars[self.places[i] : self.places[i] + halves.needs]
            step, *new = halves.tensors(working(g), working(p), *old, *needed)
            p.sub_(step)
            for before, after in zip(old, new, strict=True):
                before.copy_(after)


def layout(tensors: Sequence[Tensor]) -> list[Any]:
    """Return what has to stay of some tensors for a kernel to go on with them."""
    return [(x.shape, x.stride(), x.dtype, x.device) for x in tensors]


def compiled(step: Callable[..., None], *example: Tensor) -> Callable[..., None]:
    """Return a function of tensors that is compiled for an example; it looks at nothing else of what it is given.

    Args:
        step: The function.
        *example: What it will be given, or the like.
    """
    graph = make_fx(step, tracing_mode="fake")(*(x.detach() for x in example))
    jit: Any = torch.compile(graph.forward, fullgraph=True, dynamic=False, options=OPTIONS)
    kernel = jit.aot_compile((example, {}))
    kernel.disable_guard_check()
    return partial(kernel, graph)
