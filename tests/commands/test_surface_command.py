"""The commands as they are typed."""

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from PIL import Image
from rich.console import Console

from optbench.checks import UserError
from optbench.commands import gallery, surface as command, terrain as terrain_command
from optbench.configs import CONF
from optbench.plots.surface import check_panels
from optbench.surfaces.compute import compute
from optbench.surfaces.request import Request, describe

pytestmark = pytest.mark.slow

STUDIES = [study for study in Request.of([]).studies if study != "gallery"]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def files(folder="."):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_can_be_drawn(study):
    request = Request.of([f"study={study}"])
    crowd = any("population" in scene for scene in request.config()["scenes"])
    request = request if crowd else Request.of([f"study={study}", "steps=2"])
    scenes = [compute(setting, request.folders) for setting in describe(request, request.config())]
    check_panels(scenes)
    for scene in scenes:
        assert scene.setting.title
        assert scene.setting.caption or not scene.tracks or study in ("sparse_dense",)


def test_a_scene_leaves_figures_a_page_and_a_table(capsys):
    command.main(["surface=rosenbrock", "optimizers=[adam,lion,nag]", "steps=20", "noise=0.1", "seed=0"])
    assert files() == [
        f"results/surfaces/rosenbrock/{name}" for name in ("page.html", "rosenbrock.png", "rosenbrock.svg")
    ]
    said = capsys.readouterr().out
    assert all(
        name in said
        for name in (
            "Adam",
            "Lion",
            "NAG",
            "page.html",
            "optbench terrain surface=rosenbrock 'optimizers=[adam,lion,nag]' steps=20",
        )
    )


def test_a_study_says_what_becomes_of_its_paths(capsys):
    command.main(["study=newton_vs_gd", "formats=[png]", "page=false", "out=here"])
    assert files() == ["here/cosh.png", "here/parabola.png"]
    said = capsys.readouterr().out
    assert "Newton" in said
    assert said.endswith("optbench terrain study=newton_vs_gd 'formats=[png]' out=here\n")


def test_what_is_typed_holds_for_all_scenes_of_a_study():
    request = Request.of(["study=gd_vs_momentum", "steps=7", "seed=3"])
    settings = describe(request, request.config())
    assert len(settings) == 3
    assert {(setting.steps, setting.seed) for setting in settings} == {(7, 3)}


def test_entries_have_hyperparameters_starts_schedules_and_labels_of_their_own():
    request = Request.of(
        [
            "surface=bowl",
            "optimizers=[{name:sgd,lr:0.1,start:[1,2],label:mine},{name:momentum,beta:0.5,schedule:cosine}]",
            "steps=5",
            "lr={momentum:0.3}",
            "starts=[[3,3],[-3,3]]",
        ]
    )
    [setting] = describe(request, request.config())
    mine, first, second = compute(setting, request.folders).tracks
    assert (mine.label, mine.points[0].tolist(), mine.rates) == ("mine", [1, 2], (0.1,) * 5)
    assert first.label == "Momentum, lr 0.3, beta 0.5, from (3, 3)"
    assert (first.points[0].tolist(), second.points[0].tolist()) == ([3, 3], [-3, 3])
    assert first.rates[0] == 0.3 > first.rates[-1]
    assert (mine.variant, first.variant, second.variant) == (0, 0, 1)


def test_the_best_rate_is_the_best_of_the_grid():
    request = Request.of(["surface=bowl", "optimizers=[sgd,lars]", "steps=10"])
    [setting] = describe(request, request.config())
    sgd, lars = compute(setting, request.folders).tracks
    assert sgd.rates[0] == pytest.approx(0.562, abs=0.001)  # 0.5 is exact
    for track in sgd, lars:
        rates, losses = track.sweep
        assert len(rates) == 21
        assert losses[rates.index(track.rates[0])] == min(losses)


@pytest.mark.parametrize("schedule", ["cosine", "{name:piecewise,boundaries:[2]}", "{name:warmup,steps:3}"])
def test_the_best_rate_is_found_under_the_schedule(schedule):
    request = Request.of(["surface=bowl", "optimizers=[sgd]", "steps=10", f"schedule={schedule}"])
    [setting] = describe(request, request.config())
    [track] = compute(setting, request.folders).tracks
    rates, losses = track.sweep
    alone = [compute(replace(setting, lr=lr), request.folders).tracks[0].values for lr in rates[8:16:3]]
    assert losses[8:16:3] == pytest.approx([float(values[-1:].mean()) for values in alone], rel=1e-9)


def test_notes_tell_of_paths_that_leave_and_that_diverge():
    request = Request.of(["surface=bowl", "optimizers=[{name:sgd,lr:1.5},{name:sgd,lr:1e200}]", "steps=20"])
    [setting] = describe(request, request.config())
    notes = compute(setting, request.folders).notes
    assert "SGD, lr 1.5 leaves the window at step 2; its path is cut there." in notes
    assert "SGD, lr 1e+200 diverged at step 1." in notes


def test_an_animation_moves(capsys):
    command.main(["surface=bowl", "optimizers=[sgd]", "steps=10", "formats=[png]", "page=false", "animate=gif"])
    with Image.open("results/surfaces/bowl/bowl.gif") as movie:
        assert movie.n_frames > 5


def test_a_film_needs_ffmpeg():
    with matplotlib.rc_context({"animation.ffmpeg_path": "/nowhere/ffmpeg"}):
        with pytest.raises(UserError, match="animate=mp4 needs ffmpeg, which is not installed; use animate=gif"):
            command.main(["surface=bowl", "steps=10", "animate=mp4"])
    assert files() == []


def test_configs_of_ones_own():
    folder = Path("mine")
    (folder / "surface_study").mkdir(parents=True)
    (folder / "optimizer").mkdir()
    (folder / "surface_study" / "ours.yaml").write_text(
        "# @package _global_\nname: ours\nscenes: [{surface: bowl, steps: 3, optimizers: [slow]}]\n"
    )
    shutil.copy(CONF / "optimizer" / "sgd.yaml", folder / "optimizer" / "slow.yaml")
    command.main(["--config-dir", "mine", "study=ours", "formats=[png]", "page=false"])
    assert "results/surfaces/ours/bowl.png" in files()


def test_the_gallery_has_an_index_of_all_studies(tmp_path):
    conf = tmp_path / "conf"
    for study in ("gallery", "newton_vs_gd", "bowls"):
        (conf / "surface_study").mkdir(parents=True, exist_ok=True)
        shutil.copy(CONF / "surface_study" / f"{study}.yaml", conf / "surface_study")
    for group in ("optimizer", "schedule"):
        shutil.copytree(CONF / group, conf / group)
    gallery.gallery(Request(("study=gallery", "out=all"), (conf,)), Console(quiet=True))
    assert files("all") == [
        "README.md",
        "bowls/bowl.png",
        "bowls/shallow_bowl.png",
        "explore.html",
        "newton_vs_gd/cosh.png",
        "newton_vs_gd/parabola.png",
    ]
    index = Path("all/README.md").read_text()
    assert "![Newton's method and gradient descent on t²](newton_vs_gd/parabola.png)" in index
    assert "optbench surface study=bowls" in index


def test_a_scene_of_the_gallery_that_cannot_be_drawn_is_named_in_one_line(tmp_path, capfd):
    conf = tmp_path / "conf"
    (conf / "surface_study").mkdir(parents=True)
    for study in ("gallery", "bowls"):
        shutil.copy(CONF / "surface_study" / f"{study}.yaml", conf / "surface_study")
    for group in ("optimizer", "schedule"):
        shutil.copytree(CONF / group, conf / group)
    request = Request(("study=gallery", "out=all", "processes=1", "steps=-3"), (conf,))
    with pytest.raises(UserError, match="^study=bowls: its process ended: .*steps=-3.*1 more of 2 scenes.*tells more$"):
        gallery.gallery(request, Console(quiet=True))
    assert files("all") == []
    assert "Traceback" not in capfd.readouterr().err


def test_terrain_of_a_surface(capsys):
    terrain_command.main(["surface=himmelblau", "optimizers=[{name:sgd,lr:0.01}]", "steps=40", "formats=[png]"])
    said = capsys.readouterr().out
    assert [said.count(kind) for kind in ("minimum ", "saddle  ", "maximum ")] == [4, 4, 1]
    assert "valley" in said
    assert files() == ["results/terrain/himmelblau/himmelblau.png"]


BAD = {
    "surface=rosenbrok": "no surface 'rosenbrok'; did you mean 'rosenbrock'",
    "study=gd_vs_momentun": "no surface study 'gd_vs_momentun'; did you mean 'gd_vs_momentum'",
    "study=seven": "study 'seven' trains networks; run it with optbench train -m study=seven",
    "steps=5": "surface is missing",
    "surface=bowl stepps=5": "no field 'stepps'; did you mean 'steps'",
    "surface=bowl rosenbrock": "'rosenbrock' is not field=value",
    "surface=bowl optimizers=[adma]": "no optimizer 'adma'; did you mean 'adam'",
    "surface=bowl optimizers=[kfac]": "KFAC needs a network, and bowl is none",
    "surface=bowl optimizers=[{lr:0.1}]": "has no name",
    "surface=bowl optimizers=[{name:adam,bata1:0.5}]": "no hyperparameter of Adam 'bata1'; did you mean 'beta1'",
    "surface=bowl optimizers=[{name:adam,beta1:1.2}]": "Adam: beta1=1.2 is outside [0, 1)",
    "surface=bowl lr=-1": "sgd: lr=-1.0 is outside [0, inf)",
    "surface=bowl lr=fast": "lr='fast' is neither a number nor best nor default",
    "surface=bowl steps=0": "surface: steps=0 is outside [1, inf)",
    "surface=bowl steps=many": "surface: steps='many' is not a whole number",
    "surface=bowl steps=[3": "'steps=[3' is no override",
    "surface=bowl steps=1,2": "steps=1,2: give one value",
    "surface=bowl +steps=2": "no field '+steps'; did you mean 'steps'",
    "surface=bowl noise=-1": "surface: noise=-1",
    "surface=bowl seed=-1": "surface: seed=-1",
    "surface=bowl batch=2": "bowl: batch=2, but it has no samples",
    "surface=bowl starts=[[1,2,3]]": "bowl: start (1, 2, 3) has 3 coordinates; give 2",
    "surface=bowl starts=[[9,9]]": "bowl: start (9, 9) is outside the window [-7, 7] x [-7, 7]",
    "surface=saddle starts=[[3,0]]": "saddle: start (3, 0) is outside the domain",
    "surface=bowl window=[[1,-1],[0,2]]": "window: [1, -1] is empty; give the lower bound first",
    "surface=bowl window=[[1,1],[0,2]]": "window: [1, 1] is empty",
    "surface=bowl window=[[-1,1]]": "is not a pair of bounds for each of 2 parameters",
    "surface=bowl panels=[space,contur]": "no panel 'contur'; did you mean 'contour'",
    "surface=bowl panels=[curve]": "panel curve is for 1 parameters, not 2",
    "surface=saddle panels=[distance]": "saddle has no minimum",
    "surface=bowl panels=[recovery]": "panels matrices and recovery are for matrix_factorization, not bowl",
    "surface=bowl panels=[index]": "panel index is for more than 2 parameters",
    "surface=bowl panels=[roots]": "bowl: panel roots is for 1 parameter, not 2",
    "surface=cosh panels=[slopes] lr=0.1": "panel slopes shows the tangents of Newton's method; leave SGD out",
    "surface=bowl lr=0.1 schedule={name:exponential,first:-1}": "schedule: first=-1 is outside",
    "surface=bowl panels=[regret]": "bowl: batch=1, but it has no samples",
    "surface=linear_regression optimizers=[{name:sgd,batch:-1}]": "sgd: batch=-1 is not a whole number in [1, inf)",
    "surface=bowl schedule=cosin": "no schedule 'cosin'; did you mean 'cosine'",
    "surface=bowl population={epochs:1} schedule=cosine": "sgd: schedule says nothing of a population",
    "surface=bowl population={epochs:1} starts=[[1,1],[2,2]]": "sgd: starts says nothing of a population",
    "surface=bowl population={epochs:1} steps=5": "steps say nothing of a population",
    "surface=bowl optimizers=[adam] lr={adma:0.1}": "no optimizer here to give a lr 'adma'; did you mean 'adam'",
    "surface=bowl page=flase": "surface: page='flase' is not true or false",
    "surface=bowl processes=2": "processes is of study=gallery",
    "surface=bowl formats=[svg] colours=64": "colours is of a png's palette, and formats names no png; leave it out",
    "surface=bowl --config-dir nowhere": "--config-dir nowhere is no directory",
    "study=gd_vs_momentum schedule.rate=0.5": "no argument of constant 'rate'",
    "surface=bowl population={crowd:3}": "no field of population 'crowd'",
    "surface=bowl formats=[gif]": "surface: formats=['gif']",
    "surface=bowl formats=[]": "formats=[] names none",
    "surface=bowl animate=avi": "surface: animate='avi'",
    "surface=bowl colours=1000": "surface: colours=1000",
    "surface=matrix_factorization animate=gif": "matrix_factorization has no path over one or two parameters",
    "study=gallery processes=0": "surface: processes=0",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(typed):
    with pytest.raises(UserError) as error:
        command.main(typed.split())
    assert BAD[typed] in str(error.value)
    assert "\n" not in str(error.value)
    assert files() == []


def test_a_scene_that_is_wrong_keeps_the_others_from_being_written():
    Path("mine/surface_study").mkdir(parents=True)
    Path("mine/surface_study/half.yaml").write_text(
        "# @package _global_\nname: half\nscenes: [{surface: bowl, steps: 3}, {surface: ravine, steps: -3}]\n"
    )
    with pytest.raises(UserError, match="steps=-3"):
        command.main(["--config-dir", "mine", "study=half"])
    assert files() == ["mine/surface_study/half.yaml"]


@pytest.mark.parametrize("main", [command.main, terrain_command.main])
def test_help_says_how_it_is_used(main, capsys):
    main(["--help"])
    assert "usage: optbench" in capsys.readouterr().out


@pytest.mark.parametrize("typed", ["panels=[loss]", "caption=here", "page=false", "animate=gif", "colours=64"])
def test_terrain_refuses_what_says_how_a_scene_is_drawn(typed):
    with pytest.raises(UserError, match=f"{typed.split('=')[0]} says nothing of a terrain, .*; leave it out"):
        terrain_command.main(["surface=bowl", typed])


def test_terrain_refuses_what_it_cannot_show():
    with pytest.raises(UserError, match=r"formats=\['gif'\]"):
        terrain_command.main(["surface=bowl", "formats=[gif]"])
    with pytest.raises(UserError, match="matrix_factorization has 105 parameters"):
        terrain_command.main(["surface=matrix_factorization", "steps=1", "optimizers=[{name:sgd,lr:0.1}]"])
    with pytest.raises(UserError, match="run=nowhere is not the directory of a run"):
        terrain_command.main(["run=nowhere"])
    with pytest.raises(UserError, match="run=DIR stands alone"):
        terrain_command.main(["run=nowhere", "steps=3"])
