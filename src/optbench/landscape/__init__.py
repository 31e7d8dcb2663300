"""The loss on a plane through weight space: trajectories -> plane -> grid, barriers and curvature."""

from optbench.landscape.grid import loss_grid
from optbench.landscape.plane import KINDS, Plane
from optbench.landscape.segment import barrier, interpolation
from optbench.landscape.task import accuracy

__all__ = ["KINDS", "Plane", "accuracy", "barrier", "interpolation", "loss_grid"]
