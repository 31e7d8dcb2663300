"""The statistics: known numbers come out, and no evidence is made of nothing."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from optbench.checks import UserError
from optbench.results import (
    answer,
    caption,
    compare,
    evaluations,
    holm,
    interval,
    load,
    p_value,
    probability_of_improvement,
    seeds_needed,
)
from optbench.results.statistics import seeds_for


def runs(write, folder, **accuracies):
    """Write runs of optimizers by their accuracies over the seeds; None is a run that failed."""
    for optimizer, values in accuracies.items():
        for seed, value in enumerate(values):
            epochs = [{"test_accuracy": value, "test_loss": 1 - value, "train_loss": 1.0}] if value is not None else []
            status = "done" if value is not None else "failed"
            write(f"{optimizer}{seed}", [f"optimizer={optimizer}", f"seed={seed}"], epochs, status=status)
    return load(folder)


def test_the_same_rule_under_two_names_is_tied_and_a_worse_one_is_not(write, tmp_path):
    good = [0.95, 0.97, 0.96, 0.94, 0.955]
    frame = runs(write, tmp_path, adam=good, twin=good, broken=[x - 0.05 + 0.001 * i for i, x in enumerate(good)])
    table = compare(frame).set_index("optimizer")
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["tied"].to_dict() == {"Adam": True, "twin": True, "broken": False}
    assert table.loc["broken", "difference_high"] < 0 and table.loc["twin", "difference_low"] == 0
    assert (table["low"] <= table["final_test_accuracy_mean"]).all()
    assert (table["final_test_accuracy_mean"] <= table["high"]).all()


def test_pairs_tell_apart_what_spreads_alone_do_not(write, tmp_path):
    spread = np.array([0.70, 0.80, 0.90, 0.85, 0.75])
    frame = runs(write, tmp_path, adam=spread, sgd=spread - 0.01 + np.array([1, -1, 0, 1, -1]) * 1e-4)
    table = compare(frame).set_index("optimizer")
    assert not table.loc["SGD", "tied"]
    assert table.loc["SGD", "low"] < table.loc["Adam", "high"] and table.loc["Adam", "low"] < table.loc["SGD", "high"]


def test_with_two_seeds_there_is_no_interval_and_no_tie(write, tmp_path):
    table = compare(runs(write, tmp_path, adam=[0.9, 0.8], sgd=[0.9, 0.8]))
    assert table[["low", "high", "difference_low", "difference_high"]].isna().all(axis=None)
    assert not table["tied"].any()


def test_a_setting_with_failures_ranks_last_and_counts_them(write, tmp_path):
    frame = runs(write, tmp_path, adam=[0.99, 0.99, 0.99, None], sgd=[0.5, 0.6, 0.55, 0.5])
    table = compare(frame).set_index("optimizer")
    assert table["rank"].to_dict() == {"SGD": 1, "Adam": 2} and not table.loc["Adam", "tied"]
    assert table.loc["Adam", "score"] == pytest.approx(0.99 * 3 / 4)
    assert table.loc["Adam", "improvement"] == pytest.approx(3 / 4)
    assert table.loc["Adam", "reasons"] == "failed (seed 3)"


def test_an_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(200, 20))
    inside = [low <= 0 <= high for low, high in map(interval, samples)]
    assert 0.87 <= np.mean(inside) <= 0.99


def test_intervals_of_nothing():
    assert all(map(math.isnan, interval(np.array([1.0, 2.0]))))
    assert all(map(math.isnan, interval(np.array([1.0, 2.0, np.inf]))))
    assert interval(np.array([2.0, 2.0, 2.0])) == (2.0, 2.0)


def test_holm_is_its_paper():
    adjusted = holm(pd.Series({"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan}))
    assert adjusted[["a", "b", "c"]].tolist() == pytest.approx([0.03, 0.06, 0.06]) and math.isnan(adjusted["d"])


def test_p_values_are_scipys():
    a, b = pd.Series([1.0, 2.0, 4.0, 3.0]), pd.Series([1.1, 2.4, 4.2, 3.1])
    assert p_value(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    other = b.set_axis([7, 8, 9, 10])
    assert p_value(a, other) == pytest.approx(stats.ttest_ind(a, other, equal_var=False).pvalue)
    assert p_value(a, a) == 1.0 and p_value(a, a + 1) == 0.0 and math.isnan(p_value(a[:2], b[:2]))


def test_the_seeds_needed_have_the_power():
    seeds = seeds_for(0.01, 0.005)
    draws = np.random.default_rng(0).normal(0.005, 0.01, size=(4000, seeds))
    found = stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05
    assert 0.77 <= found.mean() <= 0.84


def test_seeds_needed_grow_as_the_difference_shrinks(write, tmp_path):
    frame = runs(write, tmp_path, adam=[0.9, 0.92, 0.91, 0.93], sgd=[0.9, 0.9, 0.92, 0.9])
    needed = [seeds_needed(frame, difference) for difference in (0.1, 0.01, 0.001)]
    assert needed == sorted(needed) and needed[0] >= 3 and needed[2] > 1000
    for difference in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match="difference"):
            seeds_needed(frame, difference)


def test_one_seed_is_too_few_to_count_seeds(write, tmp_path):
    with pytest.raises(UserError, match="train with more seeds"):
        seeds_needed(runs(write, tmp_path, adam=[0.9], sgd=[0.8]), 0.1)


def test_probability_of_improvement():
    assert probability_of_improvement([1, 2], [0, 0]) == 1.0
    assert probability_of_improvement([1, 2], [1, 2]) == 0.5
    assert probability_of_improvement([1, 4], [2, 3]) == 0.5


def test_all_failed_is_a_table_too(write, tmp_path):
    frame = runs(write, tmp_path, adam=[None, None], sgd=[None])
    table = compare(frame)
    assert table["done"].sum() == 0 and table["failed"].tolist() == [2, 1]
    assert evaluations(frame).empty


def test_a_run_that_is_done_without_a_measure_leaves_its_setting_without_a_mean(write, tmp_path):
    frame = runs(write, tmp_path, adam=[0.9, 0.92, 0.91], sgd=[0.8, 0.8, 0.82])
    frame.loc[frame["optimizer"] == "Adam", "final_test_accuracy"] = [0.9, math.nan, 0.91]
    table = compare(frame).set_index("optimizer")
    assert math.isnan(table.loc["Adam", "final_test_accuracy_mean"]) and table.loc["SGD", "rank"] == 1
    assert any(line.startswith("No mean of Adam: a run that is done measured no test acc") for line in answer(frame))


def test_seeds_are_counted_in_each_workload(write, tmp_path):
    frame = runs(write, tmp_path, adam=[0.9, 0.92, 0.91], sgd=[0.8, 0.83, 0.82])
    elsewhere = frame.assign(final_test_accuracy=frame["final_test_accuracy"] / 100)
    both = pd.concat([frame, elsewhere], ignore_index=True)
    both.insert(1, "workload", ["a"] * 6 + ["b"] * 6)
    assert seeds_needed(both, 0.01) == seeds_needed(frame, 0.01)


def test_a_tie_of_few_seeds_with_one_that_is_far_behind_is_called_no_equality(write, tmp_path):
    frame = runs(write, tmp_path, adam=[0.94, 0.941, 0.942], near=[0.92, 0.921, 0.922], sgd=[0.68, 0.84, 0.90])
    assert compare(frame)["tied"].tolist() == [True, False, True]
    told = next(line for line in answer(frame) if line.startswith("A tie is no equality"))
    assert "behind near, which is told from the best, lie SGD, 13.43 points, whose seeds differ" in told


def test_a_frame_made_by_hand_needs_little(write, tmp_path):
    frame = runs(write, tmp_path, adam=[0.9, 0.92, 0.91], sgd=[0.8, 0.83, None])
    little = frame[["optimizer", "seed", "status", "final_test_accuracy"]]
    expected, found = compare(frame), compare(little)
    names = ["optimizer", "rank", "done", "low", "high", "tied", "p", "final_test_accuracy_mean"]
    pd.testing.assert_frame_equal(found[names], expected[names])
    assert answer(little)[0].startswith("Best: Adam, 91.00 % test accuracy")
    assert seeds_needed(little, 0.01) == seeds_needed(frame, 0.01) and "over 3 seeds" in caption(little)


@pytest.mark.parametrize("function", [compare, answer, caption, lambda frame: seeds_needed(frame, 0.1)])
def test_a_frame_that_says_two_things_of_one_run_is_refused(write, tmp_path, function):
    frame = runs(write, tmp_path, adam=[0.9, 0.92, 0.91], sgd=[0.8, 0.83, 0.82])
    with pytest.raises(UserError, match="optimizer=Adam, seed=0 twice"):
        function(pd.concat([frame, frame.iloc[:1]], ignore_index=True))
    with pytest.raises(UserError, match="lacks seed, status"):
        function(frame.drop(columns=["seed", "status"]))


TWINS = """
from optbench.optimizers import Adam


class Twin(Adam):
    \"\"\"Adam under another name.\"\"\"


class Uncorrected(Adam):
    \"\"\"Adam, whose bias correction was forgotten.\"\"\"

    bias_correction: bool = False
"""


def test_a_twin_is_tied_and_a_planted_defect_is_not(optbench, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(TWINS)
    folder = tmp_path / "conf" / "optimizer"
    folder.mkdir(parents=True)
    for name in ("Twin", "Uncorrected"):
        (folder / f"{name.lower()}.yaml").write_text(f"_target_: planted.{name}\n_partial_: true\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.syspath_prepend(tmp_path)
    optbench(
        "train", "-m", "--config-dir", "conf", "optimizer=adam,twin,uncorrected", "optimizer.lr=0.01",
        "seed=range(5)", "data.train_size=1000", "data.test_size=500", "trainer.max_epochs=3", "figures=[]",
        "logger=none", "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=1",
    )  # fmt: skip
    table = compare(load(tmp_path / "sweep")).set_index("optimizer")
    assert table["tied"].to_dict() == {"Adam": True, "Twin": True, "Uncorrected": False}
    assert table.loc["Uncorrected", "p"] < 0.01
