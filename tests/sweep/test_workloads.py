"""Workloads: data sets crossed with sizes, widths and batches, each ranked by itself, with a score over all."""

import math

import pandas as pd
import pytest
import yaml

from optbench.checks import UserError
from optbench.configs import CONF
from optbench.results import compare, labels, profile_score, read, workload_scores, workload_times
from optbench.results.comparison import blocks
from optbench.sweep.workloads import crossed
from optbench.tuning.outcome import parts

PRESETS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "workloads").glob("*.yaml"))}
SINGLE = {name: preset for name, preset in PRESETS.items() if "set" in preset}


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_every_data_set_is_crossed_with_its_sizes_widths_and_batches(name):
    cells = list(crossed({name: SINGLE[name]}, ["seed=0"]))
    assert len(cells) == math.prod(len(SINGLE[name][axis]["values"]) for axis in ("sizes", "widths", "batches"))
    assert len({line for cell in cells for line in cell if "workload.name=" in line}) == len(cells)
    small = list(crossed({name: SINGLE[name], "sizes": [7], "widths": [3], "batches": ["full"]}, []))
    assert len(small) == 1 and f"++workload.name={name}_n7_w3_bfull" in small[0]
    assert "++data.batch_size=full" in small[0]


@pytest.mark.parametrize("name", sorted(set(PRESETS) - set(SINGLE)))
def test_a_name_for_several_names_those_that_there_are(name):
    assert set(PRESETS[name]["defaults"]) <= set(SINGLE)


def test_what_is_typed_replaces_what_a_workload_sets_but_not_what_it_is_made_of():
    cell = next(crossed({"digits": SINGLE["digits"]}, ["trainer.max_epochs=3"]))
    assert [line for line in cell if "max_epochs" in line] == ["trainer.max_epochs=3"]
    with pytest.raises(UserError, match="data.train_size is what workloads=digits sets; give workloads.sizes"):
        next(crossed({"digits": SINGLE["digits"]}, ["data.train_size=3"]))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["workloads=[digitz,digits]"], "no workloads 'digitz'; did you mean 'digits'? (7 known: digits, few"),
        (["workloads=digitz"], "no workloads 'digitz'; did you mean 'digits'?"),
        (["workloads=[digits]", "workloads.sizs=[3]"], "no axis of workloads 'sizs'; did you mean 'sizes'?"),
        (["workloads=[digits]", "workloads.sizes=3"], "workloads.sizes=3 is no list of values; give one, such as [3]"),
        (
            ["workloads=[digits]", "workloads.sizes=[]"],
            "workloads.sizes=[] is no list of values; give one, such as [100]",
        ),
        (["workloads=[digits]", "data=mnist"], "data is what workloads=digits sets; leave it out"),
        (["workloads.sizes=[3]"], "give workloads=[...]"),
        (["workloads=linear_regression", "workloads.widths=[-1]"], "features=-1 is outside"),
    ],
)
def test_what_is_no_workload_is_refused_in_one_line(optbench, tmp_path, typed, said):
    with pytest.raises(SystemExit) as refusal:
        optbench("train", "-m", "optimizer=sgd", *typed)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("study", ["all", "tuned"])
def test_a_study_that_trains_some_on_whole_batches_gives_them_no_mini_batches(optbench, tmp_path, study):
    with pytest.raises(SystemExit, match=r"give mini-batches to lbfgs,newton, .* workloads.batches=\[full\]"):
        optbench("train", "-m", f"study={study}", "workloads=digits", "optimizer=sgd,lbfgs,newton")
    assert list(tmp_path.iterdir()) == []


def run(write, name, workload, optimizer, seed, accuracies, size):
    config = {
        "optimizer": {"_target_": f"optbench.optimizers.{optimizer}"},
        "workload": {"name": workload, "target": 0.8},
        "data": {"_target_": f"optbench.data.{workload}", "train_size": size},
    }
    epochs = [{"test_accuracy": a, "test_loss": 1.0, "grad_evals": 10 * i} for i, a in enumerate(accuracies)]
    write(name, [f"optimizer={optimizer.lower()}", f"seed={seed}"], epochs, **config)


def test_each_workload_has_ranks_of_its_own_and_one_label(write, tmp_path):
    for seed in range(3):
        run(write, f"a{seed}", "digits_n500", "SGD", seed, [0.1, 0.9 + seed / 100], 500)
        run(write, f"b{seed}", "digits_n500", "Adam", seed, [0.1, 0.5, 0.85 + seed / 200], 500)
        run(write, f"c{seed}", "digits_n1000", "SGD", seed, [0.1, 0.7 + seed / 100], 1000)
        run(write, f"d{seed}", "digits_n1000", "Adam", seed, [0.1, 0.9 + seed / 200], 1000)
    results = read(tmp_path)
    assert labels(results.frame) == ["optimizer", "workload"]
    table = compare(results.frame)
    assert table["workload"].tolist() == ["digits_n500"] * 2 + ["digits_n1000"] * 2
    assert table["rank"].tolist() == [1, 2, 1, 2] and table["optimizer"].tolist() == ["SGD", "Adam", "Adam", "SGD"]
    assert blocks(table).nunique() == 2
    times = workload_times(results)
    assert times.index.names == ["workload", "seed"] and set(times) == {"SGD", "Adam"}
    assert times.loc[("digits_n1000", 0), "SGD"] == math.inf
    assert times.loc[("digits_n500", 0), "SGD"] == pytest.approx(10 * 0.7 / 0.8)
    scores = workload_scores(times)
    pd.testing.assert_series_equal(scores["score"], profile_score(times)[scores.index], check_names=False)
    assert scores["solved"].to_dict() == {"SGD": 1, "Adam": 2} and scores["workloads"].tolist() == [2, 2]


@pytest.mark.slow
def test_a_tuned_study_over_workloads_ends_with_a_score_over_all(optbench, tmp_path, capsys):
    optbench(
        "train", "-m", "study=tuned", "workloads=[digits,matrix_factorization]", "optimizer=sgd",
        "workloads.sizes=[200]", "workloads.widths=[4]", "workloads.batches=[16]", "workloads.digits.target=0.01",
        "trainer.max_epochs=4", "budget.trials=2", "budget.seeds=3", "logger=none", "replicas=8",
        "hydra.sweep.dir=study",
    )  # fmt: skip
    told = capsys.readouterr().out
    assert "Over 2 workloads: " in told and "On digits_n200_w4_b16: " in told
    assert "Each of 2 contenders had 2 trials" in told
    finals = parts(read(tmp_path / "study"))[1]
    assert (finals.frame["stacked"] > 1).all()
    scores = workload_scores(workload_times(finals))
    assert {"SGD, defaults", "SGD, 2 trials"} == set(scores.index)
    names = {path.name for path in (tmp_path / "study" / "report").iterdir()}
    assert {"profile.png", "budget.png", "trials.png", "report.html"} <= names
