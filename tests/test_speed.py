"""The benchmarks: every row that they should print, ratios between the right quartiles, and how cost grows."""

import importlib.util
import math
import time

import pandas as pd
import pytest

from optbench.speed import __main__ as speed, checkpoint, growth, study, surfaces, sweep
from optbench.speed.optimizers import rules
from optbench.speed.race import Time, race


@pytest.fixture
def warm(monkeypatch, type_in, tmp_path):
    """Type the commands of the benchmarks in this process, but for those whose start or memory is measured."""

    def timed(*arguments, environment=()):
        start = time.perf_counter()
        type_in(tmp_path, *arguments, environment=environment)
        return time.perf_counter() - start

    for module in (checkpoint, growth, study, surfaces, sweep):
        monkeypatch.setattr(module, "optbench", timed)


@pytest.mark.slow(60)
def test_every_benchmark_gives_its_rows(warm, monkeypatch, tmp_path):
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


def test_the_slope_is_the_exponent():
    frame = pd.DataFrame({"x": [1, 10, 100], "y": [5.0, 0.2, 20.0]})
    assert growth.slope(frame["x"].to_numpy(), frame["y"].to_numpy()) == pytest.approx(2)


@pytest.mark.slow(10)
def test_every_curve_is_measured_and_drawn(warm, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["growth", "--short", "--out", str(tmp_path)])
    growth.main()
    frame = pd.read_csv(tmp_path / "growth.csv")
    assert set(frame["panel"]) == set(growth.PANELS)
    assert (frame["y"] > 0).all() and (frame["limit"] > 0).all()
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_a_caption_has_the_slope_and_its_interval():
    rows = [("panel", "line", x, turn, x**2.0 * (1 + 0.1 * turn * (x > 1)), 1.0) for turn in (0, 1) for x in (1, 10)]
    frame = pd.DataFrame(rows, columns=["panel", "line", "x", "round", "y", "limit"])
    assert growth.caption("it", frame) == "it: slope 2.02 ± 0.26"
    assert growth.caption("it", frame[frame["round"] == 0]) == "it: slope 2.00"
    assert growth.caption("it", frame[frame["x"] == 1]) == "it"


def test_numbers_are_written_with_their_units():
    assert [growth.seconds(x) for x in (2, 0.05, 1e-5, 2e-8)] == ["2 s", "50 ms", "10 µs", "20 ns"]
    assert [growth.plain(x) for x in (64, 2000, 10**7)] == ["64", "2,000", "10 million"]
    assert [growth.megabytes(x) for x in (0.5, 20, 2000)] == ["500 kB", "20 MB", "2 GB"]
