"""Pictures of runs: each path on its own surface, and the picture's error by plain evaluation."""

import numpy as np
import pytest
import torch
import yaml
from torch.nn.utils import vector_to_parameters

from optbench import records
from optbench.checks import UserError
from optbench.landscape.gradients import gradients
from optbench.landscape.panels import LandscapeRequest, NamedRun, pictures
from optbench.landscape.picture import Landscape
from optbench.landscape.plane import KINDS
from optbench.landscape.task import task

FEW = LandscapeRequest(points=4)


def names(found):
    return [[track.name for track in one.tracks] for one in found]


def test_the_errors_numbers_equal_a_plain_evaluation(written, tmp_path):
    found, left = pictures([written("a", "SGD"), written("bb", "Adam")], FEW)
    assert not left
    (one,) = found
    for track in one.tracks:
        run = records.read(tmp_path / track.name)
        steps, weights = run.trajectory
        made = task(run.config)
        assert track.steps.tolist() == steps.tolist() and len(made.x) == one.examples == 60
        shadows = one.plane.points(track.coordinates)
        for i in range(len(steps)):
            for points, values in ((weights, track.values), (shadows, track.shadows)):
                vector_to_parameters(torch.tensor(points[i]).float(), made.model.parameters())
                with torch.no_grad():
                    assert values[i] == pytest.approx(made.loss(made.model(made.x), made.y).item(), rel=1e-5)
            away = np.linalg.norm(weights[i] - shadows[i])
            moved = np.linalg.norm(weights[i].astype(float) - weights[0])
            assert track.away[i] == pytest.approx(away / moved if i else 0, rel=1e-4, abs=1e-6)
    errors = np.concatenate([track.errors for track in one.tracks])
    values = np.concatenate([track.values for track in one.tracks])
    assert one.error == pytest.approx(errors.max() / np.ptp(values))
    assert len(one.rows()) == sum(len(track.steps) for track in one.tracks)
    assert one.rows()[3]["error"] == one.tracks[0].errors[3]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"model": {"hidden": [6]}}, "hidden [6]"),
        ({"model": {"activation": "tanh"}}, "activation tanh"),
        ({"data": {"train_size": 50}}, "train_size 50"),
        ({"data": {"subset": "balanced"}}, "subset balanced"),
        ({"change": lambda path: path + 1}, "start 2"),
    ],
)
def test_a_path_of_something_else_has_a_picture_of_its_own(written, other, said):
    runs = [written("a"), written("bb"), written("other", **other), written("cc", data={"batch_size": 10})]
    found, left = pictures(runs, FEW)
    assert names(found) == [["a", "bb", "cc"], ["other"]] and not left
    assert said in found[1].title


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["loss", "accuracy"])
def test_every_kind_of_plane_has_its_pictures(written, kind, what):
    runs = [written(name, seed=seed) for name, seed in (("a", 0), ("bb", 0), ("ccc", 1))]
    found, left = pictures(runs, LandscapeRequest(plane=kind, what=what, split="test", points=4))
    expected = {"shared": [["a", "bb"]], "three_runs": [["a, seed 0", "bb, seed 0", "ccc, seed 1"]]}
    assert names(found) == expected.get(kind, [["a"], ["bb"]]) and not left
    for one in found:
        assert one.plane.kind == kind and one.examples == 20 and one.what == what and one.split == "test"
        assert all(np.isfinite(view.values).all() and view.values.shape == (4, 4) for view in one.views)
        if what == "accuracy":
            assert 0 <= one.views[0].values.min() and one.views[0].values.max() <= 1
        if kind in ("endpoints", "random", "hessian"):
            assert one.tracks[0].shadows[-1] == pytest.approx(one.tracks[0].values[-1], rel=1e-4)


def test_a_picture_is_what_it_was_after_saving(written, tmp_path):
    found, _ = pictures([written("a"), written("bb", length=9.0), written("c"), written("d")], FEW)
    one = found[0]
    files = one.save(tmp_path / "pictures" / "one")
    assert [path.name for path in files] == ["one.npz", "one.json"]
    again = Landscape.load(tmp_path / "pictures" / "one")
    assert again.rows() == one.rows() and again.error == one.error and again.notes == one.notes
    for mine, other in zip((*one.views, one.plane), (*again.views, again.plane), strict=True):
        for key, value in vars(mine).items():
            assert np.array_equal(value, getattr(other, key)) if not key.startswith("_") else True
    files[0].write_bytes(b"damaged")
    with pytest.raises(UserError, match="holds no readable landscape"):
        Landscape.load(tmp_path / "pictures" / "one")


def cut(path):
    path[4:] = np.nan
    return path


def still(path):
    return path[[0, 0, 0]]


def straight(path):
    return path[0] + np.arange(4)[:, None] * (path[1] - path[0])


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (cut, "diverged", "2 recorded points are not finite"),
        (still, "done", "both directions are random, filter-normalised"),
        (straight, "done", "the second direction is random, filter-normalised"),
        (lambda path: path[:1], "done", "both directions are random"),
        (lambda path: path[:2], "done", "the second direction is random"),
    ],
)
@pytest.mark.parametrize("kind", ["shared", "pca", "endpoints"])
def test_what_can_be_drawn_of_a_bad_path_is_drawn_and_said(written, change, status, said, kind):
    runs = [written("bad", change=change, status=status)]
    if status == "diverged":
        runs.append(written("good"))
    found, left = pictures(runs, LandscapeRequest(plane=kind, points=3))
    mine = next(one for one in found if any(track.name == "bad" for track in one.tracks))
    assert said in " ".join(mine.notes) and not left
    assert all(np.isfinite(view.values).all() for view in mine.views)


def test_what_cannot_be_drawn_is_left_out_by_name(written, tmp_path):
    good = [written("good"), written("fine")]
    foreign = written("foreign", change=lambda path: path[:, :-1])
    bare = written("bare")
    (tmp_path / "bare" / "trajectory.bin").unlink()
    damaged = written("damaged")
    (tmp_path / "damaged" / "trajectory.bin").write_bytes(b"no such thing at all")
    evil = written("evil")
    evil.run.config["model"]["_target_"] = "os.makedirs"
    lost = written("lost", change=lambda path: path * np.nan)
    reread = [NamedRun(c.name, c.optimizer, records.read(c.run.directory)) for c in (bare, damaged)]
    found, left = pictures([*good, foreign, evil, lost, *reread], FEW)
    assert names(found) == [["good", "fine"]]
    said = " | ".join(left)
    for text in (
        "trajectory is of 3189 parameters, and its network has 3190: foreign",
        "os.makedirs",
        "evil",
        "its start is not finite: lost",
        "kept no trajectory: bare",
        "damaged",
    ):
        assert text in said
    with pytest.raises(UserError, match="kept no trajectory: bare"):
        pictures([reread[0]], FEW)


def test_an_edited_config_makes_nothing(written, tmp_path):
    written("evil")
    file = tmp_path / "evil" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["data"] = {"_target_": "pathlib.Path.touch", "self": str(tmp_path / "made")}
    file.write_text(yaml.safe_dump(config))
    run = records.Run(tmp_path / "evil", config, {"seed": 0, "status": "done"})
    with pytest.raises(UserError, match="data is 'pathlib.Path.touch', which no config"):
        pictures([NamedRun("evil", "Adam", run)], FEW)
    assert not (tmp_path / "made").exists()


def test_a_path_needs_no_optimizer_that_is_known(written):
    mine, good = written("mine"), written("good")
    mine.run.config["optimizer"]["_target_"] = "os.system"
    found, left = pictures([mine, good], FEW)
    assert names(found) == [["mine", "good"]]
    assert len(left) == 1 and "no optimizer is made: mine" in left[0] and "'os.system', which no config" in left[0]


def test_the_seed_that_is_drawn_is_that_of_most_runs_that_are_done(written):
    runs = [written("a", seed=0, status="failed"), written("bb", seed=1), written("cc", seed=1), written("d", seed=2)]
    found, _ = pictures(runs, FEW)
    assert names(found) == [["bb", "cc"]] and "seed 1" in found[0].notes
    assert names(pictures(runs, LandscapeRequest(points=3, seed=2))[0]) == [["d"]]
    with pytest.raises(UserError, match="no run has the seed 5; there are 0, 1, 2"):
        pictures(runs, LandscapeRequest(seed=5))
    with pytest.raises(UserError, match="no run came to its end"):
        pictures([written("e", status="failed")], FEW)
    with pytest.raises(UserError, match="needs three solutions, and there are 2: bb"):
        pictures(runs[1:3], LandscapeRequest(plane="three_runs"))


def test_more_pictures_than_fit_are_named(written):
    runs = [written("x" * (i + 1), points=3) for i in range(14)]
    found, left = pictures(runs, LandscapeRequest(plane="endpoints", points=2))
    assert len(found) == 12 and left == ("left out, as there are 12 pictures already: " + "x" * 13 + ", " + "x" * 14,)


def test_the_statistics_of_batch_normalization_are_stated(written):
    found, _ = pictures([written("a", model={"normalization": "batch"})], FEW)
    assert found[0].statistics == "of the examples"


def test_the_gradient_of_each_layer_is_that_of_the_loss(written):
    run = written("a", model={"hidden": [4, 4, 4], "residual": True, "normalization": "batch", "activation": "tanh"})
    found = gradients(run, LandscapeRequest())
    made = task(run.run.config)
    weights = run.run.trajectory[1]
    assert found.steps.tolist() == [0, 10, 20, 30, 40, 50] and len(found.layers) == 4
    vector_to_parameters(torch.tensor(weights[3]), made.model.parameters())
    made.loss(made.model(made.x), made.y).backward()
    expected = [p.grad.norm().item() for p in made.model.parameters() if p.dim() > 1]
    np.testing.assert_allclose(found.norms[3], expected, rtol=1e-4)
