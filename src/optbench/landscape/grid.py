"""The loss of a model at many points of a plane, at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, replace_all_batch_norm_modules_, vmap

from optbench.configs import CONF, trusted
from optbench.landscape.plane import Array, Plane

EXAMPLES = 1000
CHUNK = 16  # points at once: few enough for their hidden layers to stay in the cache


@dataclass(frozen=True)
class Problem:
    """A model's loss on fixed examples.

    Attributes:
        model: The network; its weights do not matter.
        loss: From outputs and targets to their mean loss.
        x: Inputs (examples, features).
        y: Targets (examples, ...).
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    x: Tensor
    y: Tensor


def problem(config: Mapping[str, Any], examples: int = EXAMPLES, folders: Sequence[Path] = (CONF,)) -> Problem:
    """Build what a run's config trained, on the first examples of its training split.

    Args:
        config: Contents of a record's config.yaml, anybody's.
        examples: How many.
        folders: Folders of configs; only what they name is made, see `configs.trusted`.

    Raises:
        UserError: The data cannot be had, or the config names something else.
    """
    from hydra.utils import instantiate

    config = trusted(config, folders)
    data = instantiate(config["data"])
    data.setup()
    x, y = data.split("train")
    model = instantiate(config["model"])(data.features, data.outputs)
    return Problem(model, data.loss, x[:examples], y[:examples])


@torch.no_grad()
def losses(problem: Problem, plane: Plane, coordinates: Array) -> Array:
    """Return the loss, in float32, at coordinates (n, 2) of a plane, shape (n,).

    A first linear layer is linear in its weights, so its outputs lie in a plane too: three products give those of all
    points. Batch normalization takes its statistics from the examples.
    """
    model = replace_all_batch_norm_modules_(problem.model.eval())
    corners = [_named(model, v) for v in (plane.origin, *plane.basis)]
    inputs, rest = None, model
    if isinstance(model, nn.Sequential) and isinstance(model[0], nn.Linear):
        own = {f"0.{name}": name for name, _ in model[0].named_parameters()}
        firsts = [{name: corner[full] for full, name in own.items()} for corner in corners]
        inputs = torch.stack([functional_call(model[0], first, problem.x) for first in firsts])
        rest = model[1:]
    weights = {name: torch.stack([corner[name] for corner in corners]) for name, _ in rest.named_parameters()}

    def at(c: Tensor) -> Tensor:
        x = problem.x if inputs is None else torch.tensordot(c, inputs, 1)
        output = functional_call(rest, {name: torch.tensordot(c, w, 1) for name, w in weights.items()}, x)
        return problem.loss(output, problem.y)

    points = torch.as_tensor(coordinates, dtype=torch.float32)
    return vmap(at, chunk_size=CHUNK)(torch.cat([torch.ones(len(points), 1), points], 1)).numpy()


def _named(model: nn.Module, weights: Array) -> dict[str, Tensor]:
    """Return flat weights by parameter."""
    shapes = {name: p.shape for name, p in model.named_parameters()}
    flat = torch.split(torch.as_tensor(weights, dtype=torch.float32), [shape.numel() for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), flat, strict=True)}
