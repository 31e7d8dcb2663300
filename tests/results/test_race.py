"""Time to target by workload and contender: stated targets, failures that count as missed, and nobody left out."""

import math

import pytest

from optbench.checks import UserError
from optbench.plots.race import profile, time_to_target
from optbench.results import performance_profile, profile_score, read
from optbench.results.clocks import CLOCKS
from optbench.results.race import race


def falling(at):
    """Return ten epochs whose accuracy rises by a straight line and reaches 0.9 in epoch `at`."""
    values = [min(1.0, 0.9 * epoch / at) for epoch in range(11)]
    return [
        {"test_accuracy": x, "test_loss": 1 - x, "train_loss": 1 - x, "grad_evals": 20 * i}
        for i, x in enumerate(values)
    ]


@pytest.fixture
def problem(write):
    """Write runs of an optimizer, a seed each, that reach the target in so many epochs; a workload is a width."""

    def written(optimizer, epochs, width=32, lost=(), **config):
        model = {"_target_": "optbench.models.mlp", "hidden": [width]}
        data = {"_target_": "optbench.data.MNISTSubset"}
        for seed, at in enumerate(epochs):
            status = "diverged" if seed in lost else "done"
            typed = [f"optimizer={optimizer}", f"seed={seed}"]
            groups = {"model": model, "data": data} | config
            write(f"{optimizer}{width}{seed}", typed, falling(at), status, **groups)

    return written


def test_the_target_of_a_data_set_is_from_an_independent_baseline(problem, tmp_path):
    problem("sgd", (2, 4, 6))
    found = race(read(tmp_path))
    assert found.times["step"].tolist() == pytest.approx([20 * 0.89 / 0.9, 40 * 0.89 / 0.9, 60 * 0.89 / 0.9])
    assert found.times["grad_evals"].tolist() == pytest.approx([40 * 0.89 / 0.9, 80 * 0.89 / 0.9, 120 * 0.89 / 0.9])
    assert "Target: test accuracy 89 % (what logistic regression reaches" in found.words


def test_a_target_that_is_stated_with_the_runs_goes_first_and_one_chosen_later_says_so(problem, tmp_path):
    problem("sgd", (2,), workload={"name": "mine", "target": 0.45})
    found = race(read(tmp_path))
    assert list(found.targets) == ["mine"] and found.words == "Target: test accuracy 45 % (stated before the runs)."
    assert found.times["step"].tolist() == pytest.approx([10])
    assert "chosen after the runs" in race(read(tmp_path), 0.2).words


def test_failures_and_what_was_never_run_are_missed_and_counted(problem, tmp_path):
    problem("sgd", (2, 2, 2))
    problem("adam", (1, 1, 1), lost=(0, 1))
    problem("sgd", (2, 2, 2), width=64)
    found = race(read(tmp_path))
    times = found.by_seed("step")
    assert times.shape == (6, 2) and (times["Adam"] == math.inf).sum() == 5
    assert profile_score(times).to_dict() == {"SGD": 1.0, "Adam": 0.0}
    assert performance_profile(times, 4.0)["Adam"] == 0
    middle = found.medians().set_index(["workload", "contender"])
    assert (middle["reached"] <= middle["runs"]).all() and len(middle) == 3


def test_of_a_rate_that_was_swept_the_best_takes_part(problem, tmp_path, write):
    for i, (rate, at) in enumerate(((0.1, 9.5), (0.2, 2), (0.3, 5))):
        optimizer = {"_target_": "optbench.optimizers.SGD", "lr": rate}
        data = {"_target_": "optbench.data.MNISTSubset"}
        write(str(i), ["optimizer=sgd", "seed=0"], falling(at), optimizer=optimizer, data=data)
    found = race(read(tmp_path))
    assert found.times["contender"].tolist() == ["SGD"]
    assert found.times["step"].tolist() == pytest.approx([20 * 0.89 / 0.9])


def test_few_that_ran_elsewhere_are_named(problem, tmp_path):
    for name in ("sgd", "adam", "lion"):
        problem(name, (2,))
    problem("muon", (2,), width=64)
    found = race(read(tmp_path))
    assert len(found.targets) == 1 and any("few optimizers ran on" in note for note in found.notes)


def test_a_baseline_is_of_our_data_set_and_of_targets_that_differ_the_first_is_named(problem, tmp_path):
    problem("sgd", (2,), data={"_target_": "mine.Digits"})
    assert not race(read(tmp_path)).targets
    for optimizer, target in (("adam", 0.45), ("lion", 0.9)):
        problem(optimizer, (2,), workload={"name": "mine", "target": target})
    assert any("several targets were stated for mine, of which" in note for note in race(read(tmp_path)).notes)


@pytest.mark.parametrize("figure", [profile, time_to_target])
def test_without_a_target_the_figures_are_refused_in_a_line(problem, tmp_path, figure):
    problem("sgd", (2,), data={"_target_": "mine.Data"})
    with pytest.raises(UserError, match="no target is stated for Data, mlp: give workload.target="):
        figure(read(tmp_path), "")
    assert figure(read(tmp_path), "", 0.5).axes


@pytest.mark.parametrize("count", [1, 20])
def test_a_crowd_has_a_panel_each_and_few_share_one_a_clock(problem, tmp_path, count):
    for i in range(count):
        problem(f"rule{i}", (2 + i % 3, 3 + i % 3, 4))
    names = {f"rule{i}" for i in range(count)}
    axes = profile(read(tmp_path), "").axes
    if count == 1:
        assert len(axes) == len(CLOCKS)
    else:
        assert {ax.get_title().partition(":")[0] for ax in axes} == names
    labels = [text.get_text() for text in time_to_target(read(tmp_path), "").axes[0].get_yticklabels()]
    assert set(labels) == names


def test_one_that_is_far_behind_does_not_squash_the_others(problem, tmp_path):
    for name, at in (("sgd", 0.1), ("adam", 0.12), ("slow", 9)):
        problem(name, (at,) * 3)
    axes = time_to_target(read(tmp_path), "").axes
    assert [ax.get_xscale() for ax in axes] == ["log"] * len(CLOCKS)


def test_a_target_that_one_begins_beyond_is_drawn_for_all(problem, tmp_path):
    for width in (32, 64):
        problem("sgd", (2, 2, 2), width)
        problem("adam", (3, 3, 3), width)
    figure = time_to_target(read(tmp_path), "", target=0.0)
    for ax in figure.axes:
        assert all(math.isfinite(x) for line in ax.lines for x in line.get_xdata())
        assert len(ax.lines) == 4


def test_what_nobody_reached_is_missed_by_all(problem, tmp_path):
    for name, at in (("sgd", 2), ("adam", 4)):
        problem(name, (at,) * 3)
        problem(name, (100,) * 3, width=64)
    for ax in time_to_target(read(tmp_path), "").axes:
        crosses = [line for line in ax.lines if line.get_marker() == "x"]
        dots = [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "o"]
        assert len(crosses) == 2 and sorted(map(len, dots)) == [1, 1]
        assert sum(dots, []) == pytest.approx([1.0, 2.0])
