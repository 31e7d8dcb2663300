"""How fast a target is reached, and on how many workloads nearly as fast as by the fastest.

References:
    Dolan & Moré, Benchmarking Optimization Software with Performance Profiles, 2002, https://arxiv.org/abs/cs/0102001
    Dahl et al., Benchmarking Neural Network Training Algorithms, 2023, https://arxiv.org/abs/2306.07179
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from optbench.results.statistics import FEWEST, LEVEL, RESAMPLES

CLOCKS = ["step", "epoch", "grad_evals", "train_seconds"]
"""What a time to a target is told in."""


def time_to_target(
    evaluations: pd.DataFrame, target: float, measure: str = "test_accuracy", runs: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return when each run first reached a target, between two evaluations by a straight line; infinity if it did not.

    Args:
        evaluations: As `Results.evaluations`.
        target: In units of the measure.
        measure: A column of the evaluations; a loss is to fall to the target, an accuracy to rise to it.
        runs: All runs, those without an evaluation included; those of the evaluations if None.

    Returns:
        One row a run with the columns `CLOCKS`: optimizer steps, epochs, gradient evaluations and seconds of training.
    """
    sign = 1.0 if measure.endswith("accuracy") else -1.0
    numbers = list(dict.fromkeys(evaluations["run"])) if runs is None else list(runs)
    rows = evaluations[["run", measure, *CLOCKS]].reset_index(drop=True)
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
    ratios = _ratios(_medians(times))
    shares = {name: np.mean(ratios[name].to_numpy()[:, None] <= np.atleast_1d(tau), axis=0) for name in ratios}
    profile = pd.DataFrame(shares, index=pd.Index(np.atleast_1d(tau), name="tau"))
    return profile.iloc[0].rename(None) if np.ndim(tau) == 0 else profile


def profile_score(times: pd.DataFrame, tau_max: float = 4.0) -> "pd.Series[float]":
    """Return the area of each optimizer's performance profile over [1, tau_max], divided by `tau_max - 1`.

    Args:
        times: As for `performance_profile`.
        tau_max: Largest ratio.

    Returns:
        From 0 to 1: 1 for one that is the fastest on every workload. All workloads are in the denominator.
    """
    ratios = _ratios(_medians(times)).to_numpy()
    areas = np.clip(tau_max - ratios, 0.0, None) / (tau_max - 1.0)
    return pd.Series(areas.mean(0), index=times.columns)


def profile_interval(times: pd.DataFrame, tau: ArrayLike) -> tuple[Any, Any]:
    """Return low and high ends of the profile's bootstrap 95 % interval over seeds, each as `performance_profile` does.

    Args:
        times: As there, indexed by workload and seed; with fewer than three seeds of a workload there is no interval.
        tau: As there.
    """
    return _interval(times, lambda resampled: performance_profile(resampled, np.atleast_1d(tau)), np.ndim(tau) == 0)


def score_interval(times: pd.DataFrame, tau_max: float = 4.0) -> pd.DataFrame:
    """Return `low` and `high` of each score's bootstrap 95 % interval over seeds.

    Args:
        times: As for `profile_interval`.
        tau_max: As for `profile_score`.
    """
    low, high = _interval(times, lambda resampled: profile_score(resampled, tau_max).to_frame().T, True)
    return pd.DataFrame({"low": low, "high": high})


def _medians(times: pd.DataFrame) -> pd.DataFrame:
    """Return the times by workload: of several seeds the median, which is infinite where most missed the target."""
    if times.index.nlevels == 1:
        return times.fillna(math.inf)
    filled = times.fillna(math.inf)
    middle = [np.median(part.to_numpy(), axis=0) for _, part in filled.groupby(level=0, sort=False)]
    return pd.DataFrame(np.stack(middle), columns=times.columns)


def _ratios(times: pd.DataFrame) -> pd.DataFrame:
    """Return times by those of the fastest; infinity where a target was missed, by all of them too."""
    fastest = times.min(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = times.div(fastest.to_numpy(), axis=0)
    ratios = ratios.where(times.ne(fastest, axis=0), 1.0)
    return ratios.where(np.isfinite(times), math.inf)


def _interval(times: pd.DataFrame, statistic: Callable[[pd.DataFrame], pd.DataFrame], single: bool) -> tuple[Any, Any]:
    """Resample the seeds of each workload, for all optimizers alike, since runs of a seed are paired."""
    workloads = [] if times.index.nlevels == 1 else [part for _, part in times.groupby(level=0, sort=False)]
    if not workloads or min(map(len, workloads)) < FEWEST:
        none = statistic(times) * math.nan
        return (none.iloc[0], none.iloc[0]) if single else (none, none)
    rng = np.random.default_rng(0)
    drawn = []
    arrays = [part.fillna(math.inf).to_numpy() for part in workloads]
    for _ in range(RESAMPLES // 4):
        middle = [np.median(part[rng.integers(len(part), size=len(part))], axis=0) for part in arrays]
        drawn.append(statistic(pd.DataFrame(np.stack(middle), columns=times.columns)).to_numpy())
    tails = np.quantile(np.stack(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    like = statistic(times)
    low, high = (pd.DataFrame(tail, index=like.index, columns=like.columns) for tail in tails)
    return (low.iloc[0], high.iloc[0]) if single else (low, high)
