"""Which lines there are, how they look, and what the axes show of them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from optbench.plots import style
from optbench.plots.landscape import window
from optbench.plots.lines import Panel, draw
from optbench.plots.panels import swept_axis
from optbench.plots.series import split


def sweep(epochs=5, seeds=2, **settings):
    """Return a frame of all combinations, and evaluations whose loss is 1 / epoch times the setting's number."""
    cells = pd.MultiIndex.from_product([*settings.values(), range(seeds)], names=[*settings, "seed"]).to_frame(
        index=False
    )
    frame = cells.assign(status="done", directory="")
    rows = [
        {"run": run, "step": epoch, "epoch": epoch, "loss": (1 + run) / (1 + epoch), "test_accuracy": 0.9 + 0.001 * run}
        for run in frame.index
        for epoch in range(epochs + 1)
    ]
    return frame, pd.DataFrame(rows)


def test_optimizers_alone_have_their_own_looks():
    frame, _ = sweep(optimizer=["Adam", "SGD", "Lion"])
    assert [(s.name, s.look["color"]) for s in split(frame)] == [
        (name, style.look(name).colour) for name in ("Adam", "SGD", "Lion")
    ]


def test_other_settings_are_told_by_the_look_and_optimizers_by_the_panel():
    frame, data = sweep(optimizer=["Adam", "SGD"], schedule=["constant", "cosine"], lr=[0.1, 1e-5])
    series = split(frame)
    assert len({(s.name, str(s.look)) for s in series}) == 4 and len(series) == 8
    assert series[1].name == "constant, 1e-05"
    figure = draw(frame, data, [Panel("loss", "loss")], "")
    assert [ax.get_title() for ax in figure.axes] == ["Adam: loss", "SGD: loss"]
    assert all(len(ax.lines) == 4 for ax in figure.axes)


@pytest.mark.parametrize(("panels", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2))])
def test_panels_are_arranged_to_be_read(panels, shape):
    frame, data = sweep(optimizer=["Adam"])
    figure = draw(frame, data, [Panel("loss", str(i)) for i in range(panels)], "")
    assert figure.axes[0].get_gridspec().get_geometry() == shape


def test_the_worst_line_does_not_squash_the_others_and_is_named():
    frame, data = sweep(optimizer=["Adam", "SGD", "NAG", "Lion", "Bad"], epochs=10)
    bad = data["run"].isin([8, 9])
    data.loc[bad, "test_accuracy"] = 0.1
    (ax,) = draw(frame, data, [Panel("test_accuracy", "")], "").axes
    low, high = ax.get_ylim()
    assert 80 < low < 90 and 90.7 <= high < 95
    assert [text.get_text() for text in ax.texts] == ["outside: Bad (to 10)"]


def test_lines_that_fit_are_shown_whole():
    frame, data = sweep(optimizer=["Adam", "SGD", "NAG"])
    (ax,) = draw(frame, data, [Panel("test_accuracy", "")], "").axes
    low, high = ax.get_ylim()
    assert low <= 90 and high >= 90.5 and not ax.texts


def test_the_best_line_is_never_outside_its_panel():
    frame, data = sweep(optimizer=["Adam", "SGD", "NAG", "Lion", "Muon"], epochs=10)
    best = data["run"].isin([8, 9])
    data.loc[best, "test_accuracy"] = 0.999
    data.loc[best, "loss"] /= 1e3
    accuracy, loss = draw(frame, data, [Panel("test_accuracy", ""), Panel("loss", "")], "").axes
    assert accuracy.get_ylim()[1] > 99.9 and not accuracy.texts
    assert loss.get_ylim()[0] < data["loss"][data["step"] > 0].min() and not loss.texts


@pytest.mark.parametrize("what", ["loss", "update_norm"])
def test_the_first_epoch_is_shown_however_steep(what):
    frame, data = sweep(optimizer=["Adam", "SGD", "NAG", "Lion"], epochs=20)
    data[what] = 1 / data["epoch"].clip(lower=1) ** 3 - 0.5
    (ax,) = draw(frame, data, [Panel(what, "")], "").axes
    assert ax.get_ylim()[1] > data[what][data["epoch"] == 1].max()


def test_runs_of_which_none_is_done_are_drawn_as_far_as_they_came():
    frame, data = sweep(optimizer=["Adam"], seeds=1, epochs=3)
    figure = draw(frame.assign(status="interrupted"), data, [Panel("loss", "")], "")
    assert len(figure.axes[0].lines[0].get_xdata()) == 3
    assert "1 of 1 interrupted" in figure.legends[0].get_texts()[0].get_text()


def test_what_stands_below_says_what_lines_are():
    one, data = sweep(optimizer=["Adam", "SGD"], seeds=1)
    assert draw(one, data, [Panel("loss", "")], "").get_supxlabel() == "Each line is one run, of seed 0."
    two, data = sweep(optimizer=["Adam", "SGD"], seeds=2)
    assert "band" in draw(two, data, [Panel("loss", "")], "").get_supxlabel()


def test_shades_and_legend_go_by_value_and_not_by_what_was_typed_first():
    frame, data = sweep(optimizer=["SGD"], lr=[0.1, 0.001, 1.0, 0.01])
    figure = draw(frame, data, [Panel("loss", "")], "")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0.001", "0.01", "0.1", "1"]
    brightness = [sum(line.get_color()[:3]) for line in figure.axes[0].lines[:4]]
    assert brightness == sorted(brightness)


def test_the_legend_states_the_rate_of_each_setting():
    frame, data = sweep(optimizer=["SGD", "Adam"], seeds=2)
    figure = draw(frame, data, [Panel("loss", "")], "", rates={0: 0.1, 1: 0.1, 2: 0.001, 3: 0.01})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SGD, lr 0.1", "Adam"]


def test_a_single_epoch_has_a_whole_axis():
    frame, data = sweep(optimizer=["Adam", "SGD"], epochs=1)
    assert draw(frame, data, [Panel("loss", "")], "").axes[0].get_xlim() == (0, 2)


@pytest.mark.parametrize("count", [1, 7, 50])
def test_no_text_leaves_the_figure_or_meets_another(count, tmp_path):
    frame, data = sweep(optimizer=[f"Optimizer {i}" for i in range(count)], seeds=1, epochs=4)
    data.loc[data["run"] % 5 == 4, ["loss", "test_accuracy"]] = [1e6, 0.01]
    panels = [Panel("loss", "loss"), Panel("test_accuracy", "accuracy")]
    with style.context():
        figure = draw(frame, data, panels, "A title of many words " * 9, "A caption of many words. " * 12)
        style.save(figure, tmp_path / "figure", ["png"])
        page = figure.bbox
        drawn = [*figure.legends, figure._suptitle, figure._supxlabel, *(t for ax in figure.axes for t in ax.texts)]
        boxes = [artist.get_window_extent() for artist in drawn]
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1
    assert not [a for i, a in enumerate(boxes) if any(a.overlaps(b) for b in boxes[:i])]


def test_a_wide_range_of_losses_is_on_a_log_scale():
    frame, data = sweep(optimizer=["Adam", "SGD"])
    assert draw(frame, data[data["epoch"] < 3], [Panel("loss", "")], "").axes[0].get_yscale() == "linear"
    data["loss"] **= 6
    assert draw(frame, data, [Panel("loss", "")], "").axes[0].get_yscale() == "log"


def test_values_that_are_not_finite_leave_a_figure(tmp_path):
    frame, data = sweep(optimizer=["Adam", "SGD"])
    data.loc[data["run"] == 0, "loss"] = np.inf
    data.loc[data["run"] == 2, "loss"] = np.nan
    figure = draw(frame, data, [Panel("loss", "")], "")
    assert isinstance(figure, Figure) and np.isfinite(figure.axes[0].get_ylim()).all()
    style.save(figure, tmp_path / "figure")


def test_a_single_evaluation_is_seen():
    frame, data = sweep(optimizer=["Adam"], epochs=1)
    assert draw(frame, data, [Panel("loss", "")], "").axes[0].lines[0].get_marker() == "o"


def test_a_window_holds_all_points_with_room_around_them():
    points = np.array([[0.0, 0.0], [10.0, 1.0], [4.0, -1.0]])
    (left, right), (low, high) = window(points)
    assert left < 0 and right > 10 and low < -1 and high > 1
    assert (high - low) / (right - left) > 0.5
    assert (np.diff(window(np.zeros((3, 2)))) > 0).all()


@pytest.mark.parametrize(
    ("values", "scale"), [([0, 1e-4, 1], "symlog"), ([1e-4, 1], "log"), ([0, 1, 2], "linear"), ([-1, 1, 20], "linear")]
)
def test_a_swept_number_is_on_a_scale_that_tells_its_values_apart(values, scale):
    axes = Figure().add_subplot()
    swept_axis(axes, np.array(values, dtype=float))
    assert axes.get_xscale() == scale
