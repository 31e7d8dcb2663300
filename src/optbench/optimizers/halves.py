"""A rule in two halves: what it computes from numbers alone, and what it does to tensors.

Inside a compiled kernel a bias correction would be computed for each element, and a learning rate that changes would
compile anew. So a rule is traced once, and its graph cut: the numbers stay outside, in Python or, for many steps and
runs at once, in NumPy, and the tensors are given what they need of them.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from optbench.optimizers.arithmetic import scaled, to_tensor, working
from optbench.optimizers.rule import Hyper, Rule, State

Numbers = Sequence[Any]
"""Numbers, or arrays of them."""

ON_NUMBERS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in ("add", "sub", "mul", "pow", "neg", "gt", "ge", "lt", "le", "eq", "ne")
    },
    **{name: getattr(np, name) for name in ("sqrt", "exp", "log", "square", "minimum", "maximum")},
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh_copy", "_to_copy"), operator.pos),
    "div": operator.truediv,
    "rsub": lambda x, y: y - x,
    "reciprocal": lambda x: 1 / x,
}
"""What computes with numbers as torch's operation of that name does with tensors of one element."""


class Unsplit(Exception):
    """A rule cannot be cut in two."""


@dataclass(frozen=True)
class Form:
    """What a rule is traced for.

    Attributes:
        rule: The optimizer's class.
        constants: Hyperparameters that are part of the rule: words, choices, counts, and what a zero switches off.
        changing: Names of the other hyperparameters.
        vectors: Names of the state's tensors.
        numbers: Names of the state's numbers.
    """

    rule: type[Rule]
    constants: tuple[tuple[str, Any], ...]
    changing: tuple[str, ...]
    vectors: tuple[str, ...]
    numbers: tuple[str, ...]

    @classmethod
    def of(cls, rule: type[Rule], groups: Sequence[Hyper], state: State, kinds: tuple[type, ...]) -> Self:
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

    def step(self, numbers: list[Tensor], tensors: list[Tensor]) -> list[Any]:
        """Return the step, to be subtracted from the parameter, and then the next tensors and numbers of the state.

        Args:
            numbers: The step's number, the changing hyperparameters, and the state's numbers, as tensors.
            tensors: Gradient, parameter, and the state's tensors.

        Raises:
            Unsplit: The state has other names after the step.
        """
        t, *values = numbers
        g, p, *old = tensors
        count = len(self.changing)
        h = dict(self.constants) | dict(zip(self.changing, values[:count], strict=True))
        state = dict(zip(self.vectors, old, strict=True)) | dict(zip(self.numbers, values[count:], strict=True))
        change, new = self.rule.update(g, p, state, t, h)
        if new.keys() != state.keys():
            raise Unsplit("its state changes its form")
        return [to_tensor(scaled(self.rule.rate(h), change)), *(new[name] for name in (*self.vectors, *self.numbers))]

    def fits(self, group: Hyper) -> bool:
        """Return whether a group still has the hyperparameters that are part of the rule."""
        return all(group[name] == value for name, value in self.constants)


def varies(value: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether a hyperparameter is a number that does not switch something off."""
    return isinstance(value, kinds) and not isinstance(value, bool) and bool(value)


@dataclass(frozen=True)
class Halves:
    """Both halves of a rule.

    Attributes:
        form: What it was traced for.
        numbers: Function of the step's number, the changing hyperparameters and the state's numbers; it returns what
            `tensors` needs, and the state's next numbers.
        tensors: Function of gradient, parameter, the state's tensors and what it needs of the numbers; it returns the
            step and the state's next tensors.
        needs: How many numbers `tensors` needs.
        source: What tells the halves of numbers apart.
    """

    form: Form
    numbers: Callable[..., tuple[list[Any], list[Any]]]
    tensors: GraphModule
    needs: int
    source: str

    def advance(self, group: Hyper, state: State) -> tuple[list[float], State]:
        """Return what `tensors` needs of the numbers in the next step, and those of the state after it."""
        t = state["step"] + 1
        changing = [float(group[name]) for name in self.form.changing]
        needed, renewed = self.numbers(t, *changing, *(state[name] for name in self.form.numbers))
        return needed, {"step": t, **{name: float(x) for name, x in zip(self.form.numbers, renewed, strict=True)}}

    def unroll(self, done: int, steps: int, h: Mapping[str, np.ndarray], state: Numbers) -> tuple[np.ndarray, Numbers]:
        """Return what `tensors` needs in the next steps, (steps, needs, runs), and the state's numbers after them.

        Args:
            done: Steps taken.
            steps: Steps to take.
            h: The changing hyperparameters, shape (steps, runs).
            state: The state's numbers, shape (runs,).
        """
        changing = [h[name] for name in self.form.changing]
        t = np.arange(done + 1.0, done + 1.0 + steps)[:, None]
        needed = np.empty((steps, self.needs, changing[0].shape[1]))
        rows = range(steps) if state else [slice(None)]  # numbers that remember nothing are found for all steps at once
        with np.errstate(all="ignore"):
            for row in rows:
                found, state = self.numbers(t[row], *(value[row] for value in changing), *state)
                for i, number in enumerate(found):
                    needed[row, i] = number
        return needed, [np.broadcast_to(x, needed.shape[2:]) for x in state]


HALVED: dict[tuple[type[Rule], str], Halves] = {}
"""The rules that this process has cut, by form and shapes."""


def halve(rule: type[Rule], groups: Sequence[Hyper], p: Tensor, state: State) -> Halves:
    """Return the halves of a rule for parameters of a shape; its counts are part of it only where that has to be.

    Args:
        rule: The optimizer's class.
        groups: Hyperparameters of each run.
        p: A parameter.
        state: Its state, with all the names that it has after a step.

    Raises:
        Unsplit: The rule looks at numbers to decide, or its state is not what it seems.
    """
    try:
        return traced(Form.of(rule, groups, state, (float, int, Tensor)), p, state)
    except Unsplit:
        return traced(Form.of(rule, groups, state, (float, Tensor)), p, state)


def traced(form: Form, p: Tensor, state: State) -> Halves:
    """Return the halves of a rule in a form.

    Raises:
        Unsplit: As for `halve`.
    """
    tensors = [working(p), working(p), *(state[name] for name in form.vectors)]
    key = form.rule, repr((form, [(x.shape, x.stride(), x.dtype, x.device) for x in tensors]))
    if key not in HALVED:
        count = 1 + len(form.changing) + len(form.numbers)
        numbers = [torch.ones((), dtype=torch.float64, device=p.device) for _ in range(count)]
        step = torch.func.functionalize(partial(form.step))
        try:
            graph = make_fx(step, tracing_mode="fake")(numbers, [x.detach() for x in tensors])
        except Exception as error:  # of whatever kind the tracer finds fit
            raise Unsplit(f"it cannot be traced: {' '.join(str(error).split())[:120]}") from error
        HALVED[key] = cut(form, graph, count)
    return HALVED[key]


def cut(form: Form, graph: GraphModule, count: int) -> Halves:
    """Cut a traced rule.

    Args:
        form: What it was traced for.
        graph: `Form.step` as a graph.
        count: How many of its inputs are numbers.

    Raises:
        Unsplit: A number of the state comes out of tensors.
    """
    *nodes, output = graph.graph.nodes
    results = list(output.args[0])
    moved = results[: 1 + len(form.vectors)]
    renewed = results[1 + len(form.vectors) :]
    first, left = of_numbers(nodes, count)
    others = [node for node in nodes if node not in left]
    if any(isinstance(x, Node) and x not in left for x in renewed):
        raise Unsplit("its numbers depend on tensors")
    wanted = [x for node in others for x in node.all_input_nodes] + [x for x in moved if isinstance(x, Node)]
    crossing = list(dict.fromkeys(x for x in wanted if x in left))
    first.output(([left[x] for x in crossing], [left.get(x, x) for x in renewed]))
    second, right = of_tensors(others, crossing)
    second.output(tuple(right.get(x, x) for x in moved))
    numbers = GraphModule({}, first)
    return Halves(form, numbers.forward, GraphModule(graph, second), len(crossing), numbers.code)


def of_numbers(nodes: Sequence[Node], count: int) -> tuple[Graph, dict[Node, Node]]:
    """Return a graph of what is computed from numbers alone, without its output, and where each node is in it.

    Args:
        nodes: Those of the whole rule.
        count: How many of its inputs are numbers; they come first.
    """
    graph = Graph()
    copies: dict[Node, Node] = {}
    for node in nodes[:count]:
        copies[node] = graph.node_copy(node)
    for node in nodes[count:]:
        inputs = node.all_input_nodes
        alone = bool(inputs) and all(x in copies for x in inputs)
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
        known = name in ON_NUMBERS and (not node.kwargs or name == "_to_copy")
        if alone and known:
            arguments = torch.fx.node.map_arg(node.args, copies.__getitem__)
            copies[node] = graph.call_function(ON_NUMBERS[name], arguments)
    return graph, copies


def of_tensors(nodes: Sequence[Node], crossing: Sequence[Node]) -> tuple[Graph, dict[Node, Node]]:
    """Return a graph of what is done to tensors, without its output, and where each node is in it.

    Args:
        nodes: Those of the whole rule that are not computed from numbers alone.
        crossing: Numbers that they need, which are inputs after the tensors.
    """
    graph = Graph()
    copies = {node: graph.node_copy(node) for node in nodes if node.op == "placeholder"}
    copies |= {node: graph.placeholder(node.name) for node in crossing}
    for node in crossing:
        if node.meta["val"].dtype is torch.bool:  # which comes as 0 or 1
            copies[node] = graph.call_function(operator.ne, (copies[node], 0))
    for node in nodes:
        if node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    return graph, copies


def initial(rule: type[Rule], p: Tensor, h: Hyper) -> State:
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
        raise Unsplit("its state changes its form")
    return {**after, **state}
