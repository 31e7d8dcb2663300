"""Figures of landscapes: levels that tell heights apart, complete legends, titles that own up to the error."""

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from optbench.landscape.picture import Landscape, Projection, View
from optbench.landscape.plane import Plane
from optbench.plots import style
from optbench.plots.landscape import RATIO, figure, levels, looks, named
from optbench.plots.landscape_relief import animate, relief

pytestmark = pytest.mark.slow

AXIS = np.linspace(-1, 1, 8)


def track(name, optimizer="Adam", status="done", off=0.0, scale=1.0):
    xy = scale * np.random.default_rng(len(name)).standard_normal((5, 2)).cumsum(0) / 5
    values = np.linspace(2, 1, 5)
    return Projection(name, optimizer, status, np.arange(0, 50, 10), xy, values, values + off, np.linspace(0, 0.5, 5))


def scene(tracks, values=None, kind="shared", **keywords):
    plane = Plane(np.zeros(3), np.eye(2, 3), kind, (0.6, 0.3) if kind == "shared" else ())
    grid = 1 + AXIS[:, None] ** 2 + AXIS**2 if values is None else values
    views = (View("", AXIS, AXIS, grid),)
    return Landscape("", plane, views, tuple(tracks), "loss", "train", 60, **keywords)


@pytest.mark.parametrize("low", [2.3, -2.3, 0.0, 1e-6, 230.0])
@pytest.mark.parametrize("spread", [1e-4, 0.1, 3.0, 1e3])
def test_the_names_of_levels_tell_them_apart(low, spread):
    found = levels([np.linspace(low, low + spread, 50)])
    assert len(set(found.names)) == len(found.names) > 4
    assert (np.diff(found.edges) > 0).all()
    assert found.log == (low > 0 and (low + spread) / low > RATIO)
    assert found.edges[0] == low and found.edges[-1] == pytest.approx(low + spread)
    np.testing.assert_allclose([float(name) for name in found.names], found.lines, rtol=0.06, atol=1e-3 * spread)


def test_a_part_of_the_heights_has_levels_of_its_own():
    found = levels([np.linspace(1, 1000, 50), np.linspace(1, 1.1, 50)])
    assert ((found.edges > 1) & (found.edges < 1.1)).sum() >= 5
    assert named(np.array([210.0, 120.0])) == ["210", "120"]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -3.0])
def test_values_of_any_kind_leave_figures(tmp_path, value):
    values = np.full((8, 8), value)
    for grid in (values, np.where(AXIS > 0, values, 1.0), np.where(AXIS > 0, values, -np.inf)):
        one = scene([track("Adam")], grid)
        with style.context():
            for made in (figure([one], "a title"), relief([one], "a title")):
                (file,) = style.save(made, tmp_path / "figure", ["png"])
                assert np.ptp(imread(file)[..., :3]) > 0.5


def test_a_path_of_no_points_and_one_that_left_are_no_trouble(tmp_path):
    empty = Projection(
        "gone", "SGD", "diverged", *(np.zeros(0) for _ in range(1)), np.zeros((0, 2)), *(np.zeros(0),) * 3
    )
    far = track("far", status="diverged", scale=1e12, off=np.inf)
    one = scene([track("Adam"), empty, far])
    assert np.isfinite(one.error)
    with style.context():
        style.save(figure([one], ""), tmp_path / "figure", ["png"])
        style.save(relief([one], ""), tmp_path / "relief", ["png"])


@pytest.mark.parametrize("count", [1, 7, 36, 50])
def test_the_legend_names_everybody_inside_the_figure(count):
    one = scene([track(f"optimizer number {i}", f"o{i}") for i in range(count)])
    with style.context():
        made = figure([one], "a title")
        made.draw_without_rendering()
        legend = made.findobj(lambda artist: type(artist).__name__ == "Legend")[0]
        texts = [text.get_text() for text in legend.get_texts()]
        assert len(texts) == count and all(f"number {i}" in text for i, text in enumerate(texts))
        box, whole = legend.get_window_extent(), made.bbox
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1


def words(made):
    return " ".join(text.get_text() for text in made.findobj(Text))


def test_the_title_owns_up_to_an_error_above_the_bound():
    assert "off by" not in words(figure([scene([track("Adam", off=0.05)])], ""))
    assert "the picture is off by up to 50% of what the loss changes" in " ".join(
        words(figure([scene([track("Adam", off=0.5)])], "")).split()
    )


def test_the_caption_states_statistics_and_notes():
    one = scene([track("Adam")], statistics="of the examples", notes=("something to know",))
    said = " ".join(words(figure([one], "", ["left out: nobody"])).split())
    for text in ("statistics of the examples", "Something to know.", "Left out: nobody.", "60 examples of the train"):
        assert text in said


def test_settings_of_one_optimizer_go_from_dark_to_light():
    found = looks([track(f"Adam, lr {lr}") for lr in (0.001, 0.01, 0.1)])
    light = [np.mean(look["color"][:3]) for look in found.values()]
    assert light == sorted(light)
    assert looks([track("SGD", "SGD"), track("Adam")])["SGD"]["color"] == style.look("SGD").colour


def test_the_paths_grow(tmp_path):
    with style.context():
        file = animate(scene([track("Adam"), track("SGD", "SGD")]), "a title", tmp_path / "film", "gif")
    from PIL import Image

    with Image.open(file) as film:
        assert film.n_frames == 5
        first, last = np.asarray(film.convert("RGB")), None
        film.seek(4)
        last = np.asarray(film.convert("RGB"))
    assert (first != last).any()
