"""The benchmark: every row that it should print, and ratios between the right quartiles."""

import importlib.util
import math

import pandas as pd
import pytest

from optbench.speed import __main__ as speed
from optbench.speed.optimizers import rules
from optbench.speed.race import Time, race


@pytest.mark.slow(90)
def test_every_benchmark_gives_its_rows(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["speed", "--short", "--out", str(tmp_path / "speed.csv")])
    speed.main()
    rows = pd.read_csv(tmp_path / "speed.csv")
    counts = rows["benchmark"].value_counts().to_dict()
    jax = importlib.util.find_spec("jax") is not None
    many = {"training": 10 + jax, "sweep": 4 + 2 * jax, "surfaces": 3, "start": 2, "landscape": 1 + jax}
    ones = dict.fromkeys(("epoch", "study", "gallery"), 1)
    assert counts.items() >= (many | ones).items() and set(counts) == set(speed.BENCHMARKS) - {"gpu"}
    assert (rows["ratio"] > 0).all()
    assert rows["machine"].notna().all()
    steps = rows[rows["benchmark"] == "optimizers"]
    sgd = steps[steps["what"].str.startswith("SGD,")]
    assert [against.split()[-1] for against in sgd["against"]] == ["faster", "fused", "eager", "bytes"]
    assert list(sgd["what"]) == ["SGD, 101,770 parameters"] + 3 * ["SGD, 101,770 parameters, compiled"]
    assert list(sgd["target"])[:2] == [1.0, 0.7]
    assert steps["what"].str.startswith("NAdam,").any()
    assert ((0 < steps["low"]) & (steps["low"] <= steps["ratio"]) & (steps["ratio"] <= steps["high"])).all()
    assert (steps["high"] < math.inf).all()


def test_knows_every_rule_that_is_element_wise():
    assert {"SGD", "Adam", "Lion", "DemonAdam"} < set(rules()) and not {"LARS", "SAM", "Prodigy"} & set(rules())
    assert rules().index("Adam") < rules().index("Lion")


def test_a_race_takes_turns_and_leaves_out_the_first_round():
    turns = []
    contenders = {"a": lambda: turns.append("a"), "b": lambda: turns.append("b") or 2.0 * len(turns)}
    times = race(contenders, rounds=3)
    assert turns == ["a", "b"] * 4
    assert times["b"].rounds == (8.0, 12.0, 16.0) and times["b"].median == 12
    assert times["b"].quartiles == (10, 14)
    assert times["b"].over(Time((2.0, 4.0, 4.0))).rounds == (4, 3, 4)
    assert Time((5.0,)).quartiles == (5, 5)
    assert times["a"].median == pytest.approx(0, abs=1)


def test_a_race_of_no_rounds_counts_the_cold_one():
    assert race({"a": lambda: 3.0}, rounds=0)["a"].rounds == (3.0,)
