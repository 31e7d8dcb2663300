"""A sweep by submitit's stand-in for a cluster: jobs are processes of this machine."""

import os
import signal
from pathlib import Path

import pytest

from optbench import records

SWEEP = [
    *("train", "-m", "data=linear_regression", "model=linear", "optimizer=sgd", "logger=none", "figures=[]"),
    *("replicas=off", "seed=0,1", "trainer.max_epochs=20", "checkpoint.every=1", "hydra.sweep.dir=sweep"),
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
def test_a_cancelled_job_is_no_crash_and_goes_on(optbench, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # of the jobs
    with pytest.raises(SystemExit) as ended:
        optbench(*SWEEP)
    said = capfd.readouterr()
    assert "1 of 2 runs failed" in str(ended.value) and "its job was cancelled or preempted" in str(ended.value)
    assert "submitted: 2 jobs of 2 cells" in said.out and "Traceback" not in said.out + said.err
    assert Path("sweep/report/table.md").exists()
    optbench(*SWEEP)
    runs = records.find(Path("sweep"))
    assert [run.status["status"] for run in runs] == ["done"] * 2
    assert sorted(len(run.status.get("continued", [])) for run in runs) == [0, 1]
