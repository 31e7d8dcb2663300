from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from optbench.plots import style

OPTIMIZERS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml"))


def test_every_optimizer_has_a_look_of_its_own():
    looks = {name: style.look(name) for name in OPTIMIZERS}
    assert len(set(looks.values())) == len(OPTIMIZERS)


def lab(colour):
    """Return a colour in CIELAB, in which distances are about those that are seen."""
    rgb = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ rgb / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(name, other):
    return np.linalg.norm(lab(style.look(name).colour) - lab(style.look(other).colour))


def test_no_two_optimizers_are_alike():
    for name, other in combinations(OPTIMIZERS, 2):
        mine, theirs = style.look(name), style.look(other)
        if (mine.dash, mine.marker) == (theirs.dash, theirs.marker):
            assert distance(name, other) > 20, (name, other)
    assert distance("lion", "nag") > 35


def test_a_config_and_its_class_look_the_same():
    assert style.look("schedule_free_adamw") == style.look("ScheduleFreeAdamW")


def test_the_seven_differ_in_colour():
    assert len({look.colour for look in style.CHOSEN.values()}) == len(style.CHOSEN) == 7


@pytest.mark.parametrize("name", ["sgd", "adam", "lion"])
def test_variants_differ(name):
    variants = [style.look(name, i) for i in range(5)]
    assert len({v.dash for v in variants}) >= 4
    assert variants[0] == style.look(name)


@pytest.mark.parametrize("colour", [*style.COLOURS, *(look.colour for look in style.CHOSEN.values())])
def test_every_colour_stands_out_on_white(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 2.2


def test_the_context_leaves_the_defaults_alone():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["svg.hashsalt"] == "optbench"
    assert dict(matplotlib.rcParams) == before


def figure():
    drawn = Figure()
    drawn.add_subplot().plot([1, 2], [3, 4], **style.line("adam", points=2))
    return drawn


def test_save_writes_the_same_bytes_again(tmp_path):
    with style.context():
        first = [path.read_bytes() for path in style.save(figure(), tmp_path / "a" / "b.c")]
        second = [path.read_bytes() for path in style.save(figure(), tmp_path / "a" / "b.c")]
    assert first == second
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.c.png", "b.c.svg"]


def test_save_leaves_nothing_behind_where_it_fails(tmp_path):
    with pytest.raises(ValueError, match="nonsense"):
        style.save(figure(), tmp_path / "x", ["nonsense"])
    assert list(tmp_path.iterdir()) == []
