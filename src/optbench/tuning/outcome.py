"""What a tuned study found, from its runs alone: the winners, edges of ranges, and the best against the budget."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from optbench.configs import at
from optbench.records import Run
from optbench.results import Results
from optbench.results.comparison import in_order
from optbench.results.settings import WORKLOAD, details, written
from optbench.results.statistics import LEVEL
from optbench.tuning.contender import edge
from optbench.tuning.space import Space, axis

RESAMPLES = 1000


def stage(run: Run) -> str | None:
    """Return whether a run is one of a tuned study's `trials` or `finals`, or None."""
    tuning = run.config.get("tuning")
    return tuning.get("stage") if isinstance(tuning, Mapping) else None


def parts(results: Results) -> tuple[Results | None, Results | None]:
    """Return the trials and the finals among results, each told apart among themselves; None where there are none."""
    return results.of(lambda run: stage(run) == "trials"), results.of(lambda run: stage(run) == "finals")


def trials(results: Results) -> pd.DataFrame:
    """Return the trials of a study, a row each.

    Returns:
        `contender`, the optimizer with whatever else the study varies; `optimizer`; each hyperparameter that was
        searched; `error` and `loss` on the validation split, not a number for a trial that is not done; `unit`, what
        the error is shown in; `workload`, if there are several; `status`, and `run`, the row of the results.
    """
    frame = results.frame.loc[list(results.runs)]
    points = [{name: at(run.config["optimizer"], name) for name in space_of(run)} for run in results.runs.values()]
    accuracy = frame["final_val_accuracy"]
    loss = frame["final_val_loss"]
    done = frame["status"] == "done"
    names = [_contender(row, point) for (_, row), point in zip(frame.iterrows(), points, strict=True)]
    table = pd.DataFrame({"contender": names, "optimizer": frame["optimizer"]}, frame.index)
    table = table.join(pd.DataFrame(points, frame.index))
    table["error"] = (1 - accuracy).fillna(loss).where(done)
    table["unit"] = np.where(accuracy.isna(), "loss", "error, %")
    table["workload"] = frame[WORKLOAD].astype(str) if WORKLOAD in frame else ""
    table["loss"] = loss.where(done)
    table["status"] = frame["status"]
    table["run"] = frame.index
    if table.groupby("optimizer")["contender"].nunique().max() == 1:
        table["contender"] = table["optimizer"].astype(str)  # what else differs goes with the optimizer
    table["unit"] = table.groupby("workload")["unit"].transform("min")  # a trial that failed measured nothing
    return table.reset_index(drop=True)


def _contender(row: "pd.Series[Any]", point: Mapping[str, Any]) -> str:
    """Return a trial's optimizer with its labels that were not searched."""
    searched = {name.rpartition(".")[2] for name in point} | {f"optimizer.{name}" for name in point}
    keys = list(row.index[: row.index.get_loc("seed")])
    return ", ".join([str(row["optimizer"]), *details(row, [key for key in keys[1:] if key not in searched])])


def winners(results: Results) -> pd.DataFrame:
    """Return what each contender's trials came to, the best contender first, in each workload if there are several.

    Returns:
        One row for each: `contender`, `optimizer`, how many `trials`, `done` and `diverged`; the winner's `setting`,
        `error` and `loss` on the validation split, the error's `unit`, its `workload` and its `run`; and `edges`, which
        of its values lie at the edge of their range.
    """
    rows = []
    for contender, tried in trials(results).groupby("contender", sort=False):
        row: dict[str, Any] = {"contender": contender, "optimizer": tried["optimizer"].iloc[0], "trials": len(tried)}
        row |= {status: int((tried["status"] == status).sum()) for status in ("done", "diverged")}
        done = tried.dropna(subset="error").sort_values(["error", "loss"], kind="stable")
        row |= {name: tried[name].iloc[0] for name in ("unit", "workload")}
        row |= {"setting": "–", "error": math.nan, "loss": math.nan, "run": -1, "edges": ""}
        if len(done):
            best = done.iloc[0]
            space = space_of(results.runs[best["run"]])
            point = {name: best[name] for name in space}
            row |= {"setting": ", ".join(f"{name}={written(value)}" for name, value in point.items()) or "–"}
            edges = edge(point, space, len(tried))
            row |= {"edges": ", ".join(f"{name} ({'low' if low else 'high'})" for name, low in edges.items())}
            row |= {name: best[name] for name in ("error", "loss", "run")}
        rows.append(row)
    table = pd.DataFrame(rows).sort_values("error", kind="stable")
    return table.sort_values("workload", key=lambda names: names.map(in_order), kind="stable", ignore_index=True)


def budget_curves(results: Results) -> pd.DataFrame:
    """Return each contender's best validation error against the number of trials, by resampling those that exist.

    A trial that is not done takes part, and is no better than any other.

    Returns:
        One row for each contender and number of trials: `contender`, `optimizer`, the errors' `unit`, `trials`, the
        `mean` of the best over draws without replacement, and `low` and `high`, between which lie 95 % of the draws.
    """
    rows = []
    rng = np.random.default_rng(0)
    for contender, tried in trials(results).groupby("contender", sort=False):
        errors = tried["error"].to_numpy(dtype=float)
        worst = np.nanmax(errors) if np.isfinite(errors).any() else math.nan
        errors = np.where(np.isnan(errors), worst, errors)
        orders = rng.permuted(np.tile(errors, (RESAMPLES, 1)), axis=1)
        best = np.minimum.accumulate(orders, axis=1)
        low, high = np.quantile(best, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        own = {"contender": contender} | {name: tried[name].iloc[0] for name in ("optimizer", "unit")}
        for k in range(len(errors)):
            rows.append(
                own | {"trials": k + 1, "mean": float(best[:, k].mean()), "low": float(low[k]), "high": float(high[k])}
            )
    return pd.DataFrame(rows)


def in_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of errors with these in their `unit`: error rates in per cent."""
    times = table["unit"].map({"loss": 1.0, "error, %": 100.0})
    errors = [name for name in ("error", "mean", "low", "high") if name in table]
    return table.assign(**{name: times * table[name] for name in errors})


def sentences(results: Results) -> list[str]:
    """Return what a reader has to know of the trials: how many there were, and which winners lie at an edge."""
    found = winners(results)
    counts = sorted(set(found["trials"]))
    some = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}, which is not the same for all,"
    told = [f"Each of {len(found)} contenders had {some} trials, chosen from by the validation split."]
    edges = [f"{row['contender']} ({row['edges']})" for _, row in found.iterrows() if row["edges"]]
    if edges:
        told.append(f"At the edge of its range won {', '.join(edges)}; widen=true looks beyond.")
    return told


def space_of(run: Run) -> Space:
    """Return where the trials of a run were looked for; of a damaged config nothing."""
    tuning = run.config.get("tuning")
    ranges = tuning.get("space") if isinstance(tuning, Mapping) else None
    given = ranges if isinstance(ranges, Mapping) else {}
    return {str(name): axis(str(run.directory), str(name), value) for name, value in given.items()}
