"""The ground under a network, by the extreme eigenvalues of its Hessian, along its training."""

from dataclasses import dataclass

import torch

from optbench.checks import UserError
from optbench.landscape.arrays import evenly
from optbench.landscape.curvature import Hessian, extremes
from optbench.landscape.task import task
from optbench.records import Run
from optbench.surfaces.terrain import name_ground


@dataclass(frozen=True)
class Ground:
    """The ground under a network at one step of its training.

    Attributes:
        step: Which step.
        loss: On the examples that the Hessian is of.
        gradient_norm: 2-norm of the gradient.
        lowest: Smallest eigenvalue of the Hessian.
        highest: Largest eigenvalue of the Hessian.
    """

    step: int
    loss: float
    gradient_norm: float
    lowest: float
    highest: float

    @property
    def name(self) -> str:
        """What the ground is by both eigenvalues."""
        return name_ground(torch.tensor([self.lowest, self.highest]))


def along_run(run: Run, points: int = 9, examples: int = 1000) -> list[Ground]:
    """Return the ground at points of a run's trajectory, evenly among those that it kept.

    Args:
        run: A finished run.
        points: How many, the first and the last included.
        examples: Of the training split, the first ones; the loss is their mean.

    Raises:
        UserError: The run kept no trajectory, or its data cannot be had.
    """
    if run.trajectory is None:
        raise UserError(f"{run.directory} kept no trajectory; train it again with trajectory=true")
    steps, weights = run.trajectory
    made = task(run.config, examples)
    found = []
    for i in evenly(len(steps), points):
        hessian = Hessian(made, weights[i])
        low, high = extremes(hessian, next(hessian.starts()))
        found.append(Ground(int(steps[i]), hessian.loss, float(hessian.gradient.norm()), low, high))
    return found
