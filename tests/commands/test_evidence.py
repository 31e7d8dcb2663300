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

class Uncorrected(Adam):
    '''Adam with a defect: its moments are not corrected for their start.'''

    @staticmethod
    def update(g, p, s, t, h):
        m = s["m"].lerp(g, 1 - h["beta1"])
        v = s["v"].lerp(g * g, 1 - h["beta2"])
        return m / (v.sqrt() + h["eps"]), {"m": m, "v": v}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's folder with two optimizers and a config of the whole."""
    folder = tmp_path / "my conf"
    (folder / "optimizer").mkdir(parents=True)
    (tmp_path / "twins.py").write_text(TWINS)
    for name in ("Twin", "Uncorrected"):
        text = f"_target_: twins.{name}\n_partial_: true\n"
        (folder / "optimizer" / f"{name.lower()}.yaml").write_text(text)
    (folder / "fast.yaml").write_text("defaults: [train, _self_]\noptimizer: {lr: 0.1}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return folder


@pytest.mark.slow
def test_a_rule_under_two_names_is_tied_with_itself_and_one_with_a_defect_is_not(mine, optbench, tmp_path):
    grid = ["optimizer=adam,twin,uncorrected", "seed=0,1,2,3,4"]
    sizes = ["data.train_size=1000", "data.test_size=1000", "trainer.max_epochs=2", "model.hidden=[64]"]
    optbench("train", "-m", "--config-dir", mine, *grid, *LITTLE[-1:], *sizes, "hydra.sweep.dir=s", "figures=[]")
    table = compare(load(tmp_path / "s")).set_index("optimizer")
    first, second = table.loc["Adam"], table.loc["Twin"]
    assert first["final_test_loss_mean"] == pytest.approx(second["final_test_loss_mean"], rel=1e-4)
    assert first["tied"] == second["tied"] != table.loc["Uncorrected", "tied"]


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
