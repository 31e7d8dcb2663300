"""A constructor that ends or hangs the process that looks at it stops no other cell, and is named."""

import os
import signal
import warnings
from pathlib import Path

import pytest
import torch

from optbench import records
from optbench.sweep.look import unharmed

HARM = """
import os, time
from torch import nn

def model(features, outputs, how="none"):
    if how == "exit": os._exit(0)
    if how == "hang": time.sleep(1000)
    if how == "wrong": raise ValueError("no such layer")
    return nn.Linear(features, outputs)
"""
SWEEP = ["train", "-m", "data=linear_regression", "model._target_=harm.model", "optimizer=sgd", "logger=none"]


@pytest.mark.slow
def test_what_ends_or_hangs_the_look_fails_alone(optbench, monkeypatch, tmp_path, capfd):
    (tmp_path / "harm.py").write_text(HARM)
    monkeypatch.syspath_prepend(str(tmp_path))
    small = ["trainer.max_epochs=1", "figures=[]", "timeout=0.05", "hydra.sweep.dir=sweep"]
    with pytest.raises(SystemExit) as ended:
        optbench(*SWEEP, *small, "model.how=none,exit,hang,other", "hydra.sweep.subdir=${model.how}")
    assert "2 of 4 runs failed" in str(ended.value)
    found = {
        how: (records.status_of(Path("sweep", how)) or {}).get("status") for how in ("none", "other", "exit", "hang")
    }
    assert (found["none"], found["other"]) == ("done", "done")
    assert found["exit"] == "failed" and found["hang"] in ("failed", "timed out")


def test_what_is_wrong_with_it_is_said_before_anything_is_written(optbench, monkeypatch, tmp_path):
    (tmp_path / "harm.py").write_text(HARM)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit, match="model: ValueError: no such layer"):
        optbench(*SWEEP, "model.how=none,wrong", "hydra.sweep.dir=sweep")
    assert not Path("sweep").exists()


def test_code_of_others_leaves_this_process_as_it_was(tmp_path):
    before = os.getcwd(), dict(os.environ), torch.get_default_dtype(), list(warnings.filters)
    heard = signal.getsignal(signal.SIGTERM)
    with unharmed():
        os.chdir("/")
        os.environ["HARM"] = "1"
        os.umask(0o777)
        torch.set_default_dtype(torch.float64)
        warnings.filterwarnings("error")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert (os.getcwd(), dict(os.environ), torch.get_default_dtype(), list(warnings.filters)) == before
    assert signal.getsignal(signal.SIGTERM) is heard
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o400
