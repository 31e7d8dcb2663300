import math

import pytest
import torch

from optbench import surfaces
from optbench.configs import CONF
from optbench.plots import style
from optbench.plots.surface import PANELS, check_panels, draw
from optbench.plots.surface_shape import inside, relief
from optbench.surfaces.compute import compute
from optbench.surfaces.request import Request, describe
from optbench.surfaces.setting import Setting

pytestmark = pytest.mark.slow

BOWL = surfaces.get("bowl")


def path(*points):
    return torch.tensor(points, dtype=torch.float64)


def test_a_path_inside_the_window_is_shown_as_it_is():
    whole = path((0, 0), (1, 2), (-3, 4))
    cut, times = inside(whole, BOWL)
    assert cut[~cut.isnan().any(-1)].tolist() == whole.tolist()
    assert times[~cut.isnan().any(-1)].tolist() == [0, 1, 2]


def test_a_path_is_cut_at_the_edges_of_the_window():
    cut, times = inside(path((0, 0), (14, 0), (14, 3), (-14, 3)), BOWL)
    seen = ~cut.isnan().any(-1)
    assert cut[seen].tolist() == [[0, 0], [7, 0], [7, 3], [-7, 3]]
    assert times[seen].tolist() == [0, 0.5, 2.25, 2.75]
    assert seen.tolist() == [True, True, False, True, True, False]


def test_a_path_that_starts_outside_is_shown_from_where_it_enters():
    cut, times = inside(path((-14, 0), (0, 0)), BOWL)
    assert cut[:2].tolist() == [[-7, 0], [0, 0]]
    assert times[:2].tolist() == [0.5, 1]


def test_a_path_along_an_edge_is_inside():
    cut, _ = inside(path((7, 0), (7, 3), (7, 3)), BOWL)
    assert cut[~cut.isnan().any(-1)].tolist() == [[7, 0], [7, 3], [7, 3]]


def test_what_is_not_finite_is_left_out():
    cut, _ = inside(path((0, 0), (1, 1), (math.nan, 1), (math.inf, 0)), BOWL)
    assert cut[~cut.isnan().any(-1)].tolist() == [[0, 0], [1, 1]]


def test_heights_are_logarithms_where_most_of_the_window_is_low():
    assert relief(BOWL.grid(50)[1])[1] == "f"
    raised, label = relief(surfaces.get("beale").grid(50)[1])
    assert label.startswith("log")
    assert raised(torch.tensor([0.0, 9.0])).tolist() == pytest.approx([0, 1], abs=0.2)


SCENES = {
    "plane": {"surface": "bowl", "optimizers": [{"name": "sgd", "lr": 0.1}, {"name": "sgd", "lr": 1e200}], "steps": 8},
    "line": {"surface": "x_cos_pi_x", "optimizers": [{"name": "adam", "lr": 0.1}], "steps": 8},
    "problem": {"surface": "matrix_factorization", "optimizers": [{"name": "sgd", "lr": 0.001}], "steps": 3},
    "no path": {"surface": "wavy_bowl"},
    "online": {
        "surface": "reddi",
        "optimizers": [{"name": "adam", "lr": 0.1}],
        "steps": 30,
        "batch": 1,
        "panels": ["iterates", "regret", "rate"],
    },
    "sweep": {"surface": "bowl", "optimizers": ["sgd"], "steps": 5, "panels": ["sweep", "variance", "escape"]},
}


@pytest.mark.parametrize("name", SCENES)
def test_every_kind_of_scene_is_drawn(name, tmp_path):
    scene = compute(Setting.of(SCENES[name]), [CONF])
    check_panels([scene])
    with style.context():
        figure = draw(scene)
        [file] = style.save(figure, tmp_path / "figure", ["png"])
    assert file.stat().st_size > 10_000
    assert [axes for axes in figure.axes if not (axes.lines or axes.collections or axes.patches)] == []


@pytest.mark.parametrize("name", ["bowl", "rosenbrock", "saddle", "ackley"])
def test_heights_have_ticks_from_the_lowest_to_the_highest_alone(name):
    scene = compute(Setting.of({"surface": name, "panels": ["space"]}), [CONF])
    with style.context():
        (axes,) = draw(scene).axes
    raised, _ = relief(scene.surface.grid(70)[1])
    heights = raised(scene.surface.grid(70)[1])
    slack = 0.02 * float(heights.max() - heights.min())
    assert len(axes.get_zticks()) >= 2
    assert min(axes.get_zticks()) >= float(heights.min()) - slack


def test_many_tracks_leave_their_panels_their_room():
    few, many = (
        compute(Setting.of({"surface": "bowl", "optimizers": ["sgd"] * n, "lr": 0.1, "steps": 2}), [CONF])
        for n in (1, 50)
    )
    with style.context():
        heights = [figure.axes[1].bbox.height for figure in (draw(few), draw(many))]
    assert heights[1] > 0.8 * heights[0]


def test_the_studies_use_every_panel():
    used = set()
    for study in Request.of([]).studies:
        if study != "gallery":
            request = Request.of([f"study={study}"])
            used |= {panel for setting in describe(request, request.config()) for panel in setting.panels or ()}
    assert PANELS.keys() == used


def test_a_small_palette_makes_a_small_file(tmp_path):
    scene = compute(Setting.of(SCENES["no path"]), [CONF])
    with style.context():
        [whole] = style.save(draw(scene), tmp_path / "whole", ["png"])
        [small] = style.save(draw(scene), tmp_path / "small", ["png"], colours=256)
    assert small.stat().st_size < whole.stat().st_size / 2
