from functools import partial

import pytest
import torch

from optbench import surfaces
from optbench.optimizers import SGD, Momentum
from optbench.surfaces.descent import descend
from optbench.surfaces.terrain import along, critical_points, name_point

NAMED = [s for name in surfaces.names() if (s := surfaces.get(name)).size <= 2 and not s.samples and not s.constraints]

LEVEL = ("sigmoid_plateau", "sigmoid_pair", "tanh")
STEEP = sorted({s.name for s in NAMED} - set(LEVEL))


@pytest.mark.parametrize("surface", [s for s in NAMED if s.name != "box"], ids=lambda s: s.name)
def test_the_published_points_are_found_and_named(surface):
    found = critical_points(surface)
    width = max(high - low for low, high in surface.window)
    for kind, points in ("minimum", surface.minima), ("saddle", surface.saddles), ("maximum", surface.maxima):
        for point in points:
            near = [c for c in found if (c.point - torch.tensor(point)).norm() < 1e-5 * width]
            assert [c.kind for c in near] == ["cusp" if surface.name == "ackley" else kind]


@pytest.mark.parametrize("name", ["himmelblau", "styblinski_tang", "three_hump_camel", "beale", "x_cos_pi_x", "tanh"])
def test_nothing_else_is_found(name):
    surface = surfaces.get(name)
    assert len(critical_points(surface)) == sum(map(len, (surface.minima, surface.saddles, surface.maxima)))


def test_rastrigin_has_its_wells():
    kinds = [c.kind for c in critical_points(surfaces.get("rastrigin"))]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"minimum": 121, "maximum": 100, "saddle": 220}


@pytest.mark.parametrize(
    ("name", "lowest", "others"),
    [
        ("himmelblau", 4, 0),
        ("wavy_bowl", 1, 3),
        ("three_hump_camel", 1, 2),
        ("x_cos_pi_x", 1, 1),
        ("rastrigin", 1, 120),
    ],
)
def test_a_global_minimum_is_told_from_a_local_one(name, lowest, others):
    names = [c.name for c in critical_points(surfaces.get(name))]
    assert names.count("global minimum") == lowest
    assert names.count("local minimum") == others


def test_a_maximum_below_the_windows_edge_is_a_local_one():
    assert [c.name for c in critical_points(surfaces.get("himmelblau"))].count("local maximum") == 1


def test_the_monkey_saddle_is_degenerate():
    assert [c.kind for c in critical_points(surfaces.get("monkey_saddle"))] == ["degenerate"]


@pytest.mark.parametrize(
    ("eigenvalues", "kind"),
    [([1, 2], "minimum"), ([-1, 2], "saddle"), ([-2, -1], "maximum"), ([0, 2], "degenerate"), ([0, 0], "degenerate")],
)
def test_the_hessian_names_a_point(eigenvalues, kind):
    assert name_point(torch.tensor(eigenvalues, dtype=torch.float64)) == kind


@pytest.mark.parametrize(
    ("name", "start", "rule", "expected"),
    [
        ("bowl", (-2, -2), partial(SGD, lr=0.1), {"valley"}),
        ("mild_bowl", (6, 6), partial(Momentum, lr=0.2), {"valley"}),
        ("ravine", (-5, 1), partial(SGD, lr=0.095), {"ravine"}),
        ("steep_ravine", (-5, 1), partial(SGD, lr=0.05), {"ravine"}),
        ("saddle", (1.5, 0.1), partial(SGD, lr=0.1), {"saddle"}),
        ("reddi", (0,), partial(SGD, lr=0.01), {"slope"}),
        ("tanh", (4,), partial(SGD, lr=0.1), {"plateau"}),
        ("sigmoid_plateau", (-3, -1), partial(SGD, lr=0.1), {"plateau"}),
        ("sigmoid_plateau", (-3, -1), partial(SGD, lr=2.5), {"plateau"}),
        ("sigmoid_plateau", (2, 4), partial(SGD, lr=1.0), {"plateau"}),
        ("sigmoid_pair", (-2, -2), partial(SGD, lr=1.0), {"plateau"}),
    ],
)
def test_the_terrain_of_a_path(name, start, rule, expected):
    surface = surfaces.get(name)
    path = descend(surface.f, rule, torch.tensor(start, dtype=torch.float64), 40)
    assert set(along(surface, path).names) == expected


@pytest.mark.parametrize("surface", [s for s in NAMED if s.name in STEEP], ids=lambda s: s.name)
def test_only_level_ground_is_a_plateau(surface):
    points = surface.grid(21)[0].reshape(-1, surface.size)
    share = along(surface, points).names.count("plateau") / len(points)
    assert share < 0.02


def test_the_floor_of_a_valley_among_high_mountains_is_no_plateau():
    beale = surfaces.get("beale")
    path = descend(beale.f, partial(SGD, lr=0.01), torch.tensor([1.0, 1.0], dtype=torch.float64), 300)
    assert "plateau" not in along(beale, path).names


def test_a_canal_turns():
    surface = surfaces.get("banana_canal")
    x = torch.linspace(-4.5, 4.5, 200, dtype=torch.float64)
    terrain = along(surface, torch.stack([x, 2 * x.sin()], -1))
    assert terrain.names.count("canal") > 100
    assert terrain.turn.sum() > 4  # the axis swings to and fro with the sine's slope


def test_numbers_along_a_path():
    terrain = along(surfaces.get("ravine"), torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=torch.float64))
    assert terrain.gradient_norm.tolist() == pytest.approx([(6**2 + 80**2) ** 0.5, 2])
    assert terrain.eigenvalues.tolist() == [[2, 20], [2, 20]]
    assert terrain.condition.tolist() == [10, 10]
    assert terrain.turn.tolist() == [0, 0]


def test_where_the_path_is_lost_so_is_the_terrain():
    path = torch.tensor([[1.0, 1.0], [torch.nan, 1.0]], dtype=torch.float64)
    assert along(surfaces.get("bowl"), path).names == ("valley", "lost")
