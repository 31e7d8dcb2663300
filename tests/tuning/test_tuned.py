"""`study=tuned` for real, on little: equal trials, fresh seeds, and it goes on where it was."""

import shlex
import shutil

import pytest

from optbench.results import compare, labels, read
from optbench.tuning.outcome import budget_curves, parts, trials, winners

LITTLE = """
    data.train_size=400 data.test_size=100 model.hidden=[8] trainer.max_epochs=2 budget.trials=4 budget.seeds=3
    hydra.launcher.n_jobs=1 logger=none
""".split()
STUDY = [
    "train",
    "-m",
    "study=tuned",
    "optimizer=sgd,lookahead",
    "search.lr=[1e-3,1]",
    *LITTLE,
    "hydra.sweep.dir=study",
]


@pytest.fixture(scope="module")
def tuned(type_in, tmp_path_factory):
    """A study of two optimizers, with its report."""
    folder = tmp_path_factory.mktemp("tuned")
    type_in(folder, *STUDY)
    return folder / "study"


@pytest.mark.slow
def test_all_have_the_same_number_of_trials_and_of_fresh_seeds(tuned):
    tried, finals = parts(read(tuned))
    assert trials(tried).groupby("contender").size().to_dict() == {"SGD": 4, "Lookahead": 4}
    assert labels(finals.frame) == ["optimizer", "trials", "setting"]
    assert compare(finals.frame)["runs"].tolist() == [3, 3, 3, 3]
    assert set(finals.frame["trials"]) == {"defaults", 4}
    assert not set(finals.frame["seed"]) & set(tried.frame["seed"])


@pytest.mark.slow
def test_the_winner_is_the_best_by_validation_and_is_what_the_finals_ran(tuned):
    tried, finals = parts(read(tuned))
    best = winners(tried).set_index("optimizer")
    for name, own in trials(tried).groupby("optimizer"):
        assert best.loc[name, "error"] == own["error"].min()
        ran = finals.frame[(finals.frame["optimizer"] == name) & (finals.frame["trials"] == 4)]["setting"].unique()
        assert ran.tolist() == [best.loc[name, "setting"].replace("base.", "")]
    assert trials(tried).query("optimizer == 'SGD'")["lr"].between(1e-3, 1).all()


@pytest.mark.slow
def test_more_trials_are_never_worse(tuned):
    curves = budget_curves(parts(read(tuned))[0])
    for _, own in curves.groupby("contender"):
        assert own["mean"].is_monotonic_decreasing and own["trials"].tolist() == [1, 2, 3, 4]


@pytest.mark.slow
def test_the_report_begins_with_the_answer_and_shows_the_trials(tuned):
    report = tuned / "report"
    lines = (report / "table.md").read_text().splitlines()
    assert lines[2].startswith("Best: ") and "over 3 seeds" in lines[2]
    assert any(line.startswith("Each of 2 contenders had 4 trials") for line in lines)
    assert {"trials.png", "budget.png", "table.tex"} <= {path.name for path in report.iterdir()}


@pytest.mark.slow
def test_it_goes_on_where_it_was_and_a_row_can_be_made_again(tuned, optbench, tmp_path):
    shutil.copytree(tuned, tmp_path / "study")
    before = {path: path.read_bytes() for path in (tmp_path / "study" / "trials").rglob("status.json")}
    lost = next((tmp_path / "study" / "finals").glob("*seed1"))
    shutil.rmtree(lost)
    optbench(*STUDY)
    assert (lost / "status.json").exists()
    assert before == {path: path.read_bytes() for path in before}
    row = compare(parts(read(tuned))[1].frame).iloc[0]
    optbench(*shlex.split(row["command"])[1:], "hydra.sweep.dir=again", "figures=[]")
    again = compare(read(tmp_path / "again").frame).iloc[0]
    assert again["final_val_loss_mean"] == pytest.approx(row["final_val_loss_mean"], rel=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["search=sobl"], "no search 'sobl'; did you mean 'sobol'"),
        (["search.lrr=[1e-3,1]"], "no hyperparameter to search 'lrr'; did you mean 'lr'"),
        (["search.lr=[1,1e-3]"], "SGD: search.lr=.1, 0.001. is no range"),
        (["budget.trials=0"], "budget: trials=0 is outside"),
        (["seed=0,1000"], "seed=1000 is that of the trials"),
        (["data.val_fraction=0"], "give data.val_fraction above 0"),
        (["optimizer.weight_decay=-1"], "SGD: weight_decay=-1"),
        (["optimizer.lr=0.5"], "optimizer.lr is searched here; give search.lr=.<low>,<high>. instead"),
        (["widen=maybe"], "tuned: widen='maybe' is not true or false"),
        (["optimizer=adam,adam"], "'optimizer=adam.* is in the study twice; give each value once"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(optbench, tmp_path, wrong, message):
    one = [] if wrong[0].startswith("optimizer=") else ["optimizer=sgd"]
    with pytest.raises(SystemExit, match=message) as refusal:
        optbench("train", "-m", "study=tuned", *one, *LITTLE, *wrong, "hydra.sweep.dir=study")
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["search.lr=[1e-3,1]"], "search is of a tuned study"),
        (["-m", "budget=small", "seed=0,1"], "budget is of a tuned study"),
        (["workloads=few"], "give optbench train -m"),
    ],
)
def test_what_only_a_study_heeds_is_refused_elsewhere(optbench, tmp_path, typed, message):
    with pytest.raises(SystemExit, match=message):
        optbench("train", *typed)
    assert list(tmp_path.iterdir()) == []


OWN = """
import torch

from optbench.optimizers import SignSGD


class Mine(SignSGD):
    \"\"\"The user's.\"\"\"


class Broken(torch.optim.SGD):
    \"\"\"Fails once it trains.\"\"\"

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        if self.steps > 2:
            raise RuntimeError("broken on purpose")
        return super().step(closure)
"""


@pytest.mark.slow
def test_a_users_own_a_third_partys_and_a_broken_rule_are_contenders(optbench, tmp_path, monkeypatch, capsys):
    (tmp_path / "owned.py").write_text(OWN)
    folder = tmp_path / "conf" / "optimizer"
    folder.mkdir(parents=True)
    search = "_partial_: true\nsearch: {lr: {low: 1e-3, high: 1e-1, log: true}}\n"
    for name, target in (("mine", "owned.Mine"), ("theirs", "torch.optim.Adam"), ("broken", "owned.Broken")):
        (folder / f"{name}.yaml").write_text(f"_target_: {target}\n{search}")
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = ["optimizer=mine,theirs,broken", *LITTLE, "budget.trials=2", "budget.seeds=1", "hydra.sweep.dir=study"]
    with pytest.raises(SystemExit, match="runs failed") as end:
        optbench("train", "-m", "study=tuned", "--config-dir", str(tmp_path / "conf"), *arguments)
    assert "broken on purpose" in str(end.value)
    tried, finals = parts(read(tmp_path / "study"))
    assert winners(tried).set_index("optimizer")["trials"].to_dict() == {"Mine": 2, "theirs": 2, "Broken": 2}
    assert winners(tried)["optimizer"].iloc[-1] == "Broken" and winners(tried)["done"].tolist() == [2, 2, 0]
    table = compare(finals.frame)
    assert table["failed"].tolist() == [0, 0, 0, 0, 1, 1] and set(table["optimizer"][-2:]) == {"Broken"}
    assert "Not done, and ranked last: Broken" in capsys.readouterr().out
    assert "nan" not in (tmp_path / "study" / "report" / "table.md").read_text()


@pytest.mark.slow
def test_what_heeds_no_schedule_is_tuned_under_a_constant_one(type_in, tmp_path):
    little = [*LITTLE, "budget.trials=1", "budget.seeds=1", "hydra.sweep.dir=study", "figures=[ranks]"]
    type_in(tmp_path, "train", "-m", "study=tuned", "optimizer=sgd,rprop", "schedule=cosine", *little)
    frame = read(tmp_path / "study").frame
    assert frame.groupby("optimizer")["schedule"].unique().map(list).to_dict() == {
        "Rprop": ["constant"],
        "SGD": ["cosine"],
    }
