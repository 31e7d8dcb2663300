"""Sweeps on a real SLURM: of one node, on this machine, from Debian's packages."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import apart
import pytest

from optbench import records
from optbench.sweep import ledger

ROOT = Path(__file__).parents[2]
TOOLS = ["slurmctld", "slurmd", "sinfo", "munged", "slurmdbd", "mariadbd"]
MISSING = [tool for tool in TOOLS if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]

pytestmark = [
    pytest.mark.slow(120),
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: scripts/test installs Debian's where it can"),
    pytest.mark.skipif(os.getuid() != 0, reason="a SLURM of one's own needs root"),
]

LENGTH = ["trainer.max_epochs=300", "checkpoint.every=20"]
CELLS = ["data=linear_regression", "model=linear", "optimizer=sgd", "logger=none", "figures=[]", "replicas=off"]
SWEEP = ["train", "-m", *CELLS, "seed=0,1,2", *LENGTH, "schedule._target_=test_slurm.slowly"]


def slowly(t, eta0):
    """A schedule that takes its time on the cluster, so that there is something to interrupt."""
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return 1e-3 * eta0


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    folder.chmod(0o755)  # the database has a user of its own
    subprocess.run([ROOT / "scripts" / "slurm-up", folder / "s"], check=True, stdout=subprocess.DEVNULL, timeout=120)
    path = os.pathsep.join([str(Path(__file__).parent), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    yield {**os.environ, "SLURM_CONF": str(folder / "s" / "slurm.conf"), "PYTHONPATH": path, "PAUSE": "0.03"}
    subprocess.run([ROOT / "scripts" / "slurm-down", folder / "s"], check=True, timeout=120)
    shutil.rmtree(folder)


def start(cluster, folder):
    where = ["hydra.sweep.dir=sweep", "hydra/launcher=slurm"]
    return apart.start(folder, *SWEEP, *where, log=folder / "log", environment=cluster)


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_a_sweep_survives_what_happens_on_a_cluster(cluster, optbench, tmp_path):
    submitter = start(cluster, tmp_path)
    sweep = tmp_path / "sweep"

    def states():
        return [state.status for state in ledger.states(sweep)]

    def jobs():
        told = subprocess.run(
            ["squeue", "-h", "-r", "-t", "R", "-o", "%F_%K"], env=cluster, capture_output=True, text=True
        )
        return told.stdout.split()

    def begun():
        return len(jobs()) >= 2 and len(list(sweep.glob("*/checkpoint.ckpt"))) >= 2

    until(begun)
    first, second = jobs()[:2]
    subprocess.run(["scontrol", "requeue", first], env=cluster, check=True)
    subprocess.run(["scancel", second], env=cluster, check=True)
    os.killpg(submitter.pid, signal.SIGKILL)
    until(lambda: len([job for job in jobs() if job not in (first, second)]) >= 1)
    third = next(job for job in jobs() if job not in (first, second))
    subprocess.run(["scancel", "--signal=KILL", third], env=cluster, check=True)
    again = start(cluster, tmp_path)
    optbench(*SWEEP, "hydra.sweep.dir=local", "hydra.launcher.n_jobs=1")
    again.join(600)
    if again.exitcode:  # a job that was killed while it was waited for is named, and the same command makes up for it
        last = start(cluster, tmp_path)
        last.join(600)
        assert last.exitcode == 0
    assert states() == ["done"] * 3, (tmp_path / "log").read_text()
    for one, other in zip(records.find(tmp_path / "local"), records.find(sweep), strict=True):
        assert one.metrics.drop(columns="train_seconds").equals(other.metrics.drop(columns="train_seconds"))
        assert (one.trajectory[1] == other.trajectory[1]).all()
    assert "Traceback" not in (tmp_path / "log").read_text()
