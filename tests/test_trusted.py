"""A results directory is data: of somebody's config.yaml nothing is made that no config of ours names."""

import pytest
import yaml

from optbench.checks import UserError
from optbench.configs import CONF, GROUPS, targets, trusted
from optbench.landscape.task import task as problem

RUN = {
    "seed": 0,
    "data": {"_target_": "optbench.data.LinearRegression", "seed": 0},
    "model": {"_target_": "optbench.models.linear", "_partial_": True},
    "optimizer": {"_target_": "optbench.optimizers.SGD", "_partial_": True, "lr": 0.1},
    "schedule": {"_target_": "optbench.schedules.constant", "_partial_": True, "unit": "epoch"},
}

ATTACKS = [
    {"_target_": "torch.load", "f": "checkpoint.ckpt", "weights_only": False},
    {"_target_": "pandas.read_pickle", "filepath_or_buffer": "x"},
    {"_target_": "torch.hub.load", "repo_or_dir": "x", "model": "y"},
    {"_target_": "shutil.copyfile", "src": "a", "dst": "b"},
    {"_target_": "os.makedirs", "name": "made"},
    {"_target_": "os.system", "_args_": ["touch made"]},
    {"_target_": "evil.module.Thing"},
    {"_target_": ["optbench.models.linear"]},
    {"_target_": "optbench.optimizers.SGD\n"},
    {"_target_": "optbench.checks.checked"},
    {"_target_": "optbench.models.linear", "_args_": [1]},
    {"_target_": "optbench.models.linear", "init": {"_target_": "os.makedirs", "name": "made"}},
    {"_target_": "optbench.models.linear", "init": [{"_target_": "os.makedirs", "name": "made"}]},
    {"_target_": "optbench.models.linear", "init": "${oc.env:HOME}"},
    {"_target_": "optbench.models.linear", "init": list(range(100_000))},
    {"_target_": "optbench.models.linear", 3: 4},
    {"init": "default"},
    "optbench.models.linear",
    None,
]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("part", ATTACKS, ids=lambda part: str(part)[:50])
def test_what_no_config_names_is_refused_by_name_and_nothing_happens(group, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"the record's {group}") as refusal:
        trusted({**RUN, group: part})
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_is_no_mapping_is_refused():
    with pytest.raises(UserError, match="the record's config.yaml is no mapping"):
        trusted([RUN])


def test_accuracy_is_asked_of_classes_alone():
    with pytest.raises(UserError, match="what=accuracy needs classes, and LinearRegression has none; take what=loss"):
        problem(RUN, what="accuracy")


def test_a_class_of_one_group_is_none_of_another():
    with pytest.raises(UserError, match="no config of the group data names"):
        trusted({**RUN, "data": RUN["model"]})


@pytest.mark.parametrize("group", GROUPS)
def test_all_that_our_configs_name_may_be_made_again(group):
    for name, config, _ in targets([CONF], group):
        resolved = {k: 0 if "${" in str(v) else v for k, v in config.items()}
        assert trusted({**RUN, group: resolved})[group] == resolved, name


def test_a_landscape_makes_what_is_trusted_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(problem(RUN).x) == 5
    with pytest.raises(UserError, match="model is 'os.makedirs'"):
        problem({**RUN, "model": {"_target_": "os.makedirs", "name": "made"}})
    assert list(tmp_path.iterdir()) == []


def test_ones_own_class_is_made_where_ones_own_configs_name_it(tmp_path):
    own = {"_target_": "mine.Model", "_partial_": True}
    with pytest.raises(UserError, match="'mine.Model'.*--config-dir"):
        trusted({**RUN, "model": own})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(yaml.safe_dump(own))
    assert trusted({**RUN, "model": own}, [CONF, tmp_path])["model"] == own


def test_nothing_is_downloaded_for_a_record(tmp_path):
    data = {"_target_": "optbench.data.MNIST", "root": str(tmp_path / "nowhere")}
    with pytest.raises(UserError, match="is no folder here; nothing is downloaded for a record"):
        trusted({**RUN, "data": data})
