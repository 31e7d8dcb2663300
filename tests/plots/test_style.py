from pathlib import Path

import matplotlib
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from optbench.plots import style

OPTIMIZERS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml"))


def test_every_optimizer_has_a_look_of_its_own():
    looks = {name: style.look(name) for name in OPTIMIZERS}
    assert len(set(looks.values())) == len(OPTIMIZERS)


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
