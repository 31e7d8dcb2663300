"""A cell composed in a hurry is the cell that Hydra composes."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from optbench.configs import CONF
from optbench.sweep.compose import Composer


@pytest.fixture
def loader():
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        yield GlobalHydra.instance().hydra.config_loader


@pytest.fixture
def sweep(loader):
    config = loader.load_configuration("train", ["optimizer=adam,sgd"], run_mode=RunMode.MULTIRUN)
    HydraConfig.instance().set_config(config)
    return config


CELLS = [
    ["optimizer=sgd", "seed=3", "++optimizer.lr=0.1"],
    ["optimizer=sgd", "seed=4", "++optimizer.lr=0.2"],
    ["++optimizer.lr=1", "optimizer=adam", "schedule=cosine", "trainer.max_epochs=2", "++model.hidden=[20,10]"],
    ["optimizer=adam", "study=three"],
    ["optimizer=adam", "~logger", "+data.chunk_size=3"],
]


def test_cells_are_hydras(loader, sweep):
    compose = Composer(loader, sweep)
    for num, cell in enumerate(CELLS):
        mine, config = compose(cell, num), loader.load_sweep_config(sweep, cell)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"{config.hydra.job.name}_{num}", num
        assert OmegaConf.to_container(mine) == OmegaConf.to_container(config)
        assert mine.hydra.sweep.dir == config.hydra.sweep.dir


@pytest.mark.parametrize("cell", [["sede=1"], ["optimizer.lr=1", "trainer.nonsense=2"], ["+optimizer=adam"]])
def test_wrong_cells_are_refused_as_by_hydra(loader, sweep, cell):
    with pytest.raises(ConfigCompositionException) as hydras:
        loader.load_sweep_config(sweep, cell)
    with pytest.raises(ConfigCompositionException) as mine:
        Composer(loader, sweep)(cell, 0)
    assert str(mine.value) == str(hydras.value)


def test_a_cells_own_values_leave_no_trace_in_the_next(loader, sweep):
    compose = Composer(loader, sweep)
    lines = [["seed=0", "++optimizer.lr=0.1"], ["seed=1", "++optimizer.lr=null"], ["seed=2", "++optimizer.lr=0.3"]]
    lines += [["trajectory={every:3}"], ["trajectory=false"], ["++model.extra={a:1}"], ["++model.extra={b:2}"], []]
    cells = [compose.cell(line, num) for num, line in enumerate(lines)]
    for line, cell in zip(lines, cells, strict=True):
        fresh = Composer(loader, sweep).cell(line, cell.num)
        assert (cell.task, cell.key, cell.directory) == (fresh.task, fresh.key, fresh.directory)
        assert OmegaConf.to_container(cell.config) == OmegaConf.to_container(fresh.config)


def test_nothing_of_a_suspect_is_imported(loader, sweep):
    cell = Composer(loader, sweep).cell(["model._target_=nowhere.at_all"], 0)
    cell.suspect = True
    assert len(cell.key) == 16 and cell.recorded["model"]["_target_"] == "nowhere.at_all"
