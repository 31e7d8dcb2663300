"""`optbench list`: everything that a config names, ours or the user's."""

import json
from pathlib import Path

import pytest

from optbench import surfaces
from optbench.commands.list import LISTS
from optbench.configs import CONF

GROUPS = {"hyperparameters": "optimizer", "data": "data", "models": "model", "schedules": "schedule"}


@pytest.fixture
def listed(optbench, capsys):
    """The rows of a list, as JSON has them."""

    def rows(*arguments):
        optbench("list", *arguments, "--json")
        return json.loads(capsys.readouterr().out)

    return rows


@pytest.mark.parametrize("what", GROUPS)
def test_every_config_is_listed_with_a_description_and_its_values(listed, what):
    rows = listed(what)
    assert [row["name"] for row in rows] == sorted(path.stem for path in (CONF / GROUPS[what]).glob("*.yaml"))
    for row in rows:
        assert row["description"].endswith(".") and isinstance(row.get("hyperparameters", row.get("settings")), dict)


def test_hyperparameters_are_those_of_the_class_and_the_config(listed):
    adam = next(row for row in listed("hyperparameters") if row["name"] == "adam")
    assert adam["class"] == "Adam"
    assert list(adam["hyperparameters"].items())[:3] == [("lr", 0.001), ("beta1", 0.9), ("beta2", 0.999)]


def test_studies_say_what_they_show_and_how_to_run_them(listed):
    rows = {row["name"]: row for row in listed("studies")}
    assert rows["seven"]["command"] == "optbench train -m study=seven"
    assert all(row["description"].endswith(".") for row in rows.values())


def test_surfaces_are_listed(listed):
    assert [row["name"] for row in listed("surfaces")] == surfaces.names()


def test_without_a_word_the_lists_are_counted(listed):
    assert [row["list"] for row in listed()] == list(LISTS)
    assert all(row["entries"] > 0 for row in listed())


def test_a_config_of_the_user_is_listed_too(listed, tmp_path):
    (tmp_path / "mine" / "optimizer").mkdir(parents=True)
    (tmp_path / "mine" / "optimizer" / "brisk.yaml").write_text("_target_: optbench.optimizers.SGD\nlr: 0.5\n")
    brisk = next(row for row in listed("hyperparameters", "--config-dir", "mine") if row["name"] == "brisk")
    assert brisk["class"] == "SGD" and brisk["hyperparameters"]["lr"] == 0.5


def test_the_table_has_every_name(optbench, capsys):
    optbench("list", "schedules")
    printed = capsys.readouterr().out
    assert all(path.stem in printed for path in (CONF / "schedule").glob("*.yaml"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimzers"], "no list 'optimzers'; did you mean 'optimizers'?"),
        (["data", "--config-dir", "nowhere"], "--config-dir=nowhere is no directory"),
        (["data", "--jsno"], "unrecognized arguments: --jsno; see optbench list --help"),
        (["optimizers", "--config-dir", "bad"], "bad/optimizer/typo.yaml: "),
    ],
)
def test_bad_input_is_refused_in_one_line(optbench, arguments, said):
    Path("bad/optimizer").mkdir(parents=True)
    Path("bad/optimizer/typo.yaml").write_text("_target_: optbench.optimizers.Admm\n")
    with pytest.raises(SystemExit) as refusal:
        optbench("list", *arguments)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.slow
def test_the_readme_carries_the_property_table(optbench, capsys, tmp_path):
    optbench("list", "optimizers", "--out", "here")
    assert "state bytes" in capsys.readouterr().out
    readme = (CONF.parent / "README.md").read_text().splitlines()
    for line in (tmp_path / "here" / "optimizers.md").read_text().splitlines():
        if line.startswith("|---"):
            continue
        if not line.startswith("|"):
            assert line in readme
            continue
        name, order = line.split(" | ")[:2]
        if order == "1":
            assert line in readme
        else:  # a line search may take one evaluation more or less on another processor
            assert any(other.startswith(f"{name} | {order} |") for other in readme)
    assert (tmp_path / "here" / "family.png").stat().st_size > 10_000
