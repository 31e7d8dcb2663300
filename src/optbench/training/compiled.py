"""The training step compiled whole, by public means: forward, backward and update in one function.

It serves stacks, and a run alone as a stack of one. What depends on the step's number or on a rate is computed outside
and given as tensors, so that nothing compiles anew when one changes; torch keeps what it compiled on disk.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from optbench.optimizers import compiling
from optbench.optimizers.base import Optimizer, State
from optbench.optimizers.compiling import OPTIONS
from optbench.optimizers.halves import Halves, Numbers, halve, initial
from optbench.training.clip import Clip
from optbench.training.network import Network, forward

Criterion = Callable[..., Tensor]
Tensors = dict[str, Tensor]
Step = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Plan:
    """What a step is compiled for.

    Attributes:
        layers: Those of one network by the start of their names, without memory.
        halves: The rule's halves by parameter.
        places: Where each parameter finds its numbers among those of all.
        loss: Function of outputs, targets and `reduction`.
        clip: Function from gradients (replicas, ...) to clipped ones, if they are to be.
    """

    layers: Mapping[str, nn.Module]
    halves: Mapping[str, Halves]
    places: Mapping[str, slice]
    loss: Criterion
    clip: Clip | None = None

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
        if self.clip:
            gradients = dict(zip(gradients, self.clip(list(gradients.values())), strict=True))
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


SMALL_KERNELS = {"max_fusion_size": 4}
"""What keeps the compiler from fusing so much around the norms of a tensor that it loses a buffer, as in LAMB.

With 8 it loses one where there are layer norms besides.
"""


COMPILED: dict[str, Step] = {}
"""The steps that this process has compiled, by what they are compiled for: runs that follow one another share them."""


class Part:
    """Replicas that share their mini-batches, and stay in the cache while they take many steps.

    Args:
        rows: Which they are.
        network: The stack of all.
        optimizers: Those of the rows.
        loss: Function of outputs, targets and `reduction`.
        example: A mini-batch, x (batch, features) and y (batch, ...).
        clip: How gradients are clipped, if they are.

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
        loss: Criterion,
        example: tuple[Tensor, Tensor],
        clip: Clip | None = None,
    ) -> None:
        self.rows = rows
        self.hyper = [optimizer.param_groups[0] for optimizer in optimizers]
        self.params = {name: leaf.detach()[rows] for name, leaf in network.leaves.items()}
        self.buffers = {name: b[rows] for name, b in network.tensors.items() if name not in self.params}
        self.gradients: Tensors = {}
        self.tensors: dict[str, Tensors] = {}
        self.numbers: dict[str, Numbers] = {}
        self.halves: dict[str, Halves] = {}
        for i, (name, p) in enumerate(self.params.items()):
            states = [begun(optimizer, i) for optimizer in optimizers]
            self.halves[name] = halve(type(optimizers[0]), self.hyper, p[0], states[0])
            self._take_up(name, states)
        self.sources = {halves.source: halves for halves in self.halves.values()}
        layers = {name: copy.deepcopy(layer).to("meta") for name, layer in network.layers.items()}
        self.plan = Plan(layers, self.halves, self._places(), loss, clip)
        self.memory, self.spec = tree_flatten((self.params, self.tensors, self.buffers))
        self.size = example[0].shape
        self.compiled = self._compiled(example)

    def _take_up(self, name: str, states: Sequence[State]) -> None:
        """Stack the states that the replicas have of a parameter."""
        form = self.halves[name].form
        device = self.params[name].device
        self.tensors[name] = {key: torch.stack([s[key] for s in states]).to(device) for key in form.vectors}
        numbers = [np.array([float(state[key]) for state in states]) for key in form.numbers]
        self.numbers.setdefault(self.halves[name].source, numbers)

    def _places(self) -> dict[str, slice]:
        """Return where each parameter finds its numbers among those of all; parameters of one source share them."""
        places = {}
        end = 0
        for source, halves in self.sources.items():
            places[source] = slice(end, end + halves.needs)
            end += halves.needs
        return {name: places[halves.source] for name, halves in self.halves.items()}

    def step(self, x: Tensor, y: Tensor, numbers: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Take a step as `Plan.step` does, in all memory of replicas like these; return the losses and gradients."""
        losses, gradients = self.plan.step(x, y, numbers, *tree_unflatten(memory, self.spec))
        return losses, *gradients.values()

    def _compiled(self, example: tuple[Tensor, Tensor]) -> Step:
        """Return the step, compiled."""
        key = self._key(example)
        if key not in COMPILED:
            apart = any(halves.form.rule.whole_tensor for halves in self.halves.values())
            options = OPTIONS | SMALL_KERNELS if apart else OPTIONS
            needs = sum(halves.needs for halves in self.sources.values())
            numbers = next(iter(self.params.values())).new_zeros(needs, len(self.hyper))
            COMPILED[key] = compiling.compiled(self.step, *example, numbers, *self.memory, options=options)
        return COMPILED[key]

    def _key(self, example: tuple[Tensor, Tensor]) -> str:
        """Return what tells the compiled step from others."""
        shapes = [(name, tuple(p.shape), p.dtype, p.device) for name, p in self.params.items()]
        batch = [(tuple(tensor.shape), tensor.dtype) for tensor in example]
        text = [(halves.tensors.code, halves.needs) for halves in self.halves.values()]
        return repr((self.plan.layers, shapes, batch, text, self.plan.loss, self.plan.clip))

    def advance(self, x: Tensor, y: Tensor, done: int, lrs: Sequence[Sequence[float]]) -> Tensor:
        """Take a step for each mini-batch and return the losses before it, shape (steps, replicas).

        Args:
            x: Inputs (steps, batch, features).
            y: Targets (steps, batch, ...).
            done: Steps taken before.
            lrs: Learning rates by replica and step.
        """
        step = self.compiled if x.shape[1:] == self.size else self.step
        losses = []
        for inputs, targets, numbers in zip(x, y, self.unroll(done, len(x), lrs), strict=True):
            loss, *gradients = step(inputs, targets, numbers, *self.memory)
            losses.append(loss)
        self.gradients = dict(zip(self.params, gradients, strict=True))
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
            h = {name: np.tile([float(own[name]) for own in self.hyper], (steps, 1)) for name in halves.form.changing}
            if "lr" in h:
                h["lr"] = np.array(lrs).T
            needed, self.numbers[source] = halves.unroll(done, steps, h, self.numbers[source])
            found.append(needed)
        p = next(iter(self.params.values()))
        return torch.from_numpy(np.concatenate(found, 1)).to(p.device, p.dtype)

    def state_of(self, i: int) -> dict[str, State]:
        """Return the state of one of its replicas by parameter; its tensors stay live."""
        state: dict[str, State] = {}
        for name, halves in self.halves.items():
            numbers = dict(zip(halves.form.numbers, self.numbers[halves.source], strict=True))
            state[name] = {key: float(value[i]) for key, value in numbers.items()}
            state[name] |= {key: value[i] for key, value in self.tensors[name].items()}
        return state


def begun(optimizer: Optimizer, i: int) -> State:
    """Return the state of an optimizer's parameter, as it was loaded or before the first step.

    Args:
        optimizer: The optimizer.
        i: The parameter's place.
    """
    group = optimizer.param_groups[0]
    p = group["params"][i]
    return dict(optimizer.state.get(p) or initial(type(optimizer), p.detach(), group))
