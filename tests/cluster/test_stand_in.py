"""A sweep by submitit's stand-in for a cluster: jobs are processes of this machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from optbench import records

SWEEP = [
    *("train", "-m", "data=linear_regression", "model=linear", "optimizer=sgd", "logger=none", "figures=[]"),
    *("replicas=off", "seed=0,1,2", "trainer.max_epochs=20", "checkpoint.every=1", "hydra.sweep.dir=sweep"),
    *("schedule._target_=test_stand_in.cancelled_once", "hydra/launcher=submitit_local"),
]


def cancelled_once(t, eta0):
    """A schedule that cancels its own job after some steps, the first time only."""
    if t == 12 and not os.path.exists("cancelled"):
        Path("cancelled").touch()
        server = Path(f"/proc/{os.getppid()}/stat").read_text()  # of the job's process, which started it
        os.kill(int(server.rpartition(")")[2].split()[1]), signal.SIGTERM)
    return eta0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for its job's process in /proc")
def test_a_cancelled_job_is_no_crash_and_goes_on(tmp_path):
    first = sweep(tmp_path)
    assert first.returncode == 1 and "1 of 3 runs failed" in first.stderr
    assert "its job was cancelled or preempted" in first.stderr
    assert "submitted: 3 jobs of 3 cells" in first.stdout and "Traceback" not in first.stdout + first.stderr
    assert (tmp_path / "sweep" / "report" / "table.md").exists()
    assert sweep(tmp_path).returncode == 0
    runs = records.find(tmp_path / "sweep")
    assert [run.status["status"] for run in runs] == ["done"] * 3
    assert sorted(len(run.status.get("continued", [])) for run in runs) == [0, 0, 1]


def sweep(folder):
    """Return the finished process of the sweep: a process of its own, since submitit configures logging anew."""
    command = [sys.executable, "-c", "from optbench.commands.main import main; main()", *SWEEP]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
