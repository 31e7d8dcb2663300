"""What a comparison is, and the certificate that it ends in."""

import importlib.metadata
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_origin

import torch
from torch import Tensor

from optbench.certificates.problems import ANY, PROBLEMS, Problem
from optbench.certificates.reach import Recorder
from optbench.optimizers import Objective, Optimizer

TOLERANCE = 1e-9
"""Largest difference, relative above 1, that rounding may explain after a few dozen steps."""

Hyper = dict[str, Any]
RateFactors = Callable[[int], float]
Trajectory = Callable[[Problem, int, RateFactors], Tensor]
"""From a problem, a number of steps and factors of the learning rate to all parameters after each step."""


def constant(t: int) -> float:
    """Leave the learning rate as it is."""
    return 1.0


def changing(t: int) -> float:
    """Return a factor between 1/4 and 7/4 that changes at each step."""
    return (1 + t % 7) / 4


def walk(problem: Problem, optimizer: Any, steps: int, rate: RateFactors) -> Tensor:
    """Return the path of any optimizer of torch's kind, shape (steps + 1, parameters), the start included."""
    t = 0
    path = [problem.flat()]
    objective = Objective(lambda: problem.loss(t), problem.params)
    turn = {which: getattr(optimizer, which, lambda: None) for which in ("train", "eval")}
    for t in range(steps):
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate(t)
        turn["train"]()
        optimizer.step(objective)
        turn["eval"]()
        path.append(problem.flat())
    return torch.stack(path)


def stepped(factory: Callable[[Any], Any]) -> Trajectory:
    """Return the path of the reference optimizer that a factory makes from the parameters."""

    def path(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # in which some, such as torch's NAdam, keep their own numbers
        try:
            return walk(problem, factory(problem.params), steps, rate)
        finally:
            torch.set_default_dtype(default)

    return path


@dataclass(frozen=True)
class Certificate:
    """How far an optimizer is from a reference.

    Attributes:
        optimizer: Name of the class.
        form: The settings that choose between forms of the rule.
        reference: What it was stepped beside.
        problems: On what.
        difference: The largest of any parameter after any step, relative above 1; None if it was not stepped.
        verdict: `certified`, `differs`, `paper recurrence only` (there is no independent reference) or `not installed`.
    """

    optimizer: str
    form: str
    reference: str
    problems: tuple[str, ...]
    difference: float | None
    verdict: str

    def joined(self, other: "Certificate") -> "Certificate":
        """Return both as one: the worse difference, on the problems of both."""
        worse = max(self, other, key=lambda c: -1.0 if c.difference is None else c.difference)
        return replace(worse, problems=tuple(dict.fromkeys(self.problems + other.problems)))


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        optimizer: The class.
        hyper: Its hyperparameters, but for those that belong to the problem.
        reference: What it is compared with, for readers.
        path: The reference's path; only its end need be given.
        problems: Names of the problems.
        steps: Number of steps.
        rate: Factors of the learning rate.
        independent: Whether the reference is no transcription of ours.
        theirs: Whether the reference is somebody else's code, beside which the reach of a rule counts.
        tolerance: Largest difference, relative above 1, that rounding or the reference's own solver may explain.
    """

    optimizer: type[Optimizer]
    hyper: Hyper
    reference: str
    path: Trajectory
    problems: tuple[str, ...] = ANY
    steps: int = 40
    rate: RateFactors = changing
    independent: bool = True
    theirs: bool = True
    tolerance: float = TOLERANCE

    def run(self, recorder: Recorder | None = None) -> Certificate:
        """Step both and compare; a recorder learns what of the class is executed beside somebody else's code."""
        recorder = recorder if self.independent and self.theirs else None
        try:
            difference = max((self.difference(name, recorder) for name in self.problems), default=None)
        except ImportError:
            return self.certificate(None, "not installed")
        agree = "certified" if self.independent and self.problems else "paper recurrence only"
        return self.certificate(difference, "differs" if (difference or 0) > self.tolerance else agree)

    def difference(self, problem: str, recorder: Recorder | None = None) -> float:
        """Return the largest difference on one problem; infinity where either is not finite."""
        expected = self.path(PROBLEMS[problem](), self.steps, self.rate)
        mine = PROBLEMS[problem]()
        known: Hyper = {"model": mine.model} if "model" in self.optimizer.needs else {}
        with recorder.recording(self.hyper) if recorder else nullcontext():
            path = walk(mine, self.optimizer(mine.params, **known, **self.hyper), self.steps, self.rate)
        gap = (path[-len(expected) :] - expected).abs() / expected.abs().clamp(min=1)
        return float(gap.nan_to_num(torch.inf).max())

    def certificate(self, difference: float | None, verdict: str) -> Certificate:
        """Return what came of it."""
        return Certificate(self.optimizer.__name__, self.form, self.reference, self.problems, difference, verdict)

    @property
    def form(self) -> str:
        """The settings that choose between forms of the rule: words always, switches where they are turned."""
        cls = self.optimizer
        parts = []
        for name, kind in cls.kinds.items():
            value = self.hyper.get(name, cls.hyper[name])
            if get_origin(kind) is Literal or (kind is bool and value != cls.hyper[name]):
                parts.append(f"{name}={str(value).lower()}")
            elif isinstance(value, partial):
                parts.append(f"{name}={value.func.__name__}")
        return ", ".join(parts)


def version(package: str) -> str:
    """Return the name and version of a package, or its name alone where it is not installed."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package
