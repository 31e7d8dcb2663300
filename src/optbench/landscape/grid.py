"""The loss of a model at many points of a plane, at once and exactly."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from optbench.checks import UserError
from optbench.landscape import columns
from optbench.landscape.arrays import Floats
from optbench.landscape.plane import Plane
from optbench.landscape.store import Store, key
from optbench.landscape.task import Loss, Task

MEMORY = 2**29
"""Bytes that an evaluation may take for its activations, if nothing else is asked."""
CACHED = 2**19
"""Activations at once: few enough to stay in the processor's cache."""
SPLIT = 1e-4
"""Relative difference up to which the mean of two halves' losses is that of the whole."""
NORMS = (nn.LayerNorm, nn.BatchNorm1d)
"""Layers whose output, for fixed inputs, is a stretched and moved one that knows no parameter."""
AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose output, for fixed inputs, is affine in their parameters."""


def loss_grid(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    plane: Plane,
    alphas: Floats,
    betas: Floats,
    loss: Loss = F.cross_entropy,
    *,
    memory: int = MEMORY,
    cache: Path | None = None,
) -> Floats:
    """Return the loss of a model at all points of a grid on a plane, shape (len(betas), len(alphas)).

    Every value is that of the model itself with the weights of its point, but for rounding. Batch normalization stands
    as it does in the model: in training mode it takes mean and variance from `x`, else its running ones. Dropout is
    off. The model is left as it is.

    Args:
        model: Any module; its own weights do not matter.
        x: Inputs (examples, ...).
        y: Targets (examples, ...).
        plane: A plane through the model's weight space.
        alphas: Coordinates along the plane's first direction.
        betas: Coordinates along the second.
        loss: From outputs and targets to a mean over the examples; `optbench.landscape.accuracy` will do too.
        memory: Bytes that activations may take.
        cache: A folder where a finished grid is kept by all that it depends on, and an interrupted one to go on with.

    Raises:
        UserError: The plane is not of this model's weights.
    """
    coordinates = np.stack(np.meshgrid(alphas, betas), -1).reshape(-1, 2)
    found = losses(Task(model, loss, x, y), plane, coordinates, memory, cache)
    return found.reshape(len(betas), len(alphas))


def losses(task: Task, plane: Plane, coordinates: Floats, memory: int = MEMORY, cache: Path | None = None) -> Floats:
    """Return the loss at coordinates (n, 2) of a plane, shape (n,); arguments as of `loss_grid`."""
    if plane.origin.shape != (task.parameters,):
        raise UserError(f"the plane is of {plane.origin.size} parameters, and the model has {task.parameters}")
    if not len(coordinates):
        return np.zeros(0)
    store = Store(cache, key(task, plane, coordinates)) if cache else None
    if store and store.values is not None:
        return store.values
    surface = PlaneLoss(task.frozen(), plane, memory)
    values = surface.losses(np.asarray(coordinates, np.float64), store)
    if store:
        store.finish(values)
    return values


Named = tuple[str, nn.Module]
"""A layer with its name in the model."""


@dataclass(frozen=True)
class Parts:
    """Layers in a row, by what the points of a plane have in common.

    Attributes:
        ready: Those before the first weights, which are alike at all points.
        norm: A normalization, whose stretching the head takes over; None where there is none.
        head: The first layer with weights; None where it is not affine in them.
        rest: All others.
    """

    ready: nn.Sequential
    norm: Named | None
    head: Named | None
    rest: list[Named]


def apart(layers: list[Named], flat: bool) -> Parts:
    """Return the parts of layers in a row.

    Args:
        layers: Those of a model, in order.
        flat: Whether an example is a vector.
    """
    first = next((i for i, (_, layer) in enumerate(layers) if list(layer.parameters())), None)
    if first is None:
        return Parts(nn.Sequential(), None, None, layers)
    kinds = [type(layer) for _, layer in layers[first : first + 2]]
    normalized = flat and kinds[0] in NORMS and kinds[1:] == [nn.Linear]
    head = first + 1 if normalized else first
    if type(layers[head][1]) not in AFFINE:
        return Parts(nn.Sequential(), None, None, layers)
    ready = nn.Sequential(*(layer for _, layer in layers[:first]))
    norm = layers[first] if normalized else None
    return Parts(ready, norm, layers[head], layers[head + 1 :])


class PlaneLoss:
    """A model's loss over a plane: the parts that all points share are worked out once.

    What a linear layer or a convolution makes of fixed inputs is affine in its weights: if it comes first, its outputs
    at all points follow from those at three; behind a normalization from nine products.

    Args:
        task: The model, frozen, and its examples.
        plane: The plane.
        memory: Bytes that activations may take.
    """

    def __init__(self, task: Task, plane: Plane, memory: int) -> None:
        self.task = task
        self.corners = [task.named(v) for v in (plane.origin, *plane.basis)]
        self.dtype = next(task.model.parameters()).dtype
        parts = apart(list(columns.leaves(task.model)), task.x.dim() == 2)
        self.ready = parts.ready
        self.norm = parts.norm
        self.head = parts.head
        self.rest = parts.rest
        self.weights = self._stacked(parts)
        wide, flat = self._probe()
        self.fast = flat and all(columns.takes(layer) for _, layer in self.rest)
        self.blocks = self._blocks(wide, memory)
        self.at_once = self._points_at_once(wide, memory) if self.fast else 1

    def _stacked(self, parts: "Parts") -> dict[str, Tensor]:
        """Return the weights that a point needs of its own, at the three corners, shape (3, ...) each."""
        taken = tuple(_prefix(part[0]) for part in (parts.norm, parts.head) if part is not None)
        used = [name for name in self.corners[0] if not name.startswith(taken)]
        return {name: torch.stack([corner[name] for corner in self.corners]) for name in used}

    def _points_at_once(self, wide: int, memory: int) -> int:
        """Return for how many points activations and weights stay in the cache, and in the memory."""
        room = min(CACHED, memory // (16 * self.task.x.element_size()))
        activations: int = self.blocks[0].stop * wide
        weights = sum(w[0].numel() for w in self.weights.values())
        return min(64, max(1, room // max(1, activations, weights)))

    @torch.no_grad()
    def losses(self, coordinates: Floats, store: Store | None = None) -> Floats:
        """Return the losses at coordinates (n, 2), shape (n,); with a store, go on where it ends."""
        ones = np.ones((len(coordinates), 1))
        points = torch.from_numpy(np.concatenate([ones, coordinates], 1)).to(self.task.x.device, self.dtype)
        chunks = [slice(i, i + self.at_once) for i in range(0, len(points), self.at_once)]
        sums = np.zeros(len(points)) if store is None else store.sums(len(points))
        done = 0 if store is None else store.done
        try:
            for b, chunk, evaluate in self._work(chunks, done):
                block = self.blocks[b]
                values = evaluate(points[chunk]).double().cpu().numpy()
                sums[chunk] += values * ((block.stop - block.start) / len(self.task.x))
                done += 1
                if store:
                    store.keep(sums, done)
        except BaseException:
            if store:
                store.keep(sums, done, now=True)
            raise
        return sums

    def _work(self, chunks: Sequence[slice], done: int) -> Iterator[tuple[int, slice, Callable[[Tensor], Tensor]]]:
        """Yield each block of examples with each chunk of points, and what evaluates it, the first ones left out."""
        for b, block in enumerate(self.blocks):
            todo = chunks[max(0, done - b * len(chunks)) :]
            if todo:
                evaluate = self._prepare(self.task.x[block], self.task.y[block])
                yield from ((b, chunk, evaluate) for chunk in todo)

    def _prepare(self, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the function from points (n, 3) to losses (n,) on some examples."""
        inputs = None if self.head is None else self._inputs(self.ready(x), self.head)
        return self._by_columns(x, y, inputs) if self.fast else self._by_model(x, y, inputs)

    def _inputs(self, x: Tensor, head: tuple[str, nn.Module]) -> Tensor:
        """Return what the first layers make of inputs at the corners; `_spread` says how a point is made of these."""
        own = [_own(corner, *head) for corner in self.corners]
        if self.norm is None:
            return torch.stack([functional_call(head[1], weights, (x,)) for weights in own])
        stretches = [_own(corner, *self.norm) for corner in self.corners]
        plain = {key: torch.full_like(value, float(key == "weight")) for key, value in stretches[0].items()}
        x = functional_call(self.norm[1], plain, (x,))
        products = []
        for weights in own:
            for j, stretch in enumerate(stretches):
                moved = weights["weight"] @ stretch["bias"] if "bias" in stretch else torch.zeros(()).to(x)
                bias = moved + weights["bias"] if j == 0 and "bias" in weights else moved
                products.append(x @ (weights["weight"] * stretch["weight"]).mT + bias)
        return torch.stack(products)

    def _spread(self, c: Tensor) -> Tensor:
        """Return the shares of `_inputs` in points (n, 3): those of a linear layer, or of its product with a norm."""
        return c if self.norm is None else (c.unsqueeze(2) * c.unsqueeze(1)).flatten(1)

    def _by_columns(self, x: Tensor, y: Tensor, inputs: Tensor | None) -> Callable[[Tensor], Tensor]:
        shared = x.mT[None] if inputs is None else inputs.mT.contiguous()

        def evaluate(c: Tensor) -> Tensor:
            h = shared if inputs is None else (self._spread(c) @ shared.flatten(1)).view(len(c), *shared.shape[1:])
            weights = self._weights(c)
            output = columns.forward(iter(self.rest), weights, h)
            return columns.scores(self.task.loss, output.expand(len(c), *output.shape[1:]), y)

        return evaluate

    def _by_model(self, x: Tensor, y: Tensor, inputs: Tensor | None) -> Callable[[Tensor], Tensor]:
        if inputs is None:
            model = self.task.model
            rename = {name: name for name in self.weights}
        else:
            model = nn.Sequential(*(layer for _, layer in self.rest))
            places = {name: str(i) for i, (name, _) in enumerate(self.rest)}
            rename = {full: _moved(full, places) for full in self.weights}

        def evaluate(c: Tensor) -> Tensor:
            values = []
            for point in c:
                weights = {rename[name]: w for name, w in self._weights(point).items()}
                h = x if inputs is None else torch.tensordot(self._spread(point[None])[0], inputs, 1)
                values.append(self.task.loss(functional_call(model, weights, (h,)), y))
            return torch.stack(values)

        return evaluate

    def _weights(self, c: Tensor) -> dict[str, Tensor]:
        return {name: torch.tensordot(c, w, 1) for name, w in self.weights.items()}

    @torch.no_grad()
    def _probe(self) -> tuple[int, bool]:
        """Return the numbers that an example takes in the widest layer, and whether all activations are vectors."""
        sizes = [1]
        dimensions = {self.task.x.dim()}
        few = self.task.x[:2]
        shared = [*self.ready, *([self.norm[1]] if self.norm else [])]

        def seen(module: nn.Module, given: object, output: object) -> None:
            inner = not list(module.children()) and all(module is not layer for layer in shared)
            if isinstance(output, Tensor) and inner:
                sizes.append(math.ceil(output.numel() / len(few)))
                dimensions.add(output.dim())

        hooks = [module.register_forward_hook(seen) for module in self.task.model.modules()]
        try:
            functional_call(self.task.model, self.corners[0], (few,))
        except ValueError:  # batch normalization of a single example; the evaluation itself says so
            pass
        finally:
            for hook in hooks:
                hook.remove()
        wide = max(sizes)
        inputs = math.ceil(self.task.x.numel() / len(self.task.x))
        return (wide if self.head is not None else max(wide, inputs)), dimensions == {2}

    def _blocks(self, wide: int, memory: int) -> list[slice]:
        """Cut the examples where a part of them would do: to stay in the cache, and in the memory."""
        examples = len(self.task.x)
        fit = memory // (16 * self.task.x.element_size() * wide)
        size = min(max(CACHED // wide, 1024), max(1, fit))
        count = math.ceil(examples / size)
        if count < 2 or not self._separable():
            return [slice(0, examples)]
        edges = np.linspace(0, examples, count + 1).round().astype(int).tolist()
        return [slice(low, high) for low, high in itertools.pairwise(edges)]

    @torch.no_grad()
    def _separable(self) -> bool:
        """Return whether the loss is a mean over examples that know nothing of each other; two points tell."""
        if self.task.statistics == "of the examples":
            return False
        few = min(64, len(self.task.x))
        half = min(64, len(self.task.x)) // 3
        at: Mapping[str, Tensor] = {name: sum(c[name] for c in self.corners) for name in self.corners[0]}  # type: ignore[misc]
        for weights in (self.corners[0], at):

            def mean(rows: slice, weights: Mapping[str, Tensor] = weights) -> float:
                x = self.task.x[rows]
                y = self.task.y[rows]
                return float(self.task.loss(functional_call(self.task.model, dict(weights), (x,)), y))

            whole = mean(slice(0, few))
            parts = (half * mean(slice(0, half)) + (few - half) * mean(slice(half, few))) / few
            if math.isfinite(whole) and abs(whole - parts) > SPLIT * max(abs(whole), 1e-6):
                return False
        return True


def _prefix(name: str) -> str:
    return f"{name}." if name else ""


def _own(corner: Mapping[str, Tensor], name: str, layer: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a layer at a corner."""
    return {key: corner[_prefix(name) + key] for key, _ in layer.named_parameters()}


def _moved(full: str, places: Mapping[str, str]) -> str:
    """Return a parameter's name where its layer has another place."""
    layer = next(name for name in places if full.startswith(f"{name}."))
    return f"{places[layer]}.{full.removeprefix(f'{layer}.')}"
