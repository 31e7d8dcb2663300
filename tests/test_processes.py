"""Work side by side: as if in the caller's own process, but for what goes wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apart
import pytest
from small import SMALL

from optbench import processes, records
from optbench.checks import UserError
from optbench.data import LinearRegression
from optbench.processes import OUTPUT, count, side_by_side

pytestmark = pytest.mark.slow  # processes of their own


def place(name):
    return os.getpid(), os.getcwd(), os.environ["PLACE"], name


def end(how):
    """Return, or end the process by a signal, an exit or an error."""
    if isinstance(how, signal.Signals):
        os.kill(os.getpid(), how)
    if how == "exit":
        sys.exit(3)
    if how == "error":
        raise RuntimeError(how)
    return how


def deadly(t, eta0, at):
    """A schedule that ends its process."""
    if t == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return eta0


@pytest.mark.parametrize("folder", ["a", "b"])
def test_each_works_apart_in_the_callers_directory_and_environment(tmp_path, monkeypatch, folder):
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setenv("PLACE", folder)
    answers = dict(side_by_side(place, ["x", "y", "z"], 2))
    pids, *rest = zip(*(answers[i] for i in range(3)), strict=True)
    assert rest == [(str(tmp_path / folder),) * 3, (folder,) * 3, ("x", "y", "z")]
    assert len({*pids, os.getpid()}) == 4


def test_one_at_a_time_has_a_process_of_its_own_too(monkeypatch):
    monkeypatch.setenv("PLACE", "")
    for items, at_a_time in ((["x", "y"], 1), (["x"], 2)):
        pids = {answer[0] for _, answer in side_by_side(place, items, at_a_time)}
        assert len(pids) == len(items) and os.getpid() not in pids


def test_the_end_of_one_is_told_and_touches_no_other():
    items = [0, signal.SIGKILL, "exit", 3, "error", 5]
    answers = dict(side_by_side(end, items, 2))
    told = {i: str(answer) for i, answer in answers.items() if isinstance(answer, ChildProcessError)}
    assert told == {1: "was killed by SIGKILL", 2: "ended by sys.exit(3)", 4: "ended by RuntimeError: error"}
    assert [answers[i] for i in (0, 3, 5)] == [0, 3, 5]


def end_its_server(how):
    """Kill the server that all processes are forked from, in one of them."""
    if how == "kill":
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.3)
    return how


def test_work_goes_on_where_the_server_of_the_processes_is_killed():
    items = [0, "kill", 2, 3]
    assert dict(side_by_side(end_its_server, items, 2)) == dict(enumerate(items))


@pytest.mark.parametrize("asked", [0, -2, 1.5, "two"])
def test_a_number_of_processes_that_is_none_is_refused(asked):
    with pytest.raises(UserError, match=f"hydra.launcher: n_jobs={asked!r}"):
        count(asked)


def babble(size):
    """Print a lot, and return a lot."""
    print("x" * size)
    return "y" * size


def test_what_is_printed_is_kept_up_to_a_limit(tmp_path):
    sizes = [10, OUTPUT * 8]
    files = [tmp_path / "a" / "output.txt", tmp_path / "b" / "output.txt"]
    answers = dict(side_by_side(babble, sizes, 2, files))
    assert [len(answers[i]) for i in (0, 1)] == sizes
    assert files[0].read_text() == "x" * 10 + "\n"
    assert OUTPUT < files[1].stat().st_size < OUTPUT + 100 and "not kept" in files[1].read_text()[-100:]


def test_what_takes_too_long_is_killed():
    answers = dict(side_by_side(time.sleep, [0, 1000], 2, seconds=[None, 0.5]))
    assert answers[0] is None and "too long" in str(answers[1])


def sleep_on(seconds):
    """Sleep in a child of its own as well."""
    if os.fork() == 0:
        time.sleep(seconds)
    time.sleep(seconds)


def test_nothing_of_a_worker_outlives_its_caller(monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.3)
    working = side_by_side(sleep_on, [0.1, 1000], 2)
    next(working)
    working.close()
    children = subprocess.run(["pgrep", "-s", "0", "-f", "sleep_on"], capture_output=True, text=True).stdout
    assert children == ""


def test_a_killed_run_is_recorded_and_the_sweep_goes_on(optbench, capfd):
    cells = ["optimizer=sgd", "schedule._target_=test_processes.deadly", "schedule.at=12,1000,14", "figures=[]"]
    with pytest.raises(SystemExit, match="2 of 3 runs failed:\n  sweep/0_sgd_seed0: its process was killed by SIGKILL"):
        optbench("train", "-m", *SMALL, *cells, "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2")
    runs = [records.read(Path("sweep") / f"{i}_sgd_seed0") for i in range(3)]
    assert [run.status["status"] for run in runs] == ["failed", "done", "failed"]
    assert runs[0].status["reason"] == "its process was killed by SIGKILL"
    printed = capfd.readouterr()
    assert "1 failed" in printed.out and "3/3" in printed.out
    told = [line for line in printed.err.splitlines() if "SIGKILL" in line]
    assert len(told) == 2 and "n_jobs=1" in told[0] and "sweep/0_sgd_seed0" in "".join(told)
    assert len(runs[0].metrics) == 2 and len(runs[1].metrics) == 3


class Counted(LinearRegression):
    """Data that note who loads them."""

    def load(self):
        with open("loads", "a") as file:
            file.write(f"{os.getpid()}\n")
        return super().load()


@pytest.mark.parametrize(("cells", "loaders"), [("seed=0,1", 2), ("data.samples=6,7", 4)])
def test_processes_share_the_data_where_it_is_the_same(optbench, cells, loaders):
    data = ["data=linear_regression", "data._target_=test_processes.Counted", "model=linear", "optimizer=sgd"]
    run = ["trainer.max_epochs=1", "figures=[]", "logger=none", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep"]
    optbench("train", "-m", *data, *run, cells)
    assert {run.status["status"] for run in records.find(Path("sweep"))} == {"done"}
    pids = Path("loads").read_text().split()
    assert len(set(pids)) == loaders  # one of them looks at a class of others, twice, before it is let in
    assert loaders > 2 or len(pids) == 3


def test_an_interrupted_sweep_says_so_in_its_records(tmp_path):
    long = ["trainer.max_epochs=100000", "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2", "logger=none"]
    sweep = apart.start(tmp_path, "train", "-m", *SMALL, "seed=0,1", *long)
    while len(list(tmp_path.glob("sweep/*/steps.csv"))) < 2:
        assert sweep.is_alive()
        time.sleep(0.1)
    os.killpg(sweep.pid, signal.SIGINT)
    sweep.join(60)
    assert sweep.exitcode == 130
    told = [(run.status["status"], run.status["reason"]) for run in records.find(tmp_path / "sweep")]
    assert told == [("failed", "interrupted")] * 2


def test_a_full_disk_ends_no_sweep_and_each_cell_is_told_why(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "output.txt").symlink_to("/dev/full")
    assert dict(side_by_side(babble, [10, 20], 1, [tmp_path / "output.txt"] * 2)) == {0: "y" * 10, 1: "y" * 20}
