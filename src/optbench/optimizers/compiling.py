"""A whole step through torch.compile: all parameters in one call that reads and writes each element once.

What a rule computes from numbers alone (bias corrections, momentum schedules) stays in Python: inside a kernel it would
be computed for each element, and a learning rate that changes would compile anew.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from optbench.optimizers.arithmetic import scaled, to_tensor, working

Hyper = Mapping[str, Any]
State = dict[str, Any]
Moving = Sequence[tuple[Tensor, Hyper]]

PYTHON: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in ("add", "sub", "mul", "pow", "neg", "gt", "ge", "lt", "le", "eq", "ne")
    },
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log")},
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh_copy", "_to_copy"), operator.pos),
    **{"div": operator.truediv, "minimum": min, "maximum": max},
    "rsub": lambda x, y: y - x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
}
"""What computes with numbers as torch's operation of that name does with tensors of one element."""


OPTIONS: dict[str, Any] = {"size_asserts": False, "guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe}
"""A kernel is a function of its tensors alone; half of a call would otherwise go into checking that it still is."""


class Rule(Protocol):
    """An optimizer's class, as far as it is compiled."""

    hyper: dict[str, Any]
    parts: tuple[str, ...]

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: Any, h: Hyper) -> tuple[Any, State]:
        """Return the direction and the next state."""

    @classmethod
    def rate(cls, h: Hyper) -> Any:
        """Return what a direction is to be scaled by."""


@dataclass
class Cohort:
    """Parameters of one group that have taken equally many steps, so that all numbers of their updates are the same.

    Attributes:
        group: The group.
        members: Their places among the parameters that move.
        constants: Hyperparameters by name that are part of the rule: words, counts, and what a zero switches off.
        changing: Names of the other hyperparameters.
        numbers: Names of the states that are numbers.
    """

    group: Hyper
    members: list[int]
    constants: dict[str, Any]
    changing: list[str]
    numbers: list[str]

    @classmethod
    def of(cls, rule: Rule, group: Hyper, members: list[int], state: State) -> Self:
        """Return the cohort of some parameters, of which one's state is given."""
        h = {key: group[key] for key in rule.hyper if key not in rule.parts}
        changing = [k for k, v in h.items() if k == "lr" or isinstance(v, float | Tensor) and v]
        numbers = [k for k, v in state.items() if k != "step" and not isinstance(v, Tensor)]
        return cls(group, members, {k: v for k, v in h.items() if k not in changing}, changing, numbers)

    def fits(self, states: Sequence[State]) -> bool:
        """Return whether its constants are what they were, and its members still take the same numbers."""
        if any(self.group[key] != value for key, value in self.constants.items()):
            return False
        first, *others = (states[i] for i in self.members)
        return all(other[key] == first[key] for other in others for key in ("step", *self.numbers))

    def values(self, state: State) -> list[float]:
        """Return what its scalars are in the coming step: the step, hyperparameters, states."""
        changing = [float(self.group[key]) for key in self.changing]
        return [state["step"] + 1, *changing, *(state[key] for key in self.numbers)]


class Program:
    """The compiled step of some parameters.

    Args:
        rule: The optimizer.
        moving: The parameters, each with its group.
        states: Their states, in the form that these have after every step.

    Raises:
        Exception: Whatever torch.compile has to say where it cannot.
    """

    def __init__(self, rule: Rule, moving: Moving, states: Sequence[State]) -> None:
        if any(type(p) not in (Tensor, torch.nn.Parameter) for p, _ in moving):
            raise ValueError("its parameters are not plain tensors")
        self.rule, self.places = rule, [place(*pair) for pair in moving]
        self.vectors = [[k for k, v in state.items() if isinstance(v, Tensor)] for state in states]
        self.cohorts = []

        def numbers(i: int) -> tuple[Any, ...]:
            return id(moving[i][1]), *(v for v in states[i].values() if not isinstance(v, Tensor))

        for _, members in groupby(sorted(range(len(moving)), key=numbers), key=numbers):
            first, *rest = members
            self.cohorts.append(Cohort.of(rule, moving[first][1], [first, *rest], states[first]))
        scalars = torch.tensor(self._values(states), dtype=torch.float64)
        traced = make_fx(partial(self._trace), tracing_mode="fake")(
            list(scalars.unbind()), self._tensors(moving, states)
        )
        self.numbers, kernel = split(traced, len(scalars))
        self.kernel = torch.compile(kernel.forward, fullgraph=True, dynamic=False, options=OPTIONS)

    def fits(self, moving: Moving, states: Sequence[State]) -> bool:
        """Return whether parameters and numbers are still those that it is compiled for."""
        return [place(*pair) for pair in moving] == self.places and all(c.fits(states) for c in self.cohorts)

    def __call__(self, moving: Moving, states: Sequence[State]) -> None:
        """Move the parameters and their states in place."""
        known, renewed = self.numbers(*self._values(states))
        device = moving[0][0].device
        self.kernel(torch.tensor(known, dtype=torch.float64, device=device), *sum(self._tensors(moving, states), []))
        left = iter(renewed)
        for cohort in self.cohorts:
            numbers = {key: next(left) for key in cohort.numbers}
            for i in cohort.members:
                states[i].update(numbers)
                states[i]["step"] += 1

    def _values(self, states: Sequence[State]) -> list[float]:
        return [value for cohort in self.cohorts for value in cohort.values(states[cohort.members[0]])]

    def _tensors(self, moving: Moving, states: Sequence[State]) -> list[list[Any]]:
        return [
            [p.grad, p, *(state[key] for key in names)]
            for (p, _), state, names in zip(moving, states, self.vectors, strict=True)
        ]

    def _trace(self, scalars: list[Tensor], tensors: list[list[Tensor]]) -> list[Any]:
        """Take the step in place with tensors for all numbers, and return the next numbers, cohort by cohort."""
        renewed: list[Any] = []
        left = iter(scalars)
        for cohort in self.cohorts:
            t = next(left)
            h = cohort.constants | {key: next(left) for key in cohort.changing}
            numbers = {key: next(left) for key in cohort.numbers}
            for i in cohort.members:
                g, p, *vectors = tensors[i]
                old = dict(zip(self.vectors[i], vectors, strict=True))
                change, new = self.rule.update(working(g), working(p), numbers | old, t, h)
                if new.keys() - {"step"} != (numbers | old).keys() - {"step"}:
                    raise ValueError("its state has another form after the step")
                p.sub_(to_tensor(scaled(self.rule.rate(h), change)))
                for key, x in old.items():
                    x.copy_(new[key])
            renewed += [new[key] for key in cohort.numbers]
        return renewed


def place(p: Tensor, group: Hyper) -> tuple[Any, ...]:
    """Return what has to stay for a kernel to go on with a parameter; torch.compile looks after strides and types."""
    return id(p), id(group), p.shape


def split(traced: GraphModule, scalars: int) -> tuple[Callable[..., Any], GraphModule]:
    """Return what a graph computes from numbers alone, and the rest.

    Args:
        traced: A graph whose first inputs are tensors without dimensions that stand for numbers.
        scalars: How many these are.

    Returns:
        A function of the numbers, in Python, that returns those which the rest needs, and what the graph returns; and
        the rest, whose inputs are a vector of these numbers and the graph's other inputs.
    """
    *nodes, output = traced.graph.nodes
    alone, rest = Graph(), Graph()
    left: dict[Node, Node] = {}
    alike: dict[Any, Node] = {}
    for i, node in enumerate(nodes):
        inputs = node.all_input_nodes
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
        if i < scalars:
            left[node] = alone.node_copy(node)
        elif inputs and name in PYTHON and all(x in left for x in inputs) and (not node.kwargs or name == "_to_copy"):
            args = tuple(left[x] if isinstance(x, Node) else x for x in node.args)
            key = name, args
            left[node] = alike[key] = alike.get(key) or alone.call_function(PYTHON[name], args)
    others = [node for node in nodes if node not in left]
    crossing = list(dict.fromkeys(x for node in others for x in node.all_input_nodes if x in left))
    places = list(dict.fromkeys(left[x] for x in crossing))

    def number(x: Node) -> Node:
        if x not in left:
            raise ValueError("a number in its state comes out of tensors")
        return left[x]

    alone.output((places, torch.fx.node.map_arg(list(output.args[0]), number)))
    numbers = rest.placeholder("numbers")
    right = {x: rest.call_function(operator.getitem, (numbers, places.index(left[x]))) for x in crossing}
    for x in crossing:
        if x.meta["val"].dtype is torch.bool:
            right[x] = rest.call_function(operator.ne, (right[x], 0))
    for node in others:
        right[node] = rest.node_copy(node, right.__getitem__)
    rest.output(())
    return GraphModule(traced, alone).forward, GraphModule(traced, rest)
