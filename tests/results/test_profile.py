"""Times to a target and performance profiles, against AlgoPerf's published scores."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optbench.checks import UserError
from optbench.results import performance_profile, profile_interval, profile_score, score_interval, time_to_target

HERE = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def algoperf():
    """AlgoPerf 0.5: seconds by base workload and submission."""
    rows = pd.read_csv(HERE / "algoperf_v05_times.csv")
    base = rows[rows["held_out_of"].isna()]
    return base.pivot(index="workload", columns="submission", values="effective_seconds").fillna(math.inf)


def test_scores_are_those_that_algoperf_published(algoperf):
    published = pd.read_csv(HERE / "algoperf_v05_scores.csv", index_col="submission")["published_score"]
    scores = profile_score(algoperf)
    assert len(published) > 8
    assert np.abs(scores[published.index] - published).max() < 2e-3


def test_a_score_is_the_area_of_its_profile(algoperf):
    tau = np.linspace(1, 4, 30001)
    profile = performance_profile(algoperf, tau)
    areas = np.trapezoid(profile.to_numpy(), tau, axis=0) / 3
    assert np.abs(areas - profile_score(algoperf).to_numpy()).max() < 1e-3


def test_all_workloads_are_in_the_denominator():
    times = pd.DataFrame({"a": [1.0, 2.0, math.inf, math.inf], "b": [2.0, 1.0, 5.0, math.inf]})
    assert performance_profile(times, 1.0).to_dict() == {"a": 0.25, "b": 0.5}
    assert performance_profile(times, [1.0, 2.0]).loc[2.0].to_dict() == {"a": 0.5, "b": 0.75}
    assert profile_score(times, 3.0).to_dict() == {"a": 0.375, "b": 0.625}


def test_ties_zero_times_and_nothing_reached():
    assert performance_profile(pd.DataFrame({"a": [0.0], "b": [0.0], "c": [1.0]}), 4).tolist() == [1.0, 1.0, 0.0]
    assert profile_score(pd.DataFrame({"a": [math.inf], "b": [math.nan]})).tolist() == [0.0, 0.0]


def test_seeds_give_intervals_and_medians():
    index = pd.MultiIndex.from_product([["x", "y"], [0, 1, 2]], names=["workload", "seed"])
    times = pd.DataFrame({"a": [1.0, 1.1, 0.9, 2, math.inf, 2], "b": [1.5, 1.6, 1.4, 1, 1, 1]}, index=index)
    assert performance_profile(times, 1.0).tolist() == [0.5, 0.5]
    ends = score_interval(times)
    scores = profile_score(times)
    assert (ends["low"] <= scores).all() and (scores <= ends["high"]).all()
    assert ends.loc["a", "low"] < scores["a"]  # two of three draws may miss the target
    low, high = profile_interval(times, [1.0, 2.0])
    assert (low <= high).all(axis=None) and low.index.tolist() == [1.0, 2.0]


def test_two_seeds_give_no_interval():
    index = pd.MultiIndex.from_product([["x"], [0, 1]])
    assert score_interval(pd.DataFrame({"a": [1.0, 2.0]}, index=index)).isna().all(axis=None)
    assert score_interval(pd.DataFrame({"a": [1.0, 2.0]})).isna().all(axis=None)


def test_times_are_interpolated_and_infinite_where_missed():
    rows = [(0, 0.0, 0.1, 9.0), (0, 1.0, 0.5, 3.0), (0, 2.0, 0.9, 1.0), (1, 0.0, 0.1, 9.0), (1, 1.0, 0.2, 8.0)]
    evaluations = pd.DataFrame(rows, columns=["run", "epoch", "test_accuracy", "train_loss"])
    evaluations = evaluations.assign(step=100 * evaluations["epoch"], grad_evals=200 * evaluations["epoch"])
    evaluations["train_seconds"] = 3 * evaluations["epoch"]
    times = time_to_target(evaluations, 0.7, runs=[0, 1, 2])
    assert times.loc[0].tolist() == pytest.approx([150, 1.5, 300, 4.5])
    assert np.isinf(times.loc[[1, 2]].to_numpy()).all()
    assert time_to_target(evaluations, 2.0, "train_loss").loc[0, "epoch"] == pytest.approx(1.5)
    assert time_to_target(evaluations, 0.05).loc[0, "step"] == 0
    shuffled = evaluations.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(time_to_target(shuffled, 0.7, runs=[0, 1, 2]), times)
    gap = evaluations.assign(test_accuracy=evaluations["test_accuracy"].mask(evaluations["epoch"] == 1))
    assert time_to_target(gap, 0.5).loc[0, "epoch"] == pytest.approx(1.0)


@pytest.mark.parametrize("tau_max", [1.0, 0.5, math.inf, math.nan])
def test_a_range_of_ratios_that_is_none_is_refused(tau_max):
    with pytest.raises(UserError, match="profile_score: tau_max="):
        profile_score(pd.DataFrame({"a": [1.0]}), tau_max)
