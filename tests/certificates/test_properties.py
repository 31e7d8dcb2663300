"""The property table: what is known of some rules, and the family of all."""

from pathlib import Path

import pytest
import yaml

from optbench.certificates import properties
from optbench.optimizers import CLASSES

CONFIGS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml"))
}


@pytest.fixture(scope="module")
def table():
    names = [
        "sgd",
        "momentum",
        "nag",
        "adagrad",
        "rmsprop",
        "adam",
        "amsgrad",
        "rprop",
        "sam",
        "lbfgs",
        "newton",
        "kfac",
    ]
    return properties.table({name: CONFIGS[name] for name in names})


@pytest.mark.parametrize(
    ("name", "adapts", "momentum", "needs_rate", "sparse"),
    [
        ("sgd", False, False, True, False),
        ("momentum", False, True, True, False),
        ("nag", False, True, True, False),
        ("adagrad", True, False, True, True),
        ("rmsprop", True, False, True, True),
        ("adam", True, True, True, True),
        ("rprop", True, False, False, False),
        ("lbfgs", True, False, False, None),
    ],
)
def test_measures_what_is_known(table, name, adapts, momentum, needs_rate, sparse):
    row = table.loc[name]
    assert row["adapts_learning_rate"] == adapts
    assert row["uses_momentum"] == momentum
    assert row["needs_learning_rate"] == needs_rate
    assert row["suits_sparse_gradients"] is sparse or row["suits_sparse_gradients"] == sparse


def test_measures_what_a_step_costs(table):
    assert dict(table["state_bytes"].loc[["sgd", "momentum", "adam", "amsgrad"]]) == {
        **{"sgd": 0, "momentum": 4},
        **{"adam": 8, "amsgrad": 12},
    }
    assert 0 < table["state_bytes"]["lbfgs"] <= 80
    assert dict(table["gradients_per_step"].loc[["sgd", "adam", "sam"]]) == {"sgd": 1, "adam": 1, "sam": 2}
    assert table["gradients_per_step"]["lbfgs"] > 1
    assert table["gradients_per_step"]["kfac"] == 14 / 12  # two of twelve steps renew the factors
    assert table["products_per_step"]["newton"] > 0
    assert not table["products_per_step"].drop("newton").any()
    assert dict(table["order"].loc[["adam", "lbfgs", "newton"]]) == {"adam": 1, "lbfgs": 1.5, "newton": 2}


def test_reads_the_paper(table):
    row = table.loc["adam"]
    assert row["year"] == 2015
    assert row["paper"] == "Kingma & Ba, Adam: A Method for Stochastic Optimization"
    assert row["link"] == "https://arxiv.org/abs/1412.6980"


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_a_paper_and_a_family(name):
    reference = properties.reference(CLASSES[name])
    assert 1900 < reference["year"] < 2030
    assert reference["link"].startswith("https://")
    assert "extends" in vars(CLASSES[name])
    ancestors, above = set(), {name}
    while above:
        above = {parent for child in above for parent in CLASSES[child].extends}
        assert name not in above
        ancestors |= above
    assert "SGD" in ancestors or name == "SGD"
