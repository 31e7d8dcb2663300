"""Paths that authors' own code took, where it is in no package: the numbers were taken down once, with the commit."""

import json
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from optbench import optimizers
from optbench.certificates.case import Case, RateFactors, changing, constant
from optbench.certificates.problems import Problem
from optbench.certificates.traces import hyper

RATES = {"constant": constant, "changing": changing}


def cases() -> list[Case]:
    """Return a comparison with each run of such code."""
    return [case(run) for run in json.loads((resources.files(__package__) / "authors.json").read_text())]


def case(run: dict[str, Any]) -> Case:
    """Return the comparison with one run: its hyperparameters, and its path on each problem."""

    def path(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        return torch.tensor(run["paths"][problem.name], dtype=torch.float64)

    cls = optimizers.CLASSES[run["optimizer"]]
    paths = run["paths"]
    steps = len(next(iter(paths.values()))) - 1
    reference = f"{run['reference']} at {run['commit'][:7]}"
    return Case(cls, hyper(run), reference, path, tuple(paths), steps, RATES[run["rate"]])
