"""Sweeps, as a user types them: checked as a whole, trained side by side, compared at the end."""

import io
from contextlib import redirect_stdout

import pytest
from small import SMALL

from optbench import records

pytestmark = pytest.mark.slow  # processes of their own


@pytest.fixture(scope="module")
def swept(type_in, tmp_path_factory):
    """A small `study=seven`: where it went, and what it printed."""
    folder = tmp_path_factory.mktemp("sweep")
    with redirect_stdout(io.StringIO()) as printed:
        type_in(
            folder, "train", "-m", "study=seven", *SMALL, "seed=0,1", "hydra.sweep.dir=sweep", "++optimizer.lr=0.01"
        )
    return folder / "sweep", printed.getvalue()


def test_every_cell_leaves_a_finished_run(swept):
    runs = records.find(swept[0])
    assert len(runs) == 14
    assert {run.status["status"] for run in runs} == {"done"}
    assert {(run.config["optimizer"]["_target_"].split(".")[-1], run.config["seed"]) for run in runs} == {
        (name, seed) for name in ("SGD", "Momentum", "NAG", "Adagrad", "RMSprop", "Adadelta", "Adam") for seed in (0, 1)
    }


def test_it_ends_with_table_figures_and_the_next_command(swept):
    sweep, printed = swept
    report = sweep / "report"
    names = {"table.csv", "table.md", "table.tex", "curves.png", "curves.svg", "landscape.png", "landscape.svg"}
    names |= {"report.html", "tensorboard"}
    assert {path.name for path in report.iterdir()} == names
    assert all(path.stat().st_size > 200 for path in report.iterdir())
    for expected in ("Adadelta", "2 done", "report/curves.png", "tensorboard --logdir sweep/report/tensorboard"):
        assert expected in printed


def test_the_report_is_made_again_from_the_records_alone(swept, optbench):
    sweep, _ = swept
    table = (sweep / "report" / "table.csv").read_text()
    optbench("report", sweep, "--out", "again")
    with open("again/table.csv") as file:
        assert file.read() == table


def test_a_run_has_the_same_bits_from_any_launcher(swept, optbench, tmp_path):
    cell = next(run for run in records.find(swept[0]) if run.directory.name.endswith("adam_seed1"))
    optbench("train", *SMALL, "optimizer=adam", "optimizer.lr=0.01", "seed=1", "hydra.run.dir=alone")
    alone = records.read(tmp_path / "alone")
    assert (alone.trajectory[1] == cell.trajectory[1]).all()
    assert alone.steps.equals(cell.steps)


def test_no_cell_starts_if_one_of_them_is_wrong(optbench, tmp_path):
    with pytest.raises(SystemExit, match="lr=-1.0 is outside"):
        optbench("train", "-m", *SMALL, "optimizer.lr=0.1,-1", "hydra.sweep.dir=sweep")
    assert list(tmp_path.iterdir()) == []


def test_a_diverging_cell_does_not_end_the_sweep(optbench, tmp_path, capfd):
    optbench("train", "-m", *SMALL, "optimizer=sgd", "optimizer.lr=0.1,1e9", "hydra.sweep.dir=sweep")
    assert [run.status["status"] for run in records.find(tmp_path / "sweep")] == ["done", "diverged"]
    assert "1 diverged" in capfd.readouterr().out


def test_the_bar_counts_all_runs_of_a_directory_named_by_the_time(optbench, tmp_path, capfd):
    optbench("train", "-m", *SMALL, "optimizer=sgd", "seed=0,1,2", "logger=none")
    assert "3/3" in capfd.readouterr().out
    assert len(list((tmp_path / "results" / "runs" / "train").iterdir())) == 1


def test_hydras_own_sweeper_gets_what_became_of_each_run(optbench, tmp_path):
    given = ["data=linear_regression", "model=linear", "logger=none", "figures=[]", "trainer.max_epochs=1"]
    optbench("train", "-m", *given, "hydra/sweeper=basic", "seed=0,1", "hydra.sweep.dir=sweep")
    assert [run.status["status"] for run in records.find(tmp_path / "sweep")] == ["done", "done"]
