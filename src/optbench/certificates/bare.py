"""A class's own `update`, tensor by tensor, without the shell: for what nobody has certified yet, such as your own."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector as vector

from optbench.certificates.case import Case, Hyper, RateFactors, Trajectory
from optbench.certificates.problems import ANY, Problem
from optbench.optimizers import Optimizer
from optbench.optimizers.arithmetic import to_tensor

STEPS = 40


def case(cls: type[Optimizer], config: Hyper) -> Case:
    """Return the comparison of a class, with the hyperparameters that its config gives, with its own update.

    On no problem if the class moves all parameters at once, since there is no update of one tensor then.
    """
    known: Hyper = {"total_steps": STEPS} if "total_steps" in cls.needs else {}
    hyper = known | config
    problems, reference = (ANY, "its own update alone") if cls.by_update() else ((), "none")
    return Case(cls, hyper, reference, path(cls, cls.hyper | hyper), problems, STEPS, independent=False)


def path(cls: type[Optimizer], hyper: Hyper) -> Trajectory:
    """Return the path of a rule by itself."""

    def walk(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        points = [p.detach().clone() for p in problem.params]
        states = [cls.init(p) for p in points]
        walked = [vector(points)]
        for t in range(steps):
            h = hyper | {"lr": hyper["lr"] * rate(t)}
            gradients = torch.autograd.grad(problem.at(vector(points), t), problem.params)
            for i, (p, g) in enumerate(zip(points, gradients, strict=True)):
                direction, states[i] = cls.update(g, p, states[i], t + 1, h)
                points[i] = p - cls.rate(h) * to_tensor(direction)
            iterates: list[Any] = [cls.iterate(p, s, h) for p, s in zip(points, states, strict=True)]
            walked.append(vector(iterates))
        return torch.stack(walked)

    return walk
