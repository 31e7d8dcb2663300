"""How cost grows, on the smallest size of each curve."""

import pandas as pd
import pytest

from optbench.speed import growth


def test_the_slope_is_the_exponent():
    frame = pd.DataFrame({"x": [1, 10, 100], "y": [5.0, 0.2, 20.0]})
    assert growth.slope(frame["x"].to_numpy(), frame["y"].to_numpy()) == pytest.approx(2)


@pytest.mark.slow(15)
def test_every_curve_is_measured_and_drawn(monkeypatch, tmp_path):
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
