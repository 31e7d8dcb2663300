"""`optbench plan`: what a sweep would be, from a pilot that is trained, and nothing of it is begun."""

import shutil

import pytest

from optbench.checks import UserError
from optbench.commands.plan import main
from optbench.sweep.pilot import JobKind, span

TOY = ["data=linear_regression", "model=linear", "optimizer=sgd", "logger=none", "figures=[]"]
MANY = ["seed=range(60)", "replicas=off", "trainer.max_epochs=7", "hydra/launcher=slurm"]


@pytest.mark.slow
def test_plans_an_array_of_jobs_and_begins_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)  # where there is no SLURM
    main([*TOY, *MANY, "hydra.launcher.mem_gb=2", "hydra.launcher.partition=cpu", "hydra.sweep.dir=sweep"])
    said = capsys.readouterr().out
    assert "60 cells\n60 jobs: 60 of a cell each" in said
    for flag in ("array=0-59%60", "mem=2GB", "partition=cpu", "time=60", "job-name=optbench-train"):
        assert f"#SBATCH --{flag}" in said
    assert "extrapolated" in said and "core-hours" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "named"),
    [(["trainer.max_epochs=-1", "trainer.max_time=00:00:01:00"], "max_epochs"), (["--cfg", "job"], "--cfg")],
)
def test_what_has_no_plan_is_refused(typed, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=named):
        main([*TOY, *typed])
    assert not list(tmp_path.iterdir())


def test_jobs_side_by_side_take_as_long_as_the_last_of_them():
    found = [JobKind("Adam", 3, 1, 10, 0.0, 1.0, 0.1), JobKind("LBFGS", 1, 1, 10, 0.0, 0.0, 0.4)]
    assert span(found, 1) == pytest.approx(10)
    assert span(found, 2) == pytest.approx(6)
    assert span(found, 100) == pytest.approx(4)
