"""`optbench status`, and a directory given by resume: what is there is shown, and gone on with."""

import json
from pathlib import Path

import pytest

from optbench import records

REGRESSION = ["data=linear_regression", "model=linear", "optimizer=sgd", "trainer.max_epochs=2", "logger=none"]
SWEEP = ["train", "-m", *REGRESSION, "figures=[]", "seed=0,1", "hydra.launcher.n_jobs=2"]


def test_every_cell_is_shown_those_never_begun_included(optbench, capsys):
    optbench(*SWEEP, "hydra.sweep.dir=sweep", "name='[bold]'")
    entries = json.loads(Path("sweep/cells.json").read_text())
    Path("sweep/cells.json").write_text(json.dumps([*entries, entries[0] | {"key": "x", "num": 2, "directory": "2_x"}]))
    status = Path("sweep/1_sgd_seed1/status.json")
    status.write_text(json.dumps(json.loads(status.read_text()) | {"status": "running", "finished": None}))
    capsys.readouterr()
    optbench("status", "sweep", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [(row["directory"], row["status"]) for row in found] == [
        ("0_sgd_seed0", "done"),
        ("1_sgd_seed1", "stale"),
        ("2_x", "waiting"),
    ]
    optbench("status", "sweep")
    shown = capsys.readouterr().out
    assert "1 done, 1 stale, 1 waiting" in shown and "2/2" in shown and "cut off; begun" in shown
    lock = records.Lock(Path("sweep/1_sgd_seed1"))
    optbench("status", "sweep")
    assert "1 running" in capsys.readouterr().out
    lock.release()


@pytest.mark.parametrize(
    "damage", ['{"a": 1}', "[1]", '[{"key": "x", "num": 1, "directory": "../y", "overrides": []}]']
)
def test_a_damaged_ledger_is_said_in_one_line(optbench, damage):
    Path("sweep").mkdir()
    Path("sweep/cells.json").write_text(damage)
    with pytest.raises(SystemExit, match="optbench: sweep/cells.json is damaged"):
        optbench("status", "sweep")


def test_resume_names_the_sweep_that_is_there(optbench, capsys):
    optbench(*SWEEP)
    optbench(*SWEEP, "resume=latest", "optimizer.lr=0.5")
    [sweep] = Path("results/runs/train").iterdir()
    assert len(records.find(sweep)) == 4
    optbench(*SWEEP, f"resume={sweep}")
    assert len(records.find(sweep)) == 4
    with pytest.raises(SystemExit, match="resume=nowhere is no directory"):
        optbench(*SWEEP, "resume=nowhere")
    with pytest.raises(SystemExit, match="there is no sweep in results/runs/other yet"):
        optbench(*SWEEP, "resume=latest", "name=other")


def test_a_finished_run_is_trained_longer(optbench, capsys):
    optbench("train", *REGRESSION, "hydra.run.dir=run")
    optbench("train", *REGRESSION, "hydra.run.dir=run")
    assert "this run is done already" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2 epochs are trained already"):
        optbench("train", "resume=run")
    for other in ("optimizer=adam", "optimizer.lr=0.5", "data.batch_size=3", "seed=4", "trainer.gradient_clip_val=1"):
        with pytest.raises(SystemExit, match=f"{other}: resume=run goes on with the settings that it began with"):
            optbench("train", "resume=run", other, "trainer.max_epochs=5")
    assert records.read(Path("run")).status["status"] == "done"
    saved = Path("run/checkpoint.ckpt").rename("checkpoint.ckpt")
    with pytest.raises(SystemExit, match="resume=run: checkpoint.ckpt is missing or cannot be read; train it anew"):
        optbench("train", "resume=run", "trainer.max_epochs=5")
    saved.rename("run/checkpoint.ckpt")
    optbench("train", "resume=run", "trainer.max_epochs=5")
    assert "schedule:" not in capsys.readouterr().out
    optbench("train", *REGRESSION, "trainer.max_epochs=5", "hydra.run.dir=whole")
    longer, whole = records.read(Path("run")), records.read(Path("whole"))
    assert longer.status["status"] == "done" and longer.key == whole.key
    drop = ["train_seconds"]
    assert longer.metrics.drop(columns=drop).equals(whole.metrics.drop(columns=drop))
    assert (longer.trajectory[1][-1] == whole.trajectory[1][-1]).all()


@pytest.mark.parametrize(
    "override", ["trainer._target_=os.makedirs", "+hydra.callbacks.x._target_=os.makedirs", "name=${oc.env:HOME}"]
)
def test_a_strangers_run_does_nothing_when_it_is_resumed(optbench, override):
    optbench("train", *REGRESSION, "hydra.run.dir=run")
    status = json.loads(Path("run/status.json").read_text())
    Path("run/status.json").write_text(json.dumps(status | {"overrides": [*status["overrides"], override]}))
    with pytest.raises(SystemExit, match="would do more than set a value"):
        optbench("train", "resume=run", "trainer.max_epochs=5")


@pytest.mark.parametrize("name", ["../../x", "[/foo]", "a/b", ".."])
def test_a_name_that_is_no_folders_is_refused(optbench, tmp_path, name):
    with pytest.raises(SystemExit, match="train: name=.* names no folder"):
        optbench("train", *REGRESSION, f"name={name}")
    assert list(tmp_path.iterdir()) == []
