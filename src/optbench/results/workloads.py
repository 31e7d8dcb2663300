"""What holds over several workloads: when each optimizer reached each workload's target, and its score over all."""

import math

import numpy as np
import pandas as pd

from optbench.results.clocks import CLOCK
from optbench.results.frame import Results
from optbench.results.profile import medians, profile_score, score_interval
from optbench.results.race import race
from optbench.results.settings import WORKLOAD
from optbench.results.text import between


def workload_times(results: Results, clock: str = CLOCK) -> pd.DataFrame:
    """Return when each contender reached the target of each workload, for `profile_score` and its like.

    Args:
        results: Runs of `workloads=...`; of a tuned study the finals.
        clock: One of `CLOCKS`.

    Returns:
        As `Race.by_seed`; empty where no run belongs to a workload.
    """
    return race(results).by_seed(clock) if WORKLOAD in results.frame else pd.DataFrame()


def workload_scores(times: pd.DataFrame, tau_max: float = 4.0) -> pd.DataFrame:
    """Return each contender's score over all workloads, the best first.

    Args:
        times: What `workload_times` returned.
        tau_max: As for `profile_score`.

    Returns:
        A row for each contender: its `score`, `low` and `high` of the bootstrap 95 % interval over seeds, on how many
        workloads it is the `fastest`, how many it `solved` (in the median of its seeds), and how many there are.
    """
    if times.empty:
        return pd.DataFrame(columns=["score", "low", "high", "fastest", "solved", "workloads"])
    middle = medians(times)
    reached = np.isfinite(middle)
    scores = pd.DataFrame({"score": profile_score(times, tau_max), **score_interval(times, tau_max)})
    scores["fastest"] = (middle.eq(middle.min(axis=1), axis=0) & reached).sum()
    scores["solved"] = reached.sum()
    scores["workloads"] = len(middle)
    return scores.sort_values(["score", "solved"], ascending=False, kind="stable")


def workload_sentences(scores: pd.DataFrame) -> list[str]:
    """Return what the scores over all workloads say.

    Args:
        scores: What `workload_scores` returned.
    """
    if scores.empty:
        return []
    if not scores["solved"].any():
        return [f"Nobody reached the target of any of the {scores['workloads'].iloc[0]} workloads."]
    name = scores.index[0]
    best = scores.iloc[0]
    doubt = "" if math.isnan(best["low"]) else f" (95 % interval {between(best['low'], best['high'])})"
    told = (
        f"Over {best['workloads']:.0f} workloads: {name}, with a score of {best['score']:.2f}{doubt}; it solved "
        f"{best['solved']:.0f} and was the fastest on {best['fastest']:.0f}."
    )
    return [told, *(f"Next: {other}, {row['score']:.2f}." for other, row in scores.iloc[1:2].iterrows())]


def score_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what `workload_scores` returned as text for readers."""
    ends = zip(scores["low"], scores["high"], strict=True)
    return pd.DataFrame(
        {
            "contender": scores.index,
            "score": [f"{score:.3f}" for score in scores["score"]],
            "95 % interval": [between(low, high) for low, high in ends],
            "fastest on": scores["fastest"].astype(str).to_numpy(),
            "targets reached": [
                f"{n} of {all_}" for n, all_ in zip(scores["solved"], scores["workloads"], strict=True)
            ],
        }
    )


def time_table(times: pd.DataFrame) -> pd.DataFrame:
    """Return what `workload_times` returned as text for readers: the median over the seeds, a row for each workload."""
    middle = medians(times)
    texts = middle.map(lambda time: f"{time:.4g}" if math.isfinite(time) else "–")
    return texts.rename_axis(WORKLOAD).reset_index()
