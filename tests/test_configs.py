"""Every config of every group composes, and every study runs in a tiny form."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from optbench import records
from optbench.configs import CONF

GROUPS = sorted({path.parent.relative_to(CONF).as_posix() for path in CONF.rglob("*/*.yaml")})
STUDIES = sorted(path.stem for path in (CONF / "study").glob("*.yaml"))
TINY = ["data.train_size=100", "data.test_size=20", "trainer.max_epochs=1", "model.hidden=[8,8]", "seed=0"]
ALONE = ["hydra.launcher.n_jobs=1"]
FEWER = {
    "all": ["optimizer=adam,newton,lbfgs"],
    "decay": ["++optimizer.weight_decay=0,0.1"],
    "schedules": ["optimizer=sgd"],
    "vanishing": ["++model.activation=sigmoid"],
    "tuned": ["optimizer=adam", "budget.trials=2", "data.batch_size=8"],
}  # one of each block or axis; the contract trains every optimizer


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_every_config_composes(group):
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert names
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name in names:
            surface = group == "surface_study"
            config = compose("surface" if surface else "train", [f"{group}={name}"], return_hydra_config=True)
            assert config.hydra.runtime.choices[group] == name
            own = OmegaConf.select(config, group.replace("/", "."))
            assert own or group in ("study", "surface_study") or name == "none"


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_runs_in_a_tiny_form(optbench, tmp_path, study, capsys):
    optbench("train", "-m", f"study={study}", *TINY, *FEWER.get(study, []), "hydra.sweep.dir=sweep", *ALONE)
    runs = records.find(tmp_path / "sweep")
    assert runs
    assert {run.status["status"] for run in runs} <= {"done", "diverged"}
    figures = {path.stem for path in (tmp_path / "sweep" / "report").glob("*.png")}
    assert figures >= set(runs[0].config["figures"])
