"""A rule in two halves: what it computes from numbers alone, and what it does to tensors.

Inside a compiled kernel a bias correction would be computed for each element, and a learning rate that changes would
compile anew. So a rule is exported once, and its graph cut: the numbers run outside, in float64, for many steps at
once, and the tensors are given what they need of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from optbench.optimizers.arithmetic import scaled, to_tensor
from optbench.optimizers.base import Optimizer, State


class Unsplit(Exception):
    """A rule cannot be cut in two."""


@dataclass(frozen=True)
class Form:
    """What a rule is exported for.

    Attributes:
        rule: The optimizer's class.
        constants: Hyperparameters that are part of the rule: words, choices, counts, and what a zero switches off.
        changing: Names of the other hyperparameters.
        vectors: Names of the state's tensors.
        numbers: Names of the state's numbers.
    """

    rule: type[Optimizer]
    constants: tuple[tuple[str, Any], ...]
    changing: tuple[str, ...]
    vectors: tuple[str, ...]
    numbers: tuple[str, ...]

    @classmethod
    def of(
        cls, rule: type[Optimizer], groups: Sequence[Mapping[str, Any]], state: State, kinds: tuple[type, ...]
    ) -> "Form":
        """Return the form of a rule for the hyperparameters of several runs.

        Args:
            rule: The optimizer's class.
            groups: Hyperparameters of each run.
            state: State of a parameter.
            kinds: Types of hyperparameters that may change.

        Raises:
            Unsplit: The runs differ in one that may not.
        """
        names = [name for name in rule.hyper if name not in rule.parts]
        changing = [name for name in names if name == "lr" or any(varies(group[name], kinds) for group in groups)]
        constants = {name: groups[0][name] for name in names if name not in changing}
        for name, value in constants.items():
            if any(group[name] != value for group in groups):
                raise Unsplit(f"its runs differ in {name}")
        vectors = tuple(sorted(name for name, value in state.items() if isinstance(value, Tensor)))
        numbers = tuple(sorted(name for name in state if name not in vectors and name != "step"))
        return cls(rule, tuple(constants.items()), tuple(changing), vectors, numbers)


def varies(value: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether a hyperparameter is a number that does not switch something off."""
    return isinstance(value, kinds) and not isinstance(value, bool) and bool(value)


class Rule(nn.Module):
    """A form as a function of tensors alone, to be exported."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form

    def forward(self, numbers: list[Tensor], tensors: list[Tensor]) -> tuple[Tensor, list[Tensor], list[Any]]:
        """Return the step, to be subtracted from the parameter, and the next tensors and numbers of the state.

        Args:
            numbers: The step's number, the changing hyperparameters, and the state's numbers.
            tensors: Gradient, parameter, and the state's tensors.
        """
        form = self.form
        t, *values = numbers
        g, p, *old = tensors
        count = len(form.changing)
        h = dict(form.constants) | dict(zip(form.changing, values[:count], strict=True))
        state = dict(zip(form.vectors, old, strict=True)) | dict(zip(form.numbers, values[count:], strict=True))
        change, new = form.rule.update(g, p, state, t, h)
        if new.keys() != state.keys():
            raise Unsplit("its state changes its form")
        step = to_tensor(scaled(form.rule.rate(h), change))
        return step, [new[name] for name in form.vectors], [new[name] for name in form.numbers]


@dataclass(frozen=True)
class Halves:
    """Both halves of a rule.

    Attributes:
        form: What it was exported for.
        numbers: Function of the step's number, the changing hyperparameters and the state's numbers; it returns a
            tuple of what `tensors` needs, and then the state's next numbers.
        tensors: Function of gradient, parameter, the state's tensors and what it needs of the numbers; it returns a
            tuple of the step and the state's next tensors.
        needs: How many numbers `tensors` needs.
    """

    form: Form
    numbers: GraphModule
    tensors: GraphModule
    needs: int

    @property
    def source(self) -> str:
        """What tells the halves of numbers apart."""
        return self.numbers.code

    def unroll(
        self, done: int, steps: int, h: Mapping[str, Tensor], state: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return what `tensors` needs in the next steps, (steps, needs, runs), and the state's numbers after them.

        Args:
            done: Steps taken.
            steps: Steps to take.
            h: The changing hyperparameters, shape (steps, runs), in float64.
            state: The state's numbers, shape (runs,), in float64.
        """
        changing = [h[name] for name in self.form.changing]
        t = torch.arange(done + 1, done + 1 + steps, dtype=torch.float64).unsqueeze(1)
        shape = changing[0].shape
        if not state:
            found = [torch.as_tensor(number).expand(shape) for number in self.numbers(t, *changing)]
            return torch.stack(found, 1) if found else torch.empty(steps, 0, shape[1], dtype=torch.float64), state
        rows = []
        for i in range(steps):
            found = [torch.as_tensor(x) for x in self.numbers(t[i], *(value[i] for value in changing), *state)]
            rows += [number.expand(shape[1:]) for number in found[: self.needs]]
            state = [number.to(torch.float64).expand(shape[1:]) for number in found[self.needs :]]
        return torch.stack(rows).view(steps, self.needs, shape[1]) if rows else torch.empty(steps, 0, shape[1]), state


HALVED: dict[str, Halves] = {}
"""The rules that this process has cut, by form and shapes: to export one takes a tenth of a second."""


def halve(form: Form, p: Tensor, state: State) -> Halves:
    """Return the halves of a rule for parameters of a shape.

    Args:
        form: The rule and what changes.
        p: A parameter.
        state: Its state.

    Raises:
        Unsplit: The rule looks at numbers to decide, or its state is not what it seems.
    """
    tensors = [torch.ones_like(p), p.clone(), *[state[name].clone() for name in form.vectors]]
    key = repr((form, [(x.shape, x.dtype, x.device) for x in tensors]))
    if key not in HALVED:
        HALVED[key] = export(form, tensors)
    return HALVED[key]


def export(form: Form, tensors: list[Tensor]) -> Halves:
    """Export a rule and cut it.

    Args:
        form: The rule and what changes.
        tensors: Gradient, parameter, and the state's tensors.

    Raises:
        Unsplit: As for `halve`.
    """
    number = torch.ones((), dtype=tensors[0].dtype)
    numbers = [number.clone() for _ in range(1 + len(form.changing) + len(form.numbers))]
    try:
        program = torch.export.export(Rule(form), (numbers, tensors), strict=False)
    except Exception as error:  # of whatever kind the exporter finds fit
        raise Unsplit(f"{form.rule.__name__} cannot be exported: {' '.join(str(error).split())[:120]}") from error
    if any(spec.kind.name != "USER_INPUT" for spec in program.graph_signature.input_specs):
        raise Unsplit(f"{form.rule.__name__} holds tensors of its own")
    return cut(form, program.graph_module.graph, len(numbers))


def cut(form: Form, graph: Graph, count: int) -> Halves:
    """Cut an exported rule.

    Args:
        form: What it was exported for.
        graph: Its graph: placeholders of numbers, then of tensors; the step, the state's tensors and its numbers.
        count: How many of the placeholders are numbers.
    """
    *nodes, output = graph.nodes
    places = [node for node in nodes if node.op == "placeholder"]
    alone = set(places[:count])
    for node in nodes:
        if node.op == "call_function" and node.meta["val"].dim() == 0 and alone.issuperset(node.all_input_nodes):
            alone.add(node)
    rest = [node for node in nodes if node not in alone]
    results = list(output.args[0])
    kept = 1 + len(form.vectors)
    needed = [node for user in rest for node in user.all_input_nodes]
    needed += [node for node in results[:kept] if isinstance(node, Node)]
    crossing = list(dict.fromkeys(node for node in needed if node in alone))
    if any(isinstance(node, Node) and node not in alone for node in results[kept:]):
        raise Unsplit(f"{form.rule.__name__} has numbers that depend on tensors")
    first, second = Graph(), Graph()
    copies: dict[Node, Node] = {}
    for node in nodes:
        if node in alone:
            copies[node] = first.node_copy(node, copies.__getitem__)
    first.output(tuple(copies.get(node, node) for node in [*crossing, *results[kept:]]))
    copies = {}
    for node in rest:
        if node.op == "placeholder":
            copies[node] = second.node_copy(node)
    for node in crossing:
        copies[node] = second.placeholder(node.name)
    for node in rest:
        if node not in copies:
            copies[node] = second.node_copy(node, copies.__getitem__)
    second.output(tuple(copies.get(node, node) for node in results[:kept]))
    return Halves(form, GraphModule({}, first), GraphModule({}, second), len(crossing))


def split(rule: type[Optimizer], groups: Sequence[Mapping[str, Any]], p: Tensor, state: State) -> Halves:
    """Return the halves of a rule for several runs; its counts are part of the rule only where that has to be.

    Args:
        rule: The optimizer's class.
        groups: Hyperparameters of each run.
        p: A parameter.
        state: Its state.

    Raises:
        Unsplit: That cannot be.
    """
    try:
        return halve(Form.of(rule, groups, state, (float, int)), p, state)
    except Unsplit:
        return halve(Form.of(rule, groups, state, (float,)), p, state)


def initial(rule: type[Optimizer], p: Tensor, h: Mapping[str, Any]) -> State:
    """Return the state of a parameter before its first step, with all the names that it will have.

    Args:
        rule: The optimizer's class.
        p: The parameter.
        h: Its hyperparameters.

    Raises:
        Unsplit: The names are known after a step only.
    """
    state = rule.init(p)
    zero = torch.zeros_like(p)
    after = rule.update(zero, zero.clone(), rule.init(zero), 1, h)[1]
    added = [after[name] for name in after.keys() - state.keys()]
    if state.keys() - after.keys() or not all(isinstance(x, Tensor) and not x.any() for x in added):
        raise Unsplit(f"{rule.__name__}: its state changes its form")
    return {**after, **state}
