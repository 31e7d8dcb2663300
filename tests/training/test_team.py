"""A run on several devices: the result of one process, one record, and an end for all where one ends."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from small import SMALL

from optbench import records
from optbench.training.team import Team

SHARED = ["train", *SMALL, "data.val_fraction=0.1", "data.batch_size=70", "checkpoint.every=1", "trainer=ddp"]
LOSSES = ["train_loss", "val_loss", "test_loss", "grad_norm", "weight_norm"]


def die_once(t, eta0):
    """A schedule that kills the second process in the second epoch, the first time only."""
    if t == 1 and dist.is_initialized() and dist.get_rank() == 1 and not os.path.exists("died"):
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return eta0


def raise_apart(t, eta0):
    """A schedule that fails in the second process alone."""
    if dist.is_initialized() and dist.get_rank() == 1:
        raise RuntimeError("no more")
    return eta0


def weights(directory):
    return torch.load(directory / "checkpoint.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize(("samples", "size"), [(64, 2), (5, 3), (1, 2), (2, 4)])
def test_every_sample_is_one_process_s(samples, size):
    shares = [Team(rank, size).share(samples) for rank in range(size)]
    assert sum(weight for _, weight in shares) == pytest.approx(1)
    taken = [i for rows, weight in shares if weight for i in range(samples)[rows]]
    assert taken == list(range(samples)) and all(len(range(samples)[rows]) for rows, _ in shares)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [["optimizer=adam"], ["optimizer=muon", "trainer.gradient_clip_val=0.5"]])
def test_two_processes_leave_the_record_of_one(optbench, tmp_path, rule):
    optbench(*SHARED, *rule, "trainer=default", "hydra.run.dir=one")
    optbench(*SHARED, *rule, "hydra.run.dir=two")
    one, two = (records.read(tmp_path / name) for name in ("one", "two"))
    assert two.status["status"] == "done" and two.status["processes"] == 2
    pd.testing.assert_frame_equal(one.metrics[LOSSES], two.metrics[LOSSES], rtol=1e-4)
    pd.testing.assert_frame_equal(one.steps, two.steps, rtol=1e-4)
    for name, tensor in weights(one.directory).items():
        torch.testing.assert_close(weights(two.directory)[name], tensor, rtol=1e-3, atol=1e-5)
    files = [sorted(path.name.split(".")[0] for path in run.directory.iterdir()) for run in (one, two)]
    assert files[0] == files[1] and len(list(two.directory.glob("events.*"))) == 1


@pytest.mark.slow
def test_a_run_that_lost_a_process_goes_on_bit_by_bit(optbench, tmp_path):
    slow = ["schedule._target_=test_team.die_once", "schedule.unit=epoch", "optimizer=adam", "logger=none"]
    with pytest.raises(SystemExit):
        optbench(*SHARED, *slow, "hydra.run.dir=cut")
    cut = records.read(tmp_path / "cut")
    assert cut.status["status"] == "failed" and cut.status["reason"] == "process 1 of the run was killed by SIGKILL"
    optbench(*SHARED, *slow, "hydra.run.dir=cut")
    optbench(*SHARED, *slow, "hydra.run.dir=whole")
    whole, cut = (records.read(tmp_path / name) for name in ("whole", "cut"))
    assert len(cut.status["continued"]) == 1
    pd.testing.assert_frame_equal(whole.steps, cut.steps, check_exact=True)
    assert all(torch.equal(weights(cut.directory)[name], tensor) for name, tensor in weights(whole.directory).items())


@pytest.mark.slow
def test_what_fails_in_one_process_alone_is_said(optbench, tmp_path):
    with pytest.raises(SystemExit):
        optbench(*SHARED, "schedule._target_=test_team.raise_apart", "logger=none", "hydra.run.dir=run")
    reason = records.read(tmp_path / "run").status["reason"]
    assert reason == "process 1 of the run ended by RuntimeError: no more"
