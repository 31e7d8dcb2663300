"""A run that was cut off goes on bit by bit, alone or in its stack; a checkpoint that does not fit is refused."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from small import SMALL

from optbench import records
from optbench.checks import UserError
from optbench.training.checkpoint import Every
from optbench.training.module import Training

RUN = [*SMALL, "trainer.max_epochs=3", "data.chunk_size=2", "logger=none", "figures=[]"]


@pytest.fixture
def cut(monkeypatch):
    """Ask the next runs of this process to end after a chunk, by its place in the epoch and the epoch."""

    def at(epoch, index):
        hook = Training.on_train_batch_end

        def end(self, outputs, batch, batch_idx):
            if (self.current_epoch, batch_idx) == (epoch, index):
                self.keeper.ending.reason = "SIGTERM"
            hook(self, outputs, batch, batch_idx)

        monkeypatch.setattr(Training, "on_train_batch_end", end)
        return monkeypatch.undo

    return at


def assert_same(left, right):
    """Compare all that two runs left, bit by bit but for times."""
    assert left.status["status"] == right.status["status"] == "done"
    drop = ["train_seconds"]
    pd.testing.assert_frame_equal(left.metrics.drop(columns=drop), right.metrics.drop(columns=drop), check_exact=True)
    pd.testing.assert_frame_equal(left.steps, right.steps, check_exact=True)
    assert (left.trajectory[0] == right.trajectory[0]).all() and (left.trajectory[1] == right.trajectory[1]).all()
    states = [torch.load(run.directory / "checkpoint.ckpt", weights_only=True) for run in (left, right)]
    for name, tensor in states[0]["state_dict"].items():
        assert torch.equal(tensor, states[1]["state_dict"][name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "epoch", "index", "path"),
    [
        ("adam", 0, 1, "off"),
        ("adam", 1, 5, "off"),
        ("schedule_free_adamw", 1, 2, "off"),
        ("lbfgs", 1, 2, "off"),
        ("lookahead", 1, 2, "off"),
        ("lamb", 1, 2, "step"),
    ],
)
def test_a_run_that_was_cut_off_goes_on_bit_by_bit(optbench, tmp_path, cut, monkeypatch, optimizer, epoch, index, path):
    run = [*RUN, f"optimizer={optimizer}", f"compile={path}", "schedule=cosine", "schedule.unit=step"]
    optbench("train", *run, "hydra.run.dir=whole")
    undo = cut(epoch, index)
    with pytest.raises(SystemExit) as ended:
        optbench("train", *run, "hydra.run.dir=cut")
    assert ended.value.code == 1
    status = json.loads(Path("cut/status.json").read_text())
    assert (status["status"], status["reason"], status["cut"]) == ("failed", "SIGTERM", True)
    undo()
    monkeypatch.chdir(tmp_path)
    optbench("train", *run, "hydra.run.dir=cut")
    again = records.read(tmp_path / "cut")
    assert len(again.status["continued"]) == 1
    assert again.status["path"] == {"off": "plain step", "step": "compiled step"}[path]
    assert_same(again, records.read(tmp_path / "whole"))


@pytest.mark.parametrize("text", [0, -1, "5", "5 hours", "min", "-1min", "nanmin", True, 1.5])
def test_an_interval_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="checkpoint: every="):
        Every.of(text)


@pytest.mark.parametrize(("text", "every"), [(2, Every(epochs=2)), ("0.5min", Every(minutes=0.5)), (None, Every())])
def test_an_interval_is_epochs_or_minutes(text, every):
    assert Every.of(text) == every


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimizer": "AdamW"}, "is a checkpoint of AdamW, and this run has Adam"),
        ({"shapes": {"0.weight": [3, 3]}}, "another architecture: 0.weight has the shape [3, 3] there and [16, 784]"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(optbench, cut, monkeypatch, tmp_path, change, said):
    undo = cut(1, 1)
    with pytest.raises(SystemExit):
        optbench("train", *RUN, "hydra.run.dir=run")
    undo()
    monkeypatch.chdir(tmp_path)
    saved = torch.load("run/checkpoint.ckpt", weights_only=True)
    torch.save({**saved, "run": {**saved["run"], **change}}, "run/checkpoint.ckpt")
    with pytest.raises(SystemExit, match=re.escape(said)):
        optbench("train", *RUN, "hydra.run.dir=run")


def test_a_damaged_checkpoint_is_none(optbench, cut, monkeypatch, tmp_path):
    optbench("train", *RUN, "hydra.run.dir=whole")
    undo = cut(1, 1)
    with pytest.raises(SystemExit):
        optbench("train", *RUN, "hydra.run.dir=run")
    undo()
    monkeypatch.chdir(tmp_path)
    Path("run/checkpoint.ckpt").write_bytes(Path("run/checkpoint.ckpt").read_bytes()[:5000])
    optbench("train", *RUN, "hydra.run.dir=run")
    assert_same(records.read(tmp_path / "run"), records.read(tmp_path / "whole"))
