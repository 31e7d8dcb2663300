"""The same command again trains what is missing, failed or was cut off, into the same sweep."""

import json
import os
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from small import SMALL

from optbench import records
from optbench.sweep import ledger

REGRESSION = ["data=linear_regression", "model=linear", "optimizer=sgd", "trainer.max_epochs=3", "logger=none"]
SWEEP = ["train", "-m", *REGRESSION, "figures=[]", "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2"]


def die_once(t, eta0, at):
    """A schedule that kills its process, the first time only."""
    if t == at and not os.path.exists("died"):
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return eta0


def fail_once(t, eta0, at):
    """A schedule that raises, the first time only."""
    if t == at and not os.path.exists("raised"):
        Path("raised").touch()
        raise RuntimeError("once")
    return eta0


def files():
    return {path: path.stat().st_mtime_ns for path in Path("sweep").glob("*/status.json")}


def test_the_same_command_trains_what_failed_and_leaves_the_rest_alone(optbench):
    cells = ["schedule._target_=test_resume_sweep.fail_once", "schedule.at=2,70,80"]
    with pytest.raises(SystemExit, match="1 of 3 runs failed:\n  sweep/0_sgd_seed0: RuntimeError: once"):
        optbench(*SWEEP, *cells)
    before = files()
    optbench(*SWEEP, *cells)
    after = files()
    assert [run.status["status"] for run in records.find(Path("sweep"))] == ["done"] * 3
    assert [path.parent.name for path in before if before[path] != after[path]] == ["0_sgd_seed0"]


def test_more_cells_join_a_sweep_and_no_two_share_a_directory(optbench):
    optbench(*SWEEP, "optimizer.lr=0.01")
    optbench(*SWEEP, "optimizer.lr=0.02,0.01,0.03")
    runs = records.find(Path("sweep"))
    assert sorted(run.config["optimizer"]["lr"] for run in runs) == [0.01, 0.02, 0.03]
    known = {entry.key: entry.directory for entry in ledger.entries(Path("sweep"))}
    assert known == {run.key: run.directory.name for run in runs}


def test_all_is_trained_again_where_asked(optbench):
    optbench(*SWEEP, "seed=0,1")
    before = files()
    optbench(*SWEEP, "seed=0,1", "rerun=all")
    assert before and all(files()[path] > before[path] for path in before)


def test_figures_that_the_same_command_asks_for_later_are_drawn(optbench):
    sweep = [argument for argument in SWEEP if not argument.startswith("figures")]
    optbench(*sweep, "seed=0,1", "figures=[]", "workload.target=0.5")
    before = files()
    optbench(*sweep, "seed=0,1", "figures=[norms]", "workload.target=0.5")
    assert files() == before and Path("sweep/report/norms.png").exists()
    with pytest.raises(SystemExit, match="was trained with workload.target=0.5, and has ended; give target=0.1 to"):
        optbench(*sweep, "seed=0,1", "workload.target=0.1")
    assert files() == before


def test_a_single_run_is_trained_again_where_asked(optbench, capsys):
    single = ["train", *REGRESSION, "schedule=cosine", "figures=[]", "hydra.run.dir=sweep/run"]
    optbench(*single)
    before = files()
    optbench(*single)
    assert files() == before and "rerun=all trains it again" in capsys.readouterr().out
    optbench(*single, "rerun=failed")
    assert files() == before
    optbench(*single, "rerun=all")
    assert all(files()[path] > before[path] for path in before)
    with pytest.raises(SystemExit, match="rerun=all begins a run anew and resume goes on with it; give one of them"):
        optbench("train", "resume=sweep/run", "rerun=all")
    capsys.readouterr()
    optbench("train", "resume=sweep/run", "trainer.max_epochs=4")
    assert re.search(r"schedule: it spans the run, which has \d+ steps now; the \d+ so far", capsys.readouterr().out)


def test_a_sweep_ends_with_its_first_failure_where_asked(optbench):
    bad = ["schedule._target_=test_resume_sweep.fail_once", "schedule.at=2,70,80,90", "fail_fast=true", "replicas=off"]
    with pytest.raises(SystemExit, match="runs failed"):
        optbench(*[*SWEEP[:-1], "hydra.launcher.n_jobs=1"], *bad)
    told = [state.status for state in ledger.states(Path("sweep"))]
    assert told[0] == "failed" and "waiting" in told


@pytest.mark.parametrize("way", ["off", pytest.param("step", marks=pytest.mark.slow)])
def test_a_stack_that_was_killed_goes_on_bit_by_bit(optbench, tmp_path, way):
    cells = [
        f"compile={way}",
        *SMALL,
        "trainer.max_epochs=3",
        "optimizer=nag",
        "seed=0,1",
        "optimizer.lr=0.01,0.02",
        "replicas=4",
    ]
    cells += [
        "schedule._target_=test_resume_sweep.die_once",
        "schedule.at=2",
        "schedule.unit=epoch",
        "checkpoint.every=1",
        "figures=[]",
    ]
    Path("died").touch()
    optbench("train", "-m", *cells, "hydra.sweep.dir=whole")
    Path("died").unlink()
    with pytest.raises(SystemExit, match="4 of 4 runs failed"):
        optbench("train", "-m", *cells, "hydra.sweep.dir=cut")
    optbench("train", "-m", *cells, "hydra.sweep.dir=cut")
    whole, cut = (records.find(tmp_path / name) for name in ("whole", "cut"))
    assert len(cut) == 4 and all(run.status["stacked"] == 4 and run.status["continued"] for run in cut)
    for one, other in zip(whole, cut, strict=True):
        drop = ["train_seconds"]
        pd.testing.assert_frame_equal(one.metrics.drop(columns=drop), other.metrics.drop(columns=drop))
        pd.testing.assert_frame_equal(one.steps, other.steps, check_exact=True)
        assert (one.trajectory[1] == other.trajectory[1]).all()
        states = [torch.load(run.directory / "checkpoint.ckpt", weights_only=True) for run in (one, other)]
        assert all(torch.equal(states[0]["state_dict"][k], v) for k, v in states[1]["state_dict"].items())
    assert not list(tmp_path.glob("cut/*/stack.*"))
    assert json.loads((tmp_path / "cut" / "cells.json").read_text())
