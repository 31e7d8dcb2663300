"""A rule through torch.compile: one kernel that reads and writes each element once, however many operations it takes.

What a rule computes from numbers alone (bias corrections, momentum schedules) stays in Python: inside the kernel it
would be computed for each element, and a learning rate that changes would compile anew.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils import _pytree as pytree

from optbench.optimizers.arithmetic import scaled, to_tensor

if TYPE_CHECKING:
    from optbench.optimizers.base import Optimizer, State
    from optbench.optimizers.blocks import Block

HINT = 2**16  # elements that a kernel is laid out for; it takes any number of them


@dataclass(frozen=True)
class Rule:
    """What a kernel is compiled for.

    Attributes:
        cls: The optimizer.
        constants: Hyperparameters by name that are part of the rule: words, choices, and what a zero switches off.
        changing: The other hyperparameters.
        vectors: States that have the parameters' shape.
        numbers: States that are numbers.
        dtype: Of parameters, gradients and state.
    """

    cls: "type[Optimizer]"
    constants: tuple[tuple[str, Any], ...]
    changing: tuple[str, ...]
    vectors: tuple[str, ...]
    numbers: tuple[str, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, optimizer: "type[Optimizer]", p: Tensor, state: "State", h: Mapping[str, Any]) -> "Rule":
        """Return the rule for parameters, their state and their group's hyperparameters."""
        h = {k: h[k] for k in optimizer.hyper if k not in optimizer.parts}
        changing = [k for k, v in h.items() if k == "lr" or (isinstance(v, float | int) and v and v is not True)]
        constants = tuple((k, v) for k, v in h.items() if k not in changing)
        names = sorted(state)  # whatever its order: the kernel on disk is found by the text of its graph
        vectors = tuple(k for k in names if isinstance(state[k], Tensor))
        numbers = tuple(k for k in names if k not in vectors)
        return cls(optimizer, constants, tuple(changing), vectors, numbers, p.dtype)

    def move(self, scalars: list[Tensor], tensors: list[Tensor]) -> list[Any]:
        """Take a step in place and return the next numbers.

        Args:
            scalars: The step, the changing hyperparameters and the numbers.
            tensors: Gradient, parameters and vectors.
        """
        g, p, *old = tensors
        t, *values = scalars
        count = len(self.changing)
        h = dict(self.constants) | dict(zip(self.changing, values[:count], strict=True))
        state = dict(zip((*self.vectors, *self.numbers), (*old, *values[count:]), strict=True))
        change, new = self.cls.update(g, p, state, t, h)
        p.sub_(to_tensor(change if self.cls.whole_step else scaled(h["lr"], change)))
        for k, x in zip(self.vectors, old, strict=True):
            x.copy_(new[k])
        return [new[k] for k in self.numbers]

    def trace(self) -> Graph:
        """Return the graph of `move`, for any number of elements."""
        import torch._dynamo

        x, number = torch.zeros(HINT, dtype=self.dtype), torch.ones((), dtype=wide(self.dtype))
        scalars = [number.clone() for _ in range(1 + len(self.changing) + len(self.numbers))]
        tensors = [x.clone() for _ in range(2 + len(self.vectors))]
        module, _ = torch._dynamo.export(self.move, tracing_mode="symbolic")(scalars, tensors)
        return module.graph


class Launch:
    """The compiled rule, bound to the parameters and the state of a block.

    Args:
        cls: The optimizer.
        block: The block, on a CPU and contiguous; the tensors in its state are copied, and the kernel changes these.
        h: The hyperparameters.
    """

    def __init__(self, cls: "type[Optimizer]", block: "Block", h: Mapping[str, Any]) -> None:
        rule = Rule.of(cls, block.params[0], block.state, h)
        self.names, self.values = [k for k, _ in rule.constants], [v for _, v in rule.constants]
        self.params, self.changing, self.numbers = block.params, rule.changing, rule.numbers
        self.compute, self.kernel, self.count = build(rule, torch.get_num_threads())
        for k in rule.vectors:
            block.state[k] = block.state[k].clone(memory_format=torch.contiguous_format)
        vectors = [[part.view(-1) for _, part in block.scatter(block.state[k])] for k in rule.vectors]
        memory = torch.empty(self.count, dtype=wide(rule.dtype))
        self.known, known = memory.numpy(), memory.unbind()
        self.places = [place(p) for p in self.params]
        self.fixed = [
            [p.numel(), *known, p.detach().view(-1), *own] for p, *own in zip(self.params, *vectors, strict=True)
        ]

    def fits(self, h: Mapping[str, Any]) -> bool:
        """Return whether memory and hyperparameters are still those that the kernel is bound to."""
        return [h[k] for k in self.names] == self.values and [place(p) for p in self.params] == self.places

    def __call__(self, state: "State", t: int, h: Mapping[str, Any]) -> None:
        """Move the parameters and their state in place."""
        values = self.compute(t, *[h[k] for k in self.changing], *[state[k] for k in self.numbers])
        self.known[:] = values[: self.count]
        for p, fixed in zip(self.params, self.fixed, strict=True):
            self.kernel([p.grad.contiguous(), *fixed])  # type: ignore[union-attr]  # it sees memory, not shapes
        torch.autograd.graph.increment_version(self.params)
        if self.numbers:
            state.update(zip(self.numbers, values[self.count :], strict=True))


def bind(cls: "type[Optimizer]", block: "Block", h: Mapping[str, Any]) -> Launch | None:
    """Return the compiled rule for a block, or None where that steps without: its state is still to find its form.

    Raises:
        Exception: Whatever torch.compile has to say where it cannot.
    """
    if block.params[0].device.type != "cpu":
        raise ValueError("its parameters are not on a CPU")
    size, dtype = sum(p.numel() for p in block.params), block.params[0].dtype
    tensors = [x for x in block.state.values() if isinstance(x, Tensor)]
    if any(x.numel() != size or x.dtype != dtype for x in tensors):
        raise ValueError("its state is not like its parameters")
    if not all(p.is_contiguous() for p in block.params) or not steady(cls, block.state, block.t, h):
        return None
    vars(block).pop("memory", None)  # which only steps without need
    return Launch(cls, block, h)


def steady(cls: "type[Optimizer]", state: "State", t: int, h: Mapping[str, Any]) -> bool:
    """Return whether a step leaves the names of the state, and which of them are tensors, as they are."""
    x = torch.zeros(2)
    small = {k: x if isinstance(v, Tensor) else v for k, v in state.items()}
    after = cls.update(x, x, small, t, h)[1]
    return {k: isinstance(v, Tensor) for k, v in small.items()} == {k: isinstance(v, Tensor) for k, v in after.items()}


@functools.cache
def build(rule: Rule, threads: int) -> tuple[Callable[..., tuple[Any, ...]], Callable[[list[Any]], Any], int]:
    """Compile a rule; torch keeps the kernel on disk.

    Args:
        rule: What to compile.
        threads: How many the kernel may use.

    Returns:
        A function of the step, the changing hyperparameters and the numbers, which returns what the kernel needs to
        know, and then the next numbers; the kernel, a function of a list: gradient, number of elements, what it needs
        to know as tensors without dimensions, parameters, vectors; and how much it needs to know.
    """
    from torch._functorch import config as functorch
    from torch._inductor import compile_fx, config

    alone, rest, inputs = split(rule.trace())
    made: list[Any] = []

    def inner(*args: Any, **kwargs: Any) -> Any:
        made.append(compile_fx.compile_fx_inner(*args, **kwargs))
        return made[-1]

    settings = config.patch({"size_asserts": False, "cpp.threads": threads})
    with torch.no_grad(), settings, functorch.patch(enable_autograd_cache=False):
        compile_fx.compile_fx(rest, inputs, inner_compile=inner)
    return alone.forward, made[0].current_callable, len(inputs) - 3 - len(rule.vectors)


def split(graph: Graph) -> tuple[GraphModule, GraphModule, list[Any]]:
    """Return what a graph computes from numbers alone, the rest, and example inputs of the rest.

    The rest takes the graph's first vector, the number of elements, the numbers that it needs and the other vectors;
    the first returns these numbers, and then what the graph returns.
    """
    *nodes, output = graph.nodes
    value = {node: node.meta.get("example_value", node.meta.get("val")) for node in nodes}
    scalars, vectors = [x for x in nodes if not value[x].dim()], [x for x in nodes if value[x].dim()]
    crossing = list(dict.fromkeys(x for node in vectors for x in node.all_input_nodes if x in scalars))
    alone, rest = Graph(), Graph()
    left: dict[Node, Node] = {}
    for node in scalars:
        left[node] = alone.node_copy(node, left.__getitem__)
    alone.output(tuple(left.get(x, x) for x in (*crossing, *pytree.tree_leaves(output.args))))
    first, *others = [value[x] for x in vectors if x.op == "placeholder"]
    right = {vectors[0]: rest.node_copy(vectors[0])}
    rest.placeholder("count")
    right |= {x: rest.placeholder(x.name) for x in crossing}
    for node in vectors[1:]:
        right[node] = rest.node_copy(node, right.__getitem__)
    rest.output(())
    inputs = [first, first.shape[0], *([value[scalars[0]]] * len(crossing)), *others]
    return GraphModule({}, alone), GraphModule({}, rest), inputs


def place(x: Tensor) -> tuple[Any, ...]:
    """Return what two tensors with the same elements in the same memory share."""
    return x.data_ptr(), x.shape, x.stride(), x.dtype


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type of a number that meets tensors of a type: at least float32."""
    return torch.promote_types(dtype, torch.float32)
