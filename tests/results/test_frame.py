"""One row a run: what tells the runs apart, how they ended, and none dropped."""

import shutil

import pytest

from optbench import records
from optbench.checks import UserError
from optbench.results.frame import evaluations, labels, load, steps


def test_a_sweep_is_labelled_by_what_varies_in_it(swept):
    frame = load(swept)
    assert labels(frame) == ["optimizer", "lr"]
    cells = set(frame[["optimizer", "lr", "seed"]].itertuples(index=False, name=None))
    assert cells == {(o, lr, seed) for o in ("SGD", "Adam") for lr in (0.01, 1e12) for seed in (0, 1)}
    assert set(frame["status"].where(frame["lr"] == 0.01, "diverged")) == {"done", "diverged"}


def test_a_row_holds_what_the_record_says(swept):
    row = load(swept).iloc[0]
    metrics = records.read(swept / "0_sgd_seed0").metrics
    assert row["final_test_accuracy"] == metrics["test_accuracy"].iloc[-1]
    assert row["best_test_accuracy"] == metrics["test_accuracy"].max()
    assert row["best_train_loss"] == metrics["train_loss"].min()
    assert (row["epoch"], row["step"]) == (2, metrics["step"].iloc[-1])
    assert row["command"] == records.read(swept / "0_sgd_seed0").status["command"]


def test_cells_of_the_ledger_count_though_no_run_of_their_optimizer_was_begun(swept, tmp_path):
    partial = tmp_path / "partial"
    shutil.copytree(swept, partial)
    for run in partial.glob("*_adam_*"):
        shutil.rmtree(run)
    (partial / "0_sgd_seed0" / "config.yaml").write_text("damaged")
    frame = load(partial)
    assert len(frame) == 8 and labels(frame) == ["optimizer", "lr"]
    missing = frame[frame["status"] == "missing"]
    assert sorted(missing["optimizer"]) == ["Adam"] * 4 + ["SGD"]
    assert set(missing["reason"]) == {"never begun", "its record cannot be read"}
    assert set(missing["directory"]) == {""}
    assert len(load(partial / "1_sgd_seed1")) == 1
    (partial / "cells.json").write_text("[1]")
    assert len(load(partial)) == 4  # the grid of those that are there: SGD by two rates and two seeds


def test_evaluations_and_steps_point_to_their_runs(swept):
    frame = load(swept)
    done = frame.index[frame["status"] == "done"]
    last = evaluations(frame).groupby("run").last()
    assert last.loc[done, "test_loss"].tolist() == frame.loc[done, "final_test_loss"].tolist()
    assert steps(frame).groupby("run")["step"].max()[done].tolist() == frame.loc[done, "step"].tolist()


def test_one_run_is_labelled_by_its_optimizer_alone(swept):
    frame = load(swept / "0_sgd_seed0")
    assert labels(frame) == ["optimizer"] and frame["optimizer"].tolist() == ["SGD"]


def test_a_cell_that_was_never_begun_is_missing_and_not_dropped(swept, tmp_path):
    shutil.copytree(swept, tmp_path / "partial")
    shutil.rmtree(tmp_path / "partial" / "4_adam_seed0")
    frame = load(tmp_path / "partial")
    lost = frame[frame["status"] == "missing"]
    assert len(frame) == 8 and lost[["optimizer", "lr", "seed"]].values.tolist() == [["Adam", 0.01, 0]]
    assert len(evaluations(frame)["run"].unique()) == 7


def test_a_run_that_never_ended_is_stale(write):
    directory = write("a", ["optimizer=sgd", "seed=0"], [{"train_loss": 1.0}], status="running")
    assert load(directory)["status"].tolist() == ["stale"]


def test_labels_take_the_shortest_name_that_is_unique(write, tmp_path):
    for i, size in enumerate((8, "full")):
        rule = {"_target_": "optbench.optimizers.SGD", "lr": i}
        data = {"_target_": "optbench.data.MNIST", "batch_size": size}
        write(str(i), ["optimizer=sgd", "seed=0"], [{}], optimizer=rule, data=data, schedule={"lr": i})
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer", "batch_size", "optimizer.lr", "schedule.lr"]
    assert frame["batch_size"].tolist() == [8, "full"]


def test_sizes_that_a_study_sets_by_optimizer_are_labels(write, tmp_path):
    for optimizer, size in ("sgd", 10000), ("adam", 1000):
        data = {"_target_": "optbench.data.MNIST", "train_size": size, "batch_size": 64}
        write(optimizer, [f"optimizer={optimizer}", "seed=0"], [{}], data=data)
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer", "train_size"] and sorted(frame["train_size"]) == [1000, 10000]


def test_a_config_of_the_user_keeps_its_name(write, tmp_path):
    write("a", ["optimizer=adam", "seed=0"], [{}])
    write("b", ["optimizer=adam_for_me", "seed=0"], [{}])
    assert load(tmp_path)["optimizer"].tolist() == ["Adam", "adam_for_me"]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match="no runs in .*; give a directory that"):
        load(tmp_path)
