"""A wheel built from the tree works on its own, configs included."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def test_a_wheel_trains_outside_a_checkout(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    assert sorted(p.relative_to(ROOT / "conf") for p in (ROOT / "conf").rglob("*.yaml")) == sorted(
        p.relative_to(site / "optbench" / "conf") for p in (site / "optbench" / "conf").rglob("*.yaml")
    )
    mine = tmp_path / "mine" / "optimizer"
    mine.mkdir(parents=True)
    mine.joinpath("slow.yaml").write_text("_target_: optbench.optimizers.SGD\n_partial_: true\nlr: 0.001\n")
    program = "import optbench.commands.main as cli; print(cli.__file__, flush=True); cli.main()"
    arguments = ["train", "--config-dir", str(mine.parent), "optimizer=slow", "--cfg", "job"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    place, _, config = done.stdout.partition("\n")
    assert Path(place).is_relative_to(site), done.stderr
    assert OmegaConf.create(config).optimizer.lr == 0.001
