"""One that is tuned: its space, what was tried, what won and what is run in the end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from optbench import records
from optbench.checks import Count, UserError, check, nearest
from optbench.tuning.search import METHODS, Proposal
from optbench.tuning.space import Range, Space, replacements, space

Outcome = tuple[float, float]
"""Error rate and loss on the validation split; the loss twice where there are no classes. Smaller is better."""


@dataclass
class Contender:
    """An optimizer with whatever else a sweep varies, but for the seed.

    Attributes:
        overrides: What makes it.
        name: The optimizer's.
        space: Where to look.
        trials: How many points to try.
        method: How to choose them.
        tried: The points that were tried, with their outcomes; None for a run that is not done.
        before: How many of them are of a narrower space.
    """

    overrides: list[str]
    name: str
    space: Space
    trials: int
    method: str
    tried: list[tuple[Proposal, Outcome | None]] = field(default_factory=list)
    before: int = 0

    @classmethod
    def of(cls, overrides: Sequence[str], config: Mapping[str, Any]) -> Self:
        """Return the contender that overrides make.

        Args:
            overrides: All but the seed and the stage.
            config: The config of a run of it.

        Raises:
            UserError: There is no such method of search, a range or a budget is wrong, or no data to choose on.
        """
        method = config["search"].get("method")
        if method not in METHODS:
            raise nearest("search", str(method), METHODS, ", ".join(METHODS))
        for name in ("trials", "seeds"):
            check("budget", name, config["budget"][name], Count)
        if not config["data"].get("val_fraction"):
            raise UserError("study=tuned chooses on the validation split; give data.val_fraction above 0")
        name = config["optimizer"]["_target_"].rpartition(".")[2]
        ranges = space(name, config["optimizer"], replacements(config["search"]))
        for key in (line.lstrip("+").partition("=")[0].removeprefix("optimizer.") for line in overrides):
            if key in ranges:
                raise UserError(f"optimizer.{key} is searched here; give search.{key}=[<low>,<high>] instead")
        return cls(list(overrides), name, ranges, config["budget"]["trials"], method)

    def propose(self) -> list[Proposal]:
        """Return the points to try next; none where all trials were."""
        tried = [(point, outcome and outcome[0]) for point, outcome in self.tried[self.before :]]
        if not self.space:
            return [] if tried else [{}]
        return METHODS[self.method](self.space, self.trials, tried)

    def winner(self) -> Proposal:
        """Return the best point; the first where no trial is done, whose finals then show what happens."""
        done = [(outcome, place) for place, (_, outcome) in enumerate(self.tried) if outcome is not None]
        return self.tried[min(done)[1] if done else 0][0]

    def widen(self) -> bool:
        """Widen each range at whose edge the winner lies, and return whether there was one."""
        best = self.winner()
        edges = edge(best, self.space, self.trials)
        for name, low in edges.items():
            axis = self.space[name]
            assert isinstance(axis, Range)
            self.space = self.space | {name: axis.wider(low)}
        self.before = len(self.tried)
        return bool(edges)

    def trial(self, point: Proposal, seed: int) -> list[str]:
        """Return the overrides of a trial."""
        ranges = {name: axis.plain() for name, axis in self.space.items()}
        own = [*_values(point), f"seed={seed}", "tuning.stage=trials"]
        return [*self.overrides, *own, f"tuning.space={in_grammar(ranges)}"]

    def final(self, point: Proposal, seed: int, trials: int | str) -> list[str]:
        """Return the overrides of a final run.

        Args:
            point: The winner, or nothing for the defaults.
            seed: A fresh one.
            trials: How many it won against, or `defaults`.
        """
        return [*self.overrides, *_values(point), f"seed={seed}", "tuning.stage=finals", f"tuning.trials={trials}"]


def outcome(directory: Path) -> Outcome | None:
    """Return what a trial came to, from its record; None unless it is done and measured a validation split."""
    try:
        run = records.read(directory)
        metrics = run.metrics
    except UserError:
        return None
    if run.status["status"] != "done" or not len(metrics):
        return None
    last = metrics.iloc[-1]
    loss = float(last["val_loss"])
    accuracy = float(last["val_accuracy"])
    error = loss if math.isnan(accuracy) else 1 - accuracy
    return None if math.isnan(loss) else (error, loss)


def edge(point: Proposal, space: Space, trials: int) -> dict[str, bool]:
    """Return the ranges in whose outermost part, one of as many as there were trials, a point lies.

    Args:
        point: The winner.
        space: Where it was looked for.
        trials: How many points were tried.

    Returns:
        By name, whether it is the low end.
    """
    found = {}
    for name, axis in space.items():
        if isinstance(axis, Range) and name in point:
            share = axis.share(float(point[name]))
            width = 1 / max(trials, 2)
            if share <= width or share >= 1 - width:
                found[name] = share <= width
    return found


def in_grammar(value: Any) -> str:
    """Return a value in Hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{in_grammar(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(in_grammar, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(point: Proposal) -> list[str]:
    return [f"++optimizer.{name}={in_grammar(value)}" for name, value in point.items()]
