"""How cost grows, on the smallest size of each curve."""

import pandas as pd
import pytest

from optbench.speed import growth


def test_the_slope_is_the_exponent():
    frame = pd.DataFrame({"x": [1, 10, 100], "y": [5.0, 0.2, 20.0]})
    assert growth.slope(frame["x"].to_numpy(), frame["y"].to_numpy()) == pytest.approx(2)


@pytest.mark.slow
def test_every_curve_is_measured_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["growth", "--short", "--out", str(tmp_path)])
    growth.main()
    frame = pd.read_csv(tmp_path / "growth.csv")
    assert set(frame["panel"]) == set(growth.AXES)
    assert (frame["y"] > 0).all()
    assert (tmp_path / "growth.png").stat().st_size > 10_000
