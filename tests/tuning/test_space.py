"""Search spaces: declared once, replaced from the shell, drawn evenly, and refused where they are none."""

import numpy as np
import pytest
import yaml

from optbench.checks import UserError
from optbench.configs import CONF
from optbench.tuning.contender import Contender, edge, in_grammar
from optbench.tuning.search import METHODS, optuna, sobol
from optbench.tuning.space import Choice, Range, axis, replacements, space

LR = {"low": 1e-5, "high": 1e-1, "log": True}


@pytest.mark.parametrize("config", sorted((CONF / "optimizer").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_optimizer_declares_a_space_of_hyperparameters_that_can_be_searched(config):
    given = yaml.safe_load(config.read_text())
    found = space(config.stem, given, {})
    assert found and all(isinstance(own, Range | Choice) for own in found.values())
    assert len(sobol(found, 4, [])) == 4


def test_a_sobol_sequence_has_a_point_in_every_stratum():
    points = sobol(space("x", {"search": {"lr": LR, "beta": {"low": 0.5, "high": 0.9}}}, {}), 16, [])
    for name, own in (("lr", Range(1e-5, 1e-1, True)), ("beta", Range(0.5, 0.9, False))):
        strata = sorted(int(16 * own.share(point[name]) + 1e-3) for point in points)
        assert np.abs(np.array(strata) - np.arange(16)).max() <= 1  # four digits round


def test_a_larger_budget_begins_with_the_smaller_ones_trials():
    own = space("x", {"search": {"lr": LR}}, {})
    assert sobol(own, 32, [])[:16] == sobol(own, 16, [])
    assert sobol(own, 16, [({}, None)] * 10) == sobol(own, 16, [])[10:]


def test_ranges_are_replaced_for_those_that_have_them():
    told = replacements({"method": "sobol", "lr": [1e-3, 1e-2], "base": {"lr": [1e-2, 1]}})
    assert told == {"lr": [1e-3, 1e-2], "base.lr": [1e-2, 1]}
    assert space("adam", {"search": {"lr": LR}}, told) == {"lr": Range(1e-3, 1e-2, True)}
    sam = {"base": {"lr": 0.1}, "search": {"base.lr": LR}}
    assert space("sam", sam, told) == {"base.lr": Range(1e-2, 1.0, True)}
    assert space("adam", {"beta1": 0.9, "search": {}}, {"beta1": [0.1, 0.5, 0.9]}) == {"beta1": Choice((0.1, 0.5, 0.9))}


@pytest.mark.parametrize(
    "given",
    [
        [1, 0.1],
        [0.1, 0.1],
        "wide",
        3,
        {"low": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 1, "high": 2, "lg": 1},
        [],
    ],
)
def test_what_is_no_range_is_refused_in_one_line(given):
    with pytest.raises(UserError, match="adam: search.lr") as refusal:
        axis("adam", "lr", given)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_proposes_as_many_as_it_is_asked_for(method):
    own = space("x", {"search": {"lr": LR, "form": ["sum", "ema"]}}, {})
    each = Contender(["optimizer=x"], "X", own, 10, method)
    while points := each.propose():
        for point in points:
            assert 1e-5 <= point["lr"] <= 1e-1 and point["form"] in ("sum", "ema")
            each.tried.append((point, (abs(np.log10(point["lr"]) + 3), 0.0)))
    assert len(each.tried) == 10
    assert each.winner() == min(each.tried, key=lambda pair: pair[1])[0]


def test_optuna_learns_from_what_was_tried():
    own = space("x", {"search": {"lr": LR}}, {})
    tried = []
    while points := optuna(own, 60, tried):
        tried += [(point, (np.log10(point["lr"]) + 3) ** 2) for point in points]
    first, last = (np.mean([value for _, value in part]) for part in (tried[:15], tried[-15:]))
    assert last < first / 2


def test_a_failed_trial_never_wins_and_all_failed_is_no_error():
    each = Contender([], "X", space("x", {"search": {"lr": LR}}, {}), 2, "sobol")
    each.tried = [({"lr": 0.1}, None), ({"lr": 0.01}, (0.5, 1.0))]
    assert each.winner() == {"lr": 0.01}
    each.tried = [({"lr": 0.1}, None)]
    assert each.winner() == {"lr": 0.1}


@pytest.mark.parametrize("method", METHODS)
def test_an_edge_is_widened_on_its_side(method):
    own = space("x", {"search": {"lr": LR}}, {})
    assert edge({"lr": 1.1e-5}, own, 16) == {"lr": True} and edge({"lr": 0.09}, own, 16) == {"lr": False}
    assert edge({"lr": 1e-3}, own, 16) == {}
    each = Contender([], "X", own, 16, method, [({"lr": 0.09}, (0.1, 1.0))] * 16)
    assert each.widen() and each.space == {"lr": Range(1e-5, 1.0, True)}
    while points := each.propose():
        each.tried += [(point, (0.5, 1.0)) for point in points]
    assert len(each.tried) == 32 and max(point["lr"] for point, _ in each.tried[16:]) > 0.1


def test_values_are_written_in_hydras_grammar():
    assert in_grammar({"lr": {"low": 1e-05, "log": True}, "form": ["a", "b"]}) == "{lr:{low:1e-05,log:true},form:[a,b]}"
