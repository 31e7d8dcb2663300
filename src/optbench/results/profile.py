"""How fast a target is reached, and on how many workloads nearly as fast as by the fastest.

References:
    Dolan & Moré, Benchmarking Optimization Software with Performance Profiles, 2002, https://arxiv.org/abs/cs/0102001
    Dahl et al., Benchmarking Neural Network Training Algorithms, 2023, https://arxiv.org/abs/2306.07179
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optbench.checks import UserError
from optbench.results.clocks import CLOCKS
from optbench.results.statistics import FEWEST, LEVEL, RESAMPLES

Times = NDArray[np.float64]


def time_to_target(
    evaluations: pd.DataFrame, target: float, measure: str = "test_accuracy", runs: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return when each run first reached a target, between two evaluations by a straight line; infinity if it did not.

    Args:
        evaluations: As `Results.evaluations`, in any order.
        target: In units of the measure.
        measure: A column of the evaluations; a loss is to fall to the target, an accuracy to rise to it.
        runs: All runs, those without an evaluation included; those of the evaluations if None.

    Returns:
        One row a run with the columns `CLOCKS`.
    """
    sign = 1.0 if measure.endswith("accuracy") else -1.0
    numbers = list(dict.fromkeys(evaluations["run"])) if runs is None else list(runs)
    rows = evaluations.dropna(subset=measure).reindex(columns=["run", measure, *CLOCKS])
    rows = rows.sort_values(["run", "step"], kind="stable", ignore_index=True)
    first = rows[sign * rows[measure] >= sign * target].drop_duplicates("run")
    before = rows.reindex(first.index - 1).set_axis(first.index)
    known = (before["run"] == first["run"]) & np.isfinite(before[measure])
    share = ((target - before[measure]) / (first[measure] - before[measure])).where(known, 1.0)
    since = before[CLOCKS].where(known, first[CLOCKS], axis=0)
    times = since + (first[CLOCKS] - since).mul(share, axis=0)
    return times.set_axis(pd.Index(first["run"], name="run")).reindex(numbers, fill_value=math.inf)


def performance_profile(times: pd.DataFrame, tau: ArrayLike) -> Any:
    """Return the share of workloads that each optimizer solves within `tau` times the fastest.

    Args:
        times: A column for each optimizer, infinity where the target was missed; indexed by workload, or by workload
            and seed, of which the median counts.
        tau: One ratio, from 1 on, or several.

    Returns:
        The share of each optimizer, all workloads in the denominator: a Series, or a DataFrame with a row for each tau.
    """
    shares = _profile(medians(times).to_numpy(), np.atleast_1d(tau))
    profile = pd.DataFrame(shares, index=pd.Index(np.atleast_1d(tau), name="tau"), columns=times.columns)
    return profile.iloc[0].rename(None) if np.ndim(tau) == 0 else profile


def profile_score(times: pd.DataFrame, tau_max: float = 4.0) -> "pd.Series[float]":
    """Return the area of each optimizer's performance profile over [1, tau_max], divided by `tau_max - 1`.

    Args:
        times: As for `performance_profile`.
        tau_max: Largest ratio.

    Returns:
        From 0 to 1: 1 for one that is the fastest on every workload. All workloads are in the denominator.

    Raises:
        UserError: `tau_max` is not above 1.
    """
    return pd.Series(_score(medians(times).to_numpy(), tau_max)[0], index=times.columns)


def profile_interval(times: pd.DataFrame, tau: ArrayLike) -> tuple[Any, Any]:
    """Return low and high ends of the profile's bootstrap 95 % interval over seeds, each as `performance_profile` does.

    Args:
        times: As there, indexed by workload and seed; with fewer than three seeds of a workload there is no interval.
        tau: As there.
    """
    low, high = _interval(times, lambda middle: _profile(middle, np.atleast_1d(tau)))
    index = pd.Index(np.atleast_1d(tau), name="tau")
    ends = [pd.DataFrame(end, index=index, columns=times.columns) for end in (low, high)]
    return (ends[0].iloc[0], ends[1].iloc[0]) if np.ndim(tau) == 0 else (ends[0], ends[1])


def score_interval(times: pd.DataFrame, tau_max: float = 4.0) -> pd.DataFrame:
    """Return `low` and `high` of each score's bootstrap 95 % interval over seeds.

    Args:
        times: As for `profile_interval`.
        tau_max: As for `profile_score`.
    """
    low, high = _interval(times, lambda middle: _score(middle, tau_max))
    return pd.DataFrame({"low": low[0], "high": high[0]}, index=times.columns)


def _profile(times: Times, tau: Times) -> Times:
    """Return the shares of workloads, shape (taus, optimizers), of times of shape (workloads, optimizers)."""
    shares: Times = (_ratios(times) <= np.asarray(tau)[:, None, None]).mean(1)
    return shares


def _score(times: Times, tau_max: float) -> Times:
    """Return the areas below the profiles, shape (1, optimizers)."""
    if not 1 < tau_max < math.inf:
        raise UserError(f"profile_score: {tau_max=} is outside (1, inf)")
    areas = np.clip(tau_max - _ratios(times), 0.0, None) / (tau_max - 1.0)
    scores: Times = areas.mean(0, keepdims=True)
    return scores


def medians(times: pd.DataFrame) -> pd.DataFrame:
    """Return the times by workload: of several seeds the median, which is infinite where half missed the target."""
    middle = {name: np.median(part, axis=0) for name, part in _by_workload(times).items()}
    return pd.DataFrame.from_dict(middle, orient="index", columns=times.columns)


def _by_workload(times: pd.DataFrame) -> dict[Hashable, Times]:
    """Return the times of each workload, shape (seeds, optimizers)."""
    filled = times.fillna(math.inf).astype(float)
    return {name: part.to_numpy() for name, part in filled.groupby(level=0, sort=False)}


def _ratios(times: Times) -> Times:
    """Return times by those of the fastest; infinity where a target was missed, by all of them too."""
    fastest = times.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(times == fastest, 1.0, times / fastest)
    found: Times = np.where(np.isfinite(times), ratios, math.inf)
    return found


def _interval(times: pd.DataFrame, statistic: Callable[[Times], Times]) -> tuple[Times, Times]:
    """Resample the seeds of each workload, for all optimizers alike, since runs of a seed are paired."""
    workloads = list(_by_workload(times).values())
    if min(map(len, workloads)) < FEWEST:
        none = np.full_like(statistic(medians(times).to_numpy()), math.nan)
        return none, none
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES // 4):
        middle = [np.median(part[rng.integers(len(part), size=len(part))], axis=0) for part in workloads]
        drawn.append(statistic(np.stack(middle)))
    low, high = np.quantile(np.stack(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high
