"""Losses on a plane of weight space, beside torch's vmap and JAX's jitted map, which know no trick."""

import importlib.util
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from optbench.landscape import Plane, loss_grid
from optbench.landscape.arrays import Floats
from optbench.models import mlp
from optbench.speed.race import race
from optbench.speed.shell import optbench
from optbench.speed.table import Row, row


@dataclass(frozen=True)
class GridSize:
    """A grid to evaluate.

    Attributes:
        what: What stands in the table.
        hidden: Width of the hidden layer.
        images: Examples.
        side: Points along each side.
        normalized: Whether a layer normalization comes first, which the weights of the next one take.
        target: Aim of our time by JAX's.
    """

    what: str
    hidden: int
    images: int
    side: int
    normalized: bool
    target: float


CASES = (
    GridSize("784-20-10, 1,000 images, 50 x 50", 20, 1000, 50, False, 1 / 3),
    GridSize("784-128-10, 10,000 images, 8 x 8", 128, 10_000, 8, False, 1 / 2),
    GridSize("normalized 784-20-10, 1,000 images, 20 x 20", 20, 1000, 20, True, 1.1),
)
SHORT = (GridSize("784-20-10, 100 images, 5 x 5", 20, 100, 5, False, math.nan),)


def grids(rounds: int = 7, short: bool = False) -> Iterator[Row]:
    """Yield grids of networks in one thread, and `study=landscape` with all that it draws."""
    for case in SHORT if short else CASES:
        yield from compare(case, rounds)
    if not short:
        times = race({"study": study}, min(rounds, 3))
        yield row("study=landscape, with its figures", times["study"].median, "limit", 30, 1)


def compare(case: GridSize, rounds: int) -> Iterator[Row]:
    """Yield what a grid takes beside the others, as far as they are there."""
    torch.manual_seed(0)
    network = mlp(784, 10, hidden=(case.hidden,))
    model = nn.Sequential(nn.LayerNorm(784), *network) if case.normalized else network
    x = torch.randn(case.images, 784)
    y = torch.randint(10, (case.images,))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    plane = Plane.fit(weights[None], kind="random", model=model)
    axis = np.linspace(-1, 1, case.side)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    contenders: dict[str, Callable[[], object]] = {
        "ours": partial(loss_grid, model, x, y, plane, axis, axis),
        "torch's vmap": partial(by_vmap, model, x, y, plane, points),
    }
    if importlib.util.find_spec("jax"):
        contenders["JAX's jitted map"] = in_jax(case, x, y, plane, points)
    times = race(contenders, rounds)
    for other in list(contenders)[1:]:
        target = case.target if other.startswith("JAX") else math.nan
        yield row(case.what, times["ours"].median, other, times[other].median, target)


@torch.no_grad()
def by_vmap(model: nn.Module, x: Tensor, y: Tensor, plane: Plane, points: Floats) -> Tensor:
    """Return the losses by `torch.func.vmap` over the points, without any trick."""
    shapes = {name: p.shape for name, p in model.named_parameters()}
    origin, basis = (torch.from_numpy(part).float() for part in (plane.origin, plane.basis))

    def at(c: Tensor) -> Tensor:
        flat = torch.split(origin + c @ basis, [shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), flat, strict=True)}
        return F.cross_entropy(functional_call(model, named, (x,)), y)

    return vmap(at, chunk_size=16)(torch.from_numpy(points).float())


def in_jax(case: GridSize, x: Tensor, y: Tensor, plane: Plane, points: Floats) -> Callable[[], Any]:
    """Return a function that evaluates the losses by JAX's compiled map over the points."""
    import jax
    from jax import numpy as jnp

    images, labels, where = (jnp.asarray(part) for part in (x.numpy(), y.numpy(), points.astype(np.float32)))
    origin, basis = (jnp.asarray(part.astype(np.float32)) for part in (plane.origin, plane.basis))
    first = [(784,), (784,)] if case.normalized else []
    shapes = [*first, (case.hidden, 784), (case.hidden,), (10, case.hidden), (10,)]
    edges = np.cumsum([math.prod(shape) for shape in shapes])[:-1]

    def at(c: Any) -> Any:
        parts = jnp.split(origin + c @ basis, edges)
        named = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        h = images
        if case.normalized:
            scale, shift, *named = named
            centred = h - h.mean(1, keepdims=True)
            h = centred / jnp.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * scale + shift
        w, b, v, a = named
        logits = jnp.maximum(h @ w.T + b, 0) @ v.T + a
        chosen = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(logits, axis=1) - chosen).mean()

    run = jax.jit(lambda c: jax.lax.map(at, c))
    return lambda: run(where).block_until_ready()


def study() -> float:
    """Return the seconds of `study=landscape` with its figures."""
    with tempfile.TemporaryDirectory() as root:
        return optbench("train", "-m", "study=landscape", f"hydra.sweep.dir={root}")
