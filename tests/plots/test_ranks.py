"""Ranks by epoch and by schedule: who takes part, what lines are called, and which have a colour."""

import pytest

from optbench.plots.ranks import AHEAD, FEW, GREY, MOVED, ranks
from optbench.results import read


@pytest.fixture
def written(write, tmp_path):
    """Write so many optimizers under two schedules, the second of which turns their order round."""

    def make(count, **config):
        for i in range(count):
            for schedule, places in (("constant", i), ("cosine", count - i)):
                epochs = [{"test_accuracy": 0.5 + places / 100, "test_loss": 1.0} for _ in range(3)]
                config["optimizer"] = {"_target_": f"mine.Rule{i}"}
                config["schedule"] = {"_target_": f"optbench.schedules.{schedule}"}
                write(f"{schedule}{i}", [f"optimizer=rule{i}", "seed=0"], epochs, **config)
        return read(tmp_path)

    return make


def test_there_is_a_panel_for_each_schedule_and_one_between_them(written):
    constant, cosine, end = ranks(written(3), "").axes
    assert [ax.get_title() for ax in (constant, cosine, end)] == ["constant", "cosine", "at the end, by schedule"]
    assert [list(line.get_ydata()) for line in end.lines] == [[3, 1], [2, 2], [1, 3]]
    assert [text.get_text() for text in end.texts] == ["Rule0", "Rule1", "Rule2"]


def test_of_many_those_have_a_colour_that_are_ahead_or_move(written):
    end = ranks(written(FEW + 6), "").axes[-1]
    strong = [line for line in end.lines if line.get_color() != GREY]
    assert 2 * AHEAD <= len(strong) <= 2 * AHEAD + MOVED
    assert all(min(line.get_ydata()) <= AHEAD or abs(line.get_ydata()[0] - line.get_ydata()[1]) > 5 for line in strong)
    assert all(min(line.get_ydata()) > AHEAD for line in end.lines if line not in strong)


def test_of_a_tuned_study_the_winners_take_part(write, tmp_path):
    for trials, lr in (("defaults", 0.1), (4, 0.02)):
        for schedule in ("constant", "cosine"):
            rate = lr if schedule == "cosine" or trials == "defaults" else 0.03
            write(
                f"{schedule}{trials}", ["optimizer=sgd", "seed=0"], [{"test_accuracy": lr, "test_loss": 1.0}] * 2,
                optimizer={"_target_": "optbench.optimizers.SGD", "lr": rate, "search": {"lr": [0.01, 1]}},
                schedule={"_target_": f"optbench.schedules.{schedule}"},
                tuning={"stage": "finals", "trials": trials},
            )  # fmt: skip
    axes = ranks(read(tmp_path), "").axes
    assert [[text.get_text() for text in ax.texts] for ax in axes] == [["SGD"]] * 3


def test_of_several_workloads_each_has_its_ranks_and_its_own_measure(write, tmp_path):
    for workload, epochs, what, better in (("few", 2, "test_accuracy", 1), ("many", 4, "test_loss", -1)):
        for place, name in enumerate(("Best", "Middle", "Worst")):
            for seed in range(2):
                rows = [{what: 0.5 - better * (place + epoch) / 100} for epoch in range(epochs + 1)]
                data = {"_target_": f"mine.{workload}"}
                write(
                    f"{workload}{name}{seed}", [f"optimizer={name.lower()}", f"seed={seed}"], rows,
                    optimizer={"_target_": f"mine.{name}"}, workload={"name": workload}, data=data,
                )  # fmt: skip
    means, ends = ranks(read(tmp_path), "").axes
    assert [list(line.get_ydata())[-1] for line in means.lines] == [1, 2, 3]
    assert [text.get_text() for text in ends.get_xticklabels()] == ["few", "many"]
    assert ends.images[0].get_array().tolist() == [[1, 1], [2, 2], [3, 3]]
