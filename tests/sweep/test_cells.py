"""A sweep's cells: no two are one run, and no two go to one place; those that fail are named at the end."""

import pytest
from small import SMALL

from optbench import records

REGRESSION = ["data=linear_regression", "model=linear", "optimizer=sgd", "trainer.max_epochs=2", "logger=none"]
SWEEP = ["train", "-m", *REGRESSION, "figures=[]", "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=1"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=0,0"], "cells 0 and 1 of the sweep are the same run: '.*seed=0.*' and '.*seed=0.*'"),
        (["optimizer.lr=1e-1,0.1"], "are the same run: '.*lr=0.1.*'"),
        (["optimizer.lr=1,1.0"], "are the same run"),
        (["optimizer=adam,adam"], "are the same run"),
        (["optimizer.lr=0.01,0.02", "figures=[],[curves]"], "are the same run: '.*figures=.*'"),
        (["seed=0,1", "hydra.sweep.subdir=one"], "'.*seed=0.*' and '.*seed=1.*' would both be recorded in sweep/one"),
        (["seed=0,1", "hydra.sweep.dir=sweep/${seed}"], "hydra.sweep.dir is .* a sweep has one directory"),
        (
            ["seed=0,1", "hydra.sweep.subdir=../../x/${seed}"],
            "hydra.sweep.subdir=../../x/0 is not in the sweep's directory",
        ),
        (
            ["seed=0,1", "hydra.sweep.subdir=/tmp/x/${seed}"],
            "hydra.sweep.subdir=/tmp/x/0 is not in the sweep's directory",
        ),
    ],
)
def test_two_cells_are_two_runs_in_two_places(optbench, tmp_path, overrides, said):
    with pytest.raises(SystemExit, match=said) as refusal:
        optbench(*SWEEP, *overrides)
    assert "\n" not in str(refusal.value) and list(tmp_path.iterdir()) == []


def test_equal_cells_are_found_however_their_defaults_are_typed(optbench, tmp_path):
    with pytest.raises(SystemExit, match="are the same run"):
        optbench(*SWEEP, "optimizer=adam", "++optimizer.beta1=0.9,0.90", "++optimizer.beta2=0.999")


def leave(t, eta0, at):
    if t == at:
        raise SystemExit(3)
    return eta0


def raise_error(t, eta0, at):
    if t == at:
        raise RuntimeError("no more")
    return eta0


@pytest.mark.parametrize(
    ("function", "reason"), [("leave", r"sys.exit\(3\)"), ("raise_error", "RuntimeError: no more")]
)
def test_a_sweep_with_failed_cells_names_them_last_and_reports_all_the_same(
    optbench, tmp_path, capfd, function, reason
):
    bad = [f"schedule._target_=test_cells.{function}", "schedule.at=1,7"]
    with pytest.raises(SystemExit, match=f"(?s)1 of 2 runs failed:\n  sweep/0_sgd_seed0: {reason}"):
        optbench(*SWEEP, *bad)
    assert [run.status["status"] for run in records.find(tmp_path / "sweep")] == ["failed", "done"]
    assert (tmp_path / "sweep" / "report" / "table.md").exists()


def test_a_replica_that_raises_is_trained_alone_and_its_stack_goes_on(optbench, tmp_path):
    bad = ["schedule._target_=test_cells.raise_error", "schedule.at=1,70,80", "replicas=3", "schedule.unit=step"]
    with pytest.raises(SystemExit, match="1 of 3 runs failed"):
        optbench("train", "-m", *SMALL, "optimizer=sgd", *bad, "figures=[]", "hydra.sweep.dir=sweep")
    told = [(run.status["status"], run.status.get("stacked", 1)) for run in records.find(tmp_path / "sweep")]
    assert told == [("failed", 1), ("done", 3), ("done", 3)]


def broken(features, outputs):
    raise RuntimeError("a constructor that fails")


def test_a_constructor_that_fails_is_named_by_the_check_before_anything_is_written(optbench, tmp_path):
    with pytest.raises(SystemExit, match="optbench: model: RuntimeError: a constructor that fails"):
        optbench(*SWEEP, "model._target_=optbench.models.linear,test_cells.broken")
    assert list(tmp_path.iterdir()) == []
