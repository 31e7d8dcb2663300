"""Many optimizers are ranked, with an interval each."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from optbench.plots import style
from optbench.plots.curves import MOST, curves
from optbench.plots.ranking import ranking
from optbench.results.frame import COUNTS, MEASURES, Results

pytestmark = pytest.mark.slow


def results(optimizers, seeds=3, lost=()):
    """Return results of so many optimizers, each better than the one before; those of `lost` failed."""
    rows = pd.MultiIndex.from_product([[f"Rule{i}" for i in range(optimizers)], range(seeds)]).to_frame(index=False)
    rows.columns = ["optimizer", "seed"]
    frame = rows.assign(status="done", reason="", **{f"{w}_{m}": np.nan for w in ("final", "best") for m in MEASURES})
    frame = frame.assign(**dict.fromkeys(COUNTS, 1.0), stacked=1, directory="", command="")
    place = frame["optimizer"].str.removeprefix("Rule").astype(int)
    frame["final_test_accuracy"] = 0.9 + 0.001 * place + 0.0005 * frame["seed"]
    frame.loc[place.isin(lost), ["status", "final_test_accuracy"]] = ["failed", np.nan]
    measures = {name: np.nan for name in MEASURES}
    evaluations = pd.DataFrame(
        [{"run": i, "epoch": 1, "step": 9, **measures, "test_accuracy": 0.5} for i in rows.index]
    )
    configs = {i: SimpleNamespace(config={"optimizer": {"lr": 0.1}}) for i in rows.index}
    return Results(configs, frame, evaluations, ())


@pytest.mark.parametrize(("count", "lost"), [(1, ()), (7, (2,)), (50, (0, 1, 2))])
def test_every_optimizer_has_a_dot_and_a_place_for_its_words(count, lost, tmp_path):
    with style.context():
        figure = ranking(results(count, lost=lost), "A title")
        style.save(figure, tmp_path / "ranking", ["png"])
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[0] == f"Rule{count - 1}"
    assert [name for name in names if "0 of 3 done" in name] == [f"Rule{i} (0 of 3 done)" for i in lost]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == len(axes.lines) - len(dots) == count - len(lost)
    for text in (*axes.texts, *axes.get_yticklabels()):
        box = text.get_window_extent()
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_more_optimizers_than_a_panel_holds_are_ranked():
    assert len(curves(results(MOST + 1), "").axes[0].get_yticklabels()) == MOST + 1
    assert curves(results(MOST), "").axes[0].get_xlabel() == "epoch"
