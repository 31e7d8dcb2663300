"""Traces in float64, computed in plain NumPy from the papers and cross-checked against several packages."""

import json
from functools import partial
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from optbench import optimizers
from optbench.certificates.case import Case, Hyper, RateFactors, constant
from optbench.certificates.problems import Problem

SURFACES = {"elongated_bowl": "S1", "sigmoid_pair": "S2"}


def cases() -> list[Case]:
    """Return a comparison for each trace: 20 steps on both surfaces."""
    traces = json.loads((resources.files(__package__) / "traces.json").read_text())
    return [case(trace) for trace in traces.values()]


def case(trace: dict[str, Any]) -> Case:
    """Return the comparison with one trace."""

    def path(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        return torch.tensor(trace[SURFACES[problem.name]], dtype=torch.float64)

    cls = optimizers.CLASSES[trace["optimizer"]]
    return Case(cls, hyper(trace), "NumPy traces of the papers", path, tuple(SURFACES), 20, constant, theirs=False)


def hyper(trace: dict[str, Any]) -> Hyper:
    """Return the hyperparameters of a trace, with the optimizer inside a wrapper."""
    base = {"base": partial(optimizers.CLASSES[trace["base"]], **trace["base_hyper"])} if "base" in trace else {}
    return {**trace["hyper"], **base}
