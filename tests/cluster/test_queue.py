"""A queue that is down: the submitter ends in a line, whether sbatch says no or nothing."""

import importlib

import pytest
from omegaconf import OmegaConf

from optbench.checks import UserError

cluster = importlib.import_module("hydra_plugins.optbench_cluster")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact slurm controller"),
        ("exit 1", "it said nothing"),
        ("sleep 60", "it did not answer within 0.5 s"),
        ("echo hello", 'Could not make sense of sbatch output "hello"'),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_sbatch_that_takes_no_job_is_said_in_a_line(tmp_path, monkeypatch, capfd, does, said, jobs):
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(cluster, "SLOW", 0.5)
    launcher = cluster.ClusterLauncher()
    launcher.sweep = OmegaConf.create({"name": "sweep"})
    with pytest.raises(UserError, match=f"sbatch did not take the jobs: {said}") as refusal:
        launcher._map(tmp_path, [print] * jobs)
    assert "\n" not in str(refusal.value) and capfd.readouterr().err == ""
