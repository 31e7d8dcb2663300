"""Who reaches the target first: of each run the time that it took, by workload and contender.

A target is never derived from the optimizers that are compared. It is stated with the runs (`workload.target`), or else
with their data set, from a baseline that no optimizer here has a part in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from optbench.records import Run
from optbench.results.clocks import CLOCKS
from optbench.results.frame import Results, labels
from optbench.results.profile import time_to_target
from optbench.results.sensitivity import at_best, swept
from optbench.results.settings import named, of_data
from optbench.results.statistics import measure

LINEAR = "what logistic regression reaches, by scikit-learn"
XIAO = "what logistic regression reaches, by Xiao, Rasul & Vollgraf, 2017"
BASELINES = {
    "MNISTSubset": (0.89, LINEAR),
    "MNIST": (0.917, XIAO),
    "FashionMNIST": (0.842, XIAO),
    "Digits": (0.95, LINEAR),
    "MNIST1D": (0.5, "what a support vector machine reaches, by scikit-learn"),
}
"""Accuracies of data sets, with where they come from: `optbench.data.baselines`, or Xiao, Rasul & Vollgraf,
Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747."""


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    Attributes:
        measure: A column of the evaluations, such as `val_accuracy`.
        value: In its units.
        why: Where it comes from.
    """

    measure: str
    value: float
    why: str

    @property
    def words(self) -> str:
        """What a sentence calls it, such as `test accuracy 90 %`."""
        what = self.measure.replace("_", " ").replace("val ", "validation ")
        return f"{what} {100 * self.value:.4g} %" if self.measure.endswith("accuracy") else f"{what} {self.value:.4g}"


@dataclass(frozen=True, eq=False)
class Race:
    """Times to the targets.

    Attributes:
        times: A row for each run, by its row of the frame: `workload`, `contender`, `optimizer`, `seed`, and the time
            in each of `CLOCKS`, infinite where it missed the target or did not come to its end.
        targets: By workload.
        notes: What does not take part, and why.
    """

    times: pd.DataFrame
    targets: Mapping[str, Target]
    notes: tuple[str, ...]

    def by_seed(self, clock: str) -> pd.DataFrame:
        """Return the times by one clock: a row for each workload and seed, a column for each contender.

        What was not run is missed.
        """
        table = self.times.pivot_table(clock, ["workload", "seed"], "contender", "first", sort=False)
        return table.reindex(columns=list(dict.fromkeys(self.times["contender"]))).fillna(math.inf)

    def medians(self) -> pd.DataFrame:
        """Return a row for each workload and contender: the median of each clock, `runs`, and how many `reached` it."""
        groups = self.times.groupby(["workload", "contender"], sort=False)
        table = groups[CLOCKS].median()
        table["runs"] = groups.size()
        table["reached"] = groups["step"].agg(lambda steps: int((steps < math.inf).sum()))
        return table.reset_index()

    @property
    def words(self) -> str:
        """The targets in a sentence, with where they come from."""
        told = [f"{target.words} ({target.why})" for target in self.targets.values()]
        if len(set(told)) == 1:
            return f"Target: {told[0]}."
        some = [f"{name}: {target.words}" for name, target in self.targets.items()]
        return f"Targets, {', '.join(dict.fromkeys(t.why for t in self.targets.values()))}: {'; '.join(some)}."


def race(results: Results, value: float | None = None) -> Race:
    """Return how long every contender took to the targets.

    A contender is an optimizer with whatever else was varied that is no part of the workload; of a learning rate that
    was swept its best value takes part. Workloads on which fewer than half of the optimizers ran are left out.

    Args:
        results: Runs.
        value: The target of all of them, chosen after the runs; that of each workload if None.
    """
    tasks = of_data(labels(results.frame), results.runs.values())
    places = _workloads(results, tasks)
    rates = [name for name in swept(results.frame) if name not in tasks][:1]
    for by in rates:
        results = results.only(at_best(results.frame, by))
    frame = results.frame
    places = places[frame.index]
    targets, notes = _targets(results, places, value)
    frame = frame[places.isin(list(targets))]
    places = places[frame.index]
    contenders = named(frame, _told(frame, places, [*tasks, *rates])) if len(frame) else frame["optimizer"]
    times = [_times(results, rows, targets[str(name)]) for name, rows in frame.groupby(places, sort=False)]
    table = pd.DataFrame(
        {"workload": places, "contender": contenders, "optimizer": frame["optimizer"], "seed": frame["seed"]}
    )
    clocks = pd.concat(times) if times else pd.DataFrame(columns=CLOCKS, dtype=float)
    return Race(table.join(clocks), targets, tuple(notes))


def _targets(results: Results, places: "pd.Series[str]", value: float | None) -> tuple[dict[str, Target], list[str]]:
    """Return the target of each workload that takes part, and notes on the others."""
    targets: dict[str, Target] = {}
    notes = []
    counts = results.frame["optimizer"].groupby(places, sort=False).nunique()
    few = [str(name) for name in counts.index[counts < counts.max() / 2]]
    if few:
        notes.append(f"few optimizers ran on {', '.join(few)}, which is left out")
    for name, rows in results.frame.groupby(places, sort=False):
        runs = [results.runs[i] for i in rows.index if i in results.runs]
        stated = _stated(runs) if value is None else []
        if len(stated) > 1:
            several = ", ".join(f"{one:g}" for one in stated)
            notes.append(f"several targets were stated for {name}, of which the first is taken: {several}")
        if name in few:
            continue
        target = _target(runs, rows, value)
        if target:
            targets[str(name)] = target
        else:
            notes.append(f"no target is stated for {name}: give workload.target=... to the runs, or target=...")
    return targets, notes


def _workloads(results: Results, keys: Sequence[str]) -> "pd.Series[str]":
    """Return what each run's workload is called: by its config, or by what tells data and models apart."""
    frame = results.frame
    runs = results.runs
    first = next(iter(runs.values()))
    whole = ", ".join(str(first.config[group]["_target_"]).rpartition(".")[2] for group in ("data", "model"))
    told = named(frame.assign(optimizer=""), keys).str.removeprefix(", ") if keys else pd.Series(whole, frame.index)
    own = {i: name for i, run in runs.items() if (name := _own(run).get("name"))}
    return told.where(~frame.index.isin(list(own)), pd.Series(own, dtype=object).reindex(frame.index))


def _own(run: Run) -> Mapping[str, object]:
    own = run.config.get("workload")
    return own if isinstance(own, Mapping) else {}


def _target(runs: list[Run], frame: pd.DataFrame, value: float | None) -> Target | None:
    """Return the target of a workload's runs; None where none is stated."""
    column = measure(frame).name.removeprefix("final_")
    if value is not None:
        return Target(column, value, "chosen after the runs")
    if stated := _stated(runs):
        return Target(column, stated[0], "stated before the runs")
    package, _, name = str(runs[0].config["data"]["_target_"]).rpartition(".") if runs else ("", "", "")
    if package.startswith("optbench.") and name in BASELINES and column.endswith("accuracy"):
        return Target(column, *BASELINES[name])
    return None


def _stated(runs: list[Run]) -> list[float]:
    """Return the targets that runs state, each once."""
    stated = [_own(run).get("target") for run in runs]
    return list(dict.fromkeys(float(target) for target in stated if isinstance(target, int | float)))


def _told(frame: pd.DataFrame, places: "pd.Series[str]", others: list[str]) -> list[str]:
    """Return the labels but for some that vary within a workload, and so tell contenders apart."""
    rest = [key for key in labels(frame)[1:] if key not in (*others, "workload", "setting")]
    return [key for key in rest if frame[key].astype(str).groupby([places, frame["optimizer"]]).nunique().max() > 1]


def _times(results: Results, rows: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return the times of a workload's runs; infinite where one did not come to its end."""
    mine = results.evaluations[results.evaluations["run"].isin(rows.index)]
    times = time_to_target(mine, target.value, target.measure, rows.index.tolist())
    return times.where(rows["status"] == "done", math.inf)
