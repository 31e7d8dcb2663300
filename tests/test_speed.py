"""The benchmark: every row that it should print, and ratios between the right quartiles."""

import importlib.util
import math

import pandas as pd
import pytest

from optbench.speed import __main__ as speed
from optbench.speed.optimizers import SIZES, compare, rules
from optbench.speed.race import Time, race


def test_compares_a_rule_with_all_that_does_the_same():
    small = min(SIZES)
    rows = list(compare("SGD", small, rounds=2))
    assert [row["against"].split()[-1] for row in rows] == ["faster", "fused", "eager", "bytes"]
    assert [row["what"] for row in rows] == ["SGD, 101,770 parameters"] + 3 * ["SGD, 101,770 parameters, compiled"]
    for row in rows:
        assert 0 < row["low"] <= row["ratio"] <= row["high"] < math.inf
    assert [row["target"] for row in rows[:2]] == [1.0, 0.7]


@pytest.mark.slow
def test_every_benchmark_gives_its_rows(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["speed", "--short", "--out", str(tmp_path / "speed.csv")])
    speed.main()
    rows = pd.read_csv(tmp_path / "speed.csv")
    counts = rows["benchmark"].value_counts().to_dict()
    jax = importlib.util.find_spec("jax") is not None
    many = {"training": 10 + jax, "sweep": 4 + 2 * jax, "surfaces": 3, "start": 2, "landscape": 1 + jax}
    ones = dict.fromkeys(("epoch", "study", "gallery"), 1)
    assert counts.items() >= (many | ones).items() and set(counts) == set(speed.BENCHMARKS) - {"gpu"}
    assert set(rows["what"].str.split(",").str[0]) >= {"SGD", "NAdam"}
    assert (rows["ratio"] > 0).all()
    assert rows["machine"].notna().all()


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
