"""The training step compiled whole, by public means: forward, backward and update in one function.

It serves stacks, and a run alone as a stack of one. What depends on the step's number or on a rate is computed outside
and given as tensors, so that nothing compiles anew when one changes; torch keeps what it compiled on disk.
"""

import copy
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.utils._pytree import tree_map

from optbench.optimizers.base import Optimizer, State
from optbench.optimizers.halves import Halves, Unsplit, initial, split
from optbench.training.network import Network, forward

Loss = Callable[..., Tensor]
Tensors = dict[str, Tensor]
Step = Callable[..., tuple[Tensor, Tensors]]

CACHE = 10 * 2**20
"""Bytes of weights and state that are trained together: those of more replicas would not stay in the cache."""


@dataclass(frozen=True)
class Plan:
    """What a step is compiled for.

    Attributes:
        layers: Those of one network, without memory.
        halves: The rule's halves by parameter.
        places: Where each parameter finds its numbers among those of all.
        loss: Function of outputs, targets and `reduction`.
    """

    layers: Sequence[nn.Module]
    halves: Mapping[str, Halves]
    places: Mapping[str, slice]
    loss: Loss

    def step(self, x: Tensor, y: Tensor, numbers: Tensor, p: Tensors, s: dict[str, Tensors], b: Tensors) -> Any:
        """Take a step in place, and return the losses (replicas,) before it, and the gradients.

        Args:
            x: Inputs (batch, features), shared by all replicas.
            y: Targets (batch, ...).
            numbers: What the rule needs of its numbers, shape (numbers, replicas).
            p: Parameters by name, shape (replicas, ...).
            s: The state's tensors by parameter and name, shape (replicas, ...).
            b: Buffers by name, shape (replicas, ...).
        """
        gradients, (_, losses) = grad_and_value(self.objective, has_aux=True)(p, b, x, y)
        for name, halves in self.halves.items():
            state = s[name]
            old = [state[key] for key in halves.form.vectors]
            move = vmap(halves.tensors) if halves.form.rule.whole_tensor else halves.tensors
            scalars = list(numbers[self.places[name]])
            if not halves.form.rule.whole_tensor:
                scalars = [scalar.view(-1, *[1] * (p[name].dim() - 1)) for scalar in scalars]
            step, *new = move(gradients[name], p[name], *old, *scalars)
            p[name].sub_(step)
            for before, after in zip(old, new, strict=True):
                before.copy_(after)
        return losses, gradients

    def objective(self, p: Tensors, b: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of all losses, whose gradients are those of each, and the losses."""
        output = forward(self.layers, p | b, x[None])
        target = y.movedim(0, -1)
        target = target.expand(len(output), *target.shape)
        losses = self.loss(output, target, reduction="none").flatten(1).mean(1)
        return losses.sum(), losses


COMPILED: dict[str, Step] = {}
"""The steps that this process has compiled, by what they are compiled for: runs that follow one another share them."""


def compiled(plan: Plan, key: str) -> Step:
    """Return the compiled step of a plan.

    Args:
        plan: The plan.
        key: What tells plans apart.
    """
    if key not in COMPILED:
        plain = Plan.step
        # Torch counts by code object how often it has compiled, and gives up at the eighth time.
        own = types.FunctionType(plain.__code__.replace(), plain.__globals__, plain.__name__)
        COMPILED[key] = torch.compile(types.MethodType(own, plan), fullgraph=True, dynamic=False)
    return COMPILED[key]


class Part:
    """Replicas that share their mini-batches, and stay in the cache while they take many steps.

    Args:
        rows: Which they are.
        network: The stack of all.
        optimizers: Those of the rows.
        loss: Function of outputs, targets and `reduction`.
        example: A mini-batch, x (batch, features) and y (batch, ...).

    Attributes:
        gradients: Those of the last step, by parameter, shape (replicas, ...).
        tensors: The state's tensors by parameter and name, shape (replicas, ...).

    Raises:
        Unsplit: The rule does not let it be compiled.
    """

    def __init__(
        self,
        rows: slice,
        network: Network,
        optimizers: Sequence[Optimizer],
        loss: Loss,
        example: tuple[Tensor, Tensor],
    ) -> None:
        self.rows, self.hyper = rows, [optimizer.param_groups[0] for optimizer in optimizers]
        self.params = {name: leaf.detach()[rows] for name, leaf in network.leaves.items()}
        self.buffers = {name: b[rows] for name, b in network.tensors.items() if name not in self.params}
        self.gradients: Tensors = {}
        self.tensors: dict[str, Tensors] = {}
        self.numbers: dict[str, Sequence[Tensor]] = {}
        halves: dict[str, Halves] = {}
        for i, (name, p) in enumerate(self.params.items()):
            states = [begun(optimizer, i) for optimizer in optimizers]
            halves[name] = split(type(optimizers[0]), self.hyper, p[0], states[0])
            form = halves[name].form
            self.tensors[name] = {key: torch.stack([state[key] for state in states]) for key in form.vectors}
            own = [torch.tensor([float(state[key]) for state in states], dtype=torch.float64) for key in form.numbers]
            self.numbers.setdefault(halves[name].source, own)
        self.sources = {each.source: each for each in halves.values()}
        places, end = {}, 0
        for source, each in self.sources.items():
            places[source] = slice(end, end + each.needs)
            end += each.needs
        layers = [copy.deepcopy(layer).to("meta") for layer in network.layers]
        self.halves = halves
        self.plan = Plan(layers, halves, {name: places[each.source] for name, each in halves.items()}, loss)
        shapes = [(name, tuple(p.shape), p.dtype, p.device) for name, p in self.params.items()]
        batch = [(tuple(tensor.shape), tensor.dtype) for tensor in example]
        text = [each.tensors.code for each in halves.values()]
        self.compiled = compiled(self.plan, repr((layers, shapes, batch, text, loss)))
        self.size = example[0].shape

    def advance(self, x: Tensor, y: Tensor, done: int, lrs: Sequence[Sequence[float]]) -> Tensor:
        """Take a step for each mini-batch and return the losses before it, shape (steps, replicas).

        Args:
            x: Inputs (steps, batch, features).
            y: Targets (steps, batch, ...).
            done: Steps taken before.
            lrs: Learning rates by replica and step.
        """
        step = self.compiled if x.shape[1:] == self.size else self.plan.step
        losses = []
        for inputs, targets, numbers in zip(x, y, self.unroll(done, len(x), lrs), strict=True):
            loss, self.gradients = step(inputs, targets, numbers, self.params, self.tensors, self.buffers)
            losses.append(loss)
        return torch.stack(losses)

    def unroll(self, done: int, steps: int, lrs: Sequence[Sequence[float]]) -> Tensor:
        """Return what the rule needs of its numbers in the next steps, shape (steps, numbers, replicas).

        Args:
            done: Steps taken before.
            steps: Steps to take.
            lrs: Learning rates by replica and step.
        """
        found = []
        for source, halves in self.sources.items():
            names = halves.form.changing
            h = {
                name: torch.tensor([[float(own[name])] for own in self.hyper], dtype=torch.float64).mT.expand(steps, -1)
                for name in names
            }
            if "lr" in h:
                h["lr"] = torch.tensor(lrs, dtype=torch.float64).mT
            values, self.numbers[source] = halves.unroll(done, steps, h, self.numbers[source])
            found.append(values)
        p = next(iter(self.params.values()))
        return torch.cat(found, 1).to(p.device, p.dtype)

    def state_of(self, i: int) -> dict[str, State]:
        """Return the state of one of its replicas by parameter; its tensors stay live."""
        state: dict[str, State] = {}
        for name, halves in self.halves.items():
            numbers = dict(zip(halves.form.numbers, self.numbers[halves.source], strict=True))
            state[name] = {key: float(value[i]) for key, value in numbers.items()}
            state[name] |= {key: value[i] for key, value in self.tensors[name].items()}
        return state

    def warm(self, example: tuple[Tensor, Tensor]) -> None:
        """Compile, with a step that moves copies."""
        copies = [tree_map(Tensor.clone, own) for own in (self.params, self.tensors, self.buffers)]
        needs = sum(halves.needs for halves in self.sources.values())
        p = next(iter(self.params.values()))
        self.compiled(*example, p.new_zeros(needs, len(p)), *copies)


def begun(optimizer: Optimizer, i: int) -> State:
    """Return the state of an optimizer's parameter, as it was loaded or before the first step.

    Args:
        optimizer: The optimizer.
        i: The parameter's place.
    """
    group = optimizer.param_groups[0]
    p = group["params"][i]
    return dict(optimizer.state.get(p) or initial(type(optimizer), p.detach(), group))


class Compiled:
    """Networks and their optimizers as one, stepped by a compiled function; one network alone is a stack of one.

    Args:
        models: The networks, of one architecture; those that share their mini-batches follow one another.
        optimizers: The optimizer of each, of one class; they serve for their numbers and never step.
        loss: Function of outputs, targets and `reduction`.
        orders: How many different mini-batches there are at a step.
        example: A mini-batch of the size that most have, x (batch, features) and y (batch, ...).

    Attributes:
        seconds: What compiling took.

    Raises:
        Unsplit: The step cannot be compiled whole, because of the rule or of the compiler.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        loss: Loss,
        orders: int,
        example: tuple[Tensor, Tensor],
    ) -> None:
        self.network, self.loss = Network(models, apart=True), loss
        self.parts: list[list[Part]] = []
        share = len(models) // orders
        size = together(models[0], share)
        began = time.perf_counter()
        for start in range(0, len(models), share):
            cuts = [slice(i, min(i + size, start + share)) for i in range(start, start + share, size)]
            self.parts.append([Part(rows, self.network, optimizers[rows], loss, example) for rows in cuts])
        self.steps = int(next(iter(optimizers[0].state.values()), {}).get("step", 0))
        try:
            for part in {id(part.compiled): part for parts in self.parts for part in parts}.values():
                part.warm(example)
        except Exception as error:  # of a compiler's making
            raise Unsplit(f"torch.compile: {' '.join(str(error).split())[:200]}") from error
        self.seconds = time.perf_counter() - began

    def advance(self, x: Tensor, y: Tensor, lrs: Sequence[Sequence[float]]) -> Tensor:
        """Take a step for each mini-batch and return the losses before it, shape (steps, replicas).

        Args:
            x: Inputs (steps, orders, batch, features).
            y: Targets (steps, orders, batch, ...).
            lrs: Learning rates by replica and step.
        """
        losses = [
            part.advance(x[:, i], y[:, i], self.steps, lrs[part.rows])
            for i, parts in enumerate(self.parts)
            for part in parts
        ]
        self.steps += len(x)
        return torch.cat(losses, 1)

    def gradient_of(self, i: int) -> Tensors:
        """Return the last gradients of a replica by parameter; none before the first step."""
        part = self._part(i)
        return {name: gradient[i - part.rows.start] for name, gradient in part.gradients.items()}

    def state_of(self, i: int) -> dict[str, State]:
        """Return the state of a replica by parameter, whose tensors stay live; none before the first step."""
        part = self._part(i)
        if not self.steps:
            return {}
        return {name: {"step": self.steps, **own} for name, own in part.state_of(i - part.rows.start).items()}

    def _part(self, i: int) -> Part:
        return next(part for parts in self.parts for part in parts if part.rows.start <= i < part.rows.stop)


def together(model: nn.Module, share: int) -> int:
    """Return how many of the replicas that share their mini-batches stay in the cache, a part of them if one fits.

    Args:
        model: One of the networks.
        share: How many share their mini-batches.
    """
    if next(model.parameters()).device.type != "cpu":
        return share
    each = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    most = max(1, CACHE // each)
    parts = -(-share // most)
    even = [size for size in range(1, most + 1) if share % size == 0]
    rough = -(-share // parts)
    return max(even) if 2 * max(even) > rough else rough
