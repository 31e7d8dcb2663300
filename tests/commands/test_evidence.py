"""What the evidence rests on, for real: commands that make rows again, and verdicts on rules that are known."""

import shlex

import pytest

from optbench.results import compare, labels, load

LITTLE = "data.train_size=300 data.test_size=100 model.hidden=[8] trainer.max_epochs=1 hydra.launcher.n_jobs=1".split()

TWINS = """
import torch
from optbench.optimizers import Adam

class Twin(Adam):
    '''Adam by another name.'''
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's folder with an optimizer and a config of the whole."""
    folder = tmp_path / "my conf"
    (folder / "optimizer").mkdir(parents=True)
    (tmp_path / "twins.py").write_text(TWINS)
    (folder / "optimizer" / "twin.yaml").write_text("_target_: twins.Twin\n_partial_: true\n")
    (folder / "fast.yaml").write_text("defaults: [train, _self_]\noptimizer: {lr: 0.1}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return folder


@pytest.mark.slow
def test_a_rows_command_keeps_the_users_folder_and_config(mine, optbench, tmp_path):
    where = ["--config-dir", mine, "-cn", "fast"]
    optbench("train", "-m", *where, "optimizer=adam,twin", "seed=0,1", *LITTLE, "hydra.sweep.dir=s", "figures=[]")
    table = compare(load(tmp_path / "s")).set_index("optimizer")
    for command in table["command"]:
        assert f"--config-dir '{mine}' -cn fast" in command
    optbench(*shlex.split(table.loc["Twin", "command"])[1:], "hydra.sweep.dir=again", "figures=[]")
    again = load(tmp_path / "again")
    assert labels(again) == ["optimizer"] and again["optimizer"].tolist() == ["Twin", "Twin"]
    assert compare(again)["final_test_loss_mean"][0] == pytest.approx(
        table.loc["Twin", "final_test_loss_mean"], rel=1e-5
    )
