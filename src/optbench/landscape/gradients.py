"""How large the gradient is in each layer along a training: whether it vanishes or explodes on its way back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils import vector_to_parameters

from optbench.landscape.arrays import Floats, evenly
from optbench.landscape.panels import LandscapeRequest, NamedRun, read
from optbench.landscape.task import task

POINTS = 40
"""Recorded steps that are looked at, evenly among all."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """Norms of the gradient by layer and step.

    Attributes:
        name: Of the run.
        steps: Shape (steps,).
        layers: Names of the weights, from the input to the output; biases and normalizations are not among them.
        norms: 2-norms of the loss's gradient with respect to them, shape (steps, layers).
    """

    name: str
    steps: Floats
    layers: tuple[str, ...]
    norms: Floats


def gradients(run: NamedRun, request: LandscapeRequest) -> Gradients:
    """Return the norms along a run's trajectory, of the loss on the first examples of a split.

    Batch normalization takes its statistics from the examples.

    Raises:
        UserError: The run kept no trajectory, or its config is not to be made.
    """
    made = task(run.run.config, request.examples, request.split, folders=request.folders).frozen()
    walk = read(run, run.name, made.parameters, 1)
    rows = evenly(len(walk.steps), POINTS)
    params = dict(made.model.named_parameters())
    weights = {name: p for name, p in params.items() if p.dim() > 1}
    norms = np.empty((len(rows), len(weights)))
    for i, row in enumerate(rows):
        point = torch.from_numpy(np.array(walk.weights[row]))
        vector_to_parameters(point.to(next(iter(params.values()))), list(params.values()))
        loss = made.loss(made.model(made.x), made.y)
        norms[i] = [float(g.norm()) for g in torch.autograd.grad(loss, list(weights.values()))]
    return Gradients(run.name, walk.steps[rows], tuple(weights), norms)
