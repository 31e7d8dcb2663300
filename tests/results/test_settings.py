"""Runs are told apart by what they were, not by what was typed; repeats count once; damage is named."""

import json
import re
import shutil

import pandas as pd
import pytest

from optbench.checks import UserError
from optbench.results import answer, compare, labels, load, read
from optbench.results.settings import named, unusual, usual_values

ADAM = {"_target_": "optbench.optimizers.Adam", "_partial_": True}


def restate(run, **values):
    """Write a run's status anew, as an older version would have done it, without checksums."""
    status = run / "status.json"
    own = {key: value for key, value in json.loads(status.read_text()).items() if key != "files"}
    status.write_text(json.dumps(own | values))


def test_values_that_nobody_typed_are_labels(write, tmp_path):
    for i, lr in enumerate((0.1, 1e-5)):
        write(str(i), ["optimizer=adam", "seed=0"], [{}], optimizer={**ADAM, "lr": lr})
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer", "lr"] and len(compare(frame)) == 2


def test_equal_configs_typed_differently_are_one_setting(write, tmp_path):
    optimizer = {**ADAM, "lr": 0.001, "betas": [0.9, 0.99]}
    write("a", ["optimizer=adam", "seed=0"], [{}], optimizer=optimizer)
    write("b", ["optimizer=adam", "optimizer.betas=[.9,.99]", "seed=1"], [{}], optimizer=optimizer)
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer"] and len(compare(frame)) == 1


@pytest.mark.parametrize(
    "differing",
    [
        {"threshold": (1, 2)},
        {"figures": ([], ["curves"])},
        {"replicas": ("auto", "off")},
        {"logger": ({"_target_": "x", "save_dir": "a"}, {"_target_": "x", "save_dir": "b"})},
        {"trainer": ({"log_every_n_steps": 1}, {"log_every_n_steps": 2})},
        {"trainer": ({}, {"precision": 32})},
        {"trainer": ({"precision": None}, {"precision": "32-true"})},
        {"trainer": ({"precision": "bf16"}, {"precision": "bf16-mixed"})},
        {"trainer": ({}, {"accelerator": "auto", "max_steps": -1, "deterministic": False, "max_time": None})},
        {"trainer": ({"gradient_clip_val": 1}, {"gradient_clip_val": 1, "gradient_clip_algorithm": "norm"})},
        {"compile": (False, "off")},
        {"data": ({"_target_": "d", "seed": 0}, {"_target_": "d", "seed": 1})},
        {"rates": ({"sgd": 1}, {"sgd": 2})},
    ],
)
def test_what_does_not_matter_to_training_is_no_label(write, tmp_path, differing):
    for seed in (0, 1):
        config = {key: pair[seed] for key, pair in differing.items()}
        write(str(seed), ["optimizer=adam", f"seed={seed}"], [{}], **config)
    assert labels(load(tmp_path)) == ["optimizer"]


@pytest.mark.parametrize(
    ("differing", "label"),
    [
        ({"trainer": ({"max_epochs": 1}, {"max_epochs": 2})}, "max_epochs"),
        ({"trainer": ({}, {"precision": "bf16-mixed"})}, "precision"),
        ({"trainer": ({}, {"gradient_clip_val": 1})}, "gradient_clip_val"),
        ({"model": ({"_target_": "a.mlp"}, {"_target_": "a.linear"})}, "model"),
        ({"model": ({"_target_": "a.mlp", "hidden": [1]}, {"_target_": "a.mlp", "hidden": [2]})}, "hidden"),
        ({"divergence": (1e6, 1e3)}, "divergence"),
        ({"compile": ("off", "step")}, "compile"),
        ({"trainer": ({}, {"callbacks": {"stop": {"_target_": "l.EarlyStopping"}}})}, "stop"),
        ({"trainer": ({"callbacks": {"s": {"patience": 1}}}, {"callbacks": {"s": {"patience": 2}}})}, "patience"),
        ({"schedule": ({"_target_": "s.constant"}, {"_target_": "s.cosine"})}, "schedule"),
        ({"data": ({"_target_": "d", "seed": 0}, {"_target_": "d", "seed": 5})}, "seed"),
    ],
)
def test_what_matters_to_training_is_a_label(write, tmp_path, differing, label):
    for i in (0, 1):
        write(str(i), ["optimizer=adam", "seed=0"], [{}], **{key: pair[i] for key, pair in differing.items()})
    names = labels(load(tmp_path))
    assert len(names) == 2 and names[1].rpartition(".")[2] == label


def test_the_device_that_a_run_was_trained_on_is_a_label(write, tmp_path):
    for seed, device in enumerate(("cpu", "cuda")):
        restate(write(str(seed), ["optimizer=adam", f"seed={seed}"], [{}]), device=device)
    assert labels(load(tmp_path)) == ["optimizer", "device"]


def test_a_run_that_has_not_begun_is_of_the_setting_of_the_others(write, tmp_path):
    restate(write("0", ["optimizer=adam", "seed=0"], [{}]), device="cuda", content={"data": "a", "optimizer": "b"})
    write("1", ["optimizer=adam", "seed=1"], [], status="failed")
    assert labels(load(tmp_path)) == ["optimizer"]


@pytest.mark.parametrize("epochs", [[], [{"test_loss": float("nan")}]])
def test_runs_that_measured_nothing_are_not_ranked(write, tmp_path, epochs):
    write("0", ["optimizer=adam", "seed=0"], epochs)
    assert answer(load(tmp_path)) == ["No run measured a test loss, so that none is ranked."]


def test_a_hyperparameter_of_one_optimizer_is_no_label_of_another(write, tmp_path):
    write("a", ["optimizer=adam", "seed=0"], [{}], optimizer={**ADAM, "lr": 0.001, "beta1": 0.9})
    write("b", ["optimizer=sgd", "seed=0"], [{}], optimizer={"_target_": "optbench.optimizers.SGD", "lr": 0.01})
    assert labels(load(tmp_path)) == ["optimizer"]
    write("c", ["optimizer=adam", "seed=0"], [{}], optimizer={**ADAM, "lr": 0.001, "beta1": 0.5})
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer", "beta1"] and set(frame["beta1"]) == {0.9, 0.5, "–"}


def test_a_copied_directory_counts_once_and_is_named(write, tmp_path):
    for seed, value in enumerate((0.5, 0.7)):
        write(f"run{seed}", ["optimizer=adam", f"seed={seed}"], [{"test_accuracy": value}])
    once = compare(load(tmp_path))
    shutil.copytree(tmp_path / "run0", tmp_path / "copy")
    results = read(tmp_path)
    assert len(results.frame) == 2 and len(results.runs) == 2
    assert compare(results.frame)["final_test_accuracy_std"].tolist() == once["final_test_accuracy_std"].tolist()
    assert len(results.notes) == 1 and "counted once" in results.notes[0] and str(tmp_path) in results.notes[0]


def test_of_repeats_the_one_that_is_done_counts(write, tmp_path):
    write("a", ["optimizer=adam", "seed=0"], [], status="failed")
    write("b", ["optimizer=adam", "seed=0"], [{"test_accuracy": 0.5}])
    assert load(tmp_path)["status"].tolist() == ["done"]


def test_symbolic_links_are_followed_once(write, tmp_path):
    write("run", ["optimizer=adam", "seed=0"], [{}])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "loop").symlink_to(tmp_path)
    results = read(tmp_path / "other")
    assert len(results.frame) == 1 and not results.notes
    assert len(read(tmp_path, tmp_path / "other").frame) == 1


def test_several_directories_are_one_report(write, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(f"{name}/run", [f"optimizer={name}", "seed=0"], [{}])
    assert set(load(tmp_path / "a", tmp_path / "b")["optimizer"]) == {"a", "b"}


DAMAGE = {
    "no config": lambda run: (run / "config.yaml").unlink(),
    "config of a list": lambda run: (run / "config.yaml").write_text("[1, 2]"),
    "config without an optimizer": lambda run: (run / "config.yaml").write_text("seed: 0"),
    "broken yaml": lambda run: (run / "config.yaml").write_text("a: [1"),
    "half a status": lambda run: (run / "status.json").write_text('{"status": "do'),
    "status of a number": lambda run: (run / "status.json").write_text("3"),
    "empty status": lambda run: (run / "status.json").write_text("{}"),
    "words for numbers": lambda run: (run / "metrics.csv").write_text("epoch,step,test_loss\n0,0,hello\n"),
    "rows too long": lambda run: (run / "metrics.csv").write_text("epoch,step\n0,0\n1,2,3,4\n"),
    "bytes": lambda run: (run / "metrics.csv").write_bytes(b"\xff\xfe\x00\x81"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_named_and_left_out(write, tmp_path, damage):
    for seed in (0, 1):
        write(f"run{seed}", ["optimizer=adam", f"seed={seed}"], [{"test_accuracy": 0.5}])
    DAMAGE[damage](tmp_path / "run1")
    results = read(tmp_path)
    assert results.frame["seed"].tolist() == [0]
    assert len(results.notes) == 1 and "run1" in results.notes[0] and "\n" not in results.notes[0]


def test_if_nothing_can_be_read_it_says_why(write, tmp_path):
    write("run", ["optimizer=adam", "seed=0"], [{}])
    (tmp_path / "run" / "config.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="no runs in .*run holds no readable run"):
        load(tmp_path)


def test_a_run_that_lacks_columns_is_left_out_by_name(write, tmp_path):
    for name, seed in (("run", 0), ("whole", 1)):
        write(name, ["optimizer=adam", f"seed={seed}"], [{}])
    (tmp_path / "run" / "metrics.csv").write_text("epoch,step,test_accuracy\n0,0,0.5\n1,3,0.75\n")
    restate(tmp_path / "run")
    results = read(tmp_path)
    assert results.frame["seed"].tolist() == [1] and any("run" in note for note in results.notes)


@pytest.mark.parametrize(
    ("group", "here", "there"),
    [
        ("optimizer", {"_target_": "optbench.optimizers.Adam"}, {"_target_": "torch.optim.Adam"}),
        ("optimizer", {"_target_": "mine.Adam"}, {"_target_": "torch.optim.Adam"}),
        ("model", {"_target_": "mine.Net"}, {"_target_": "other.Net"}),
        ("data", {"_target_": "mine.Data"}, {"_target_": "other.Data"}),
        (
            "optimizer",
            {**ADAM, "base": {"_target_": "optbench.optimizers.Adam"}},
            {**ADAM, "base": {"_target_": "torch.optim.Adam"}},
        ),
    ],
)
def test_classes_of_one_name_are_not_one_row(write, tmp_path, group, here, there):
    for name, node in (("a", here), ("b", there)):
        write(name, ["optimizer=adam", "seed=0"], [{}], **{group: node})
    assert len(compare(load(tmp_path))) == 2


@pytest.mark.parametrize("group", ["optimizer", "model"])
def test_what_was_made_is_not_called_by_the_config_whose_class_was_replaced(write, tmp_path, group):
    node, typed = {"_target_": "mine.Net"}, f"{group}=sgd"
    write("a", ["optimizer=adam", "seed=0"], [{}])
    overrides = [*(["optimizer=adam"] * (group == "model")), typed, f"{group}._target_=mine.Net", "seed=0"]
    write("b", overrides, [{}], **{group: node})
    assert "Net" in set(load(tmp_path)[group]) and "sgd" not in set(load(tmp_path)[group])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"commit": "abc"}, "runs of several commits of optbench: .*abc"),
        ({"machine": {"cpu": "other"}}, "runs of several kinds of processor: .*other"),
        ({"machine": ["other"]}, "runs of several kinds of processor: .*unknown"),
    ],
)
def test_runs_of_several_codes_and_machines_are_named(write, tmp_path, values, named):
    write("a", ["optimizer=adam", "seed=0"], [{}])
    restate(write("b", ["optimizer=adam", "seed=1"], [{}]), **values)
    assert re.search(named, " ".join(read(tmp_path).notes))


def test_mixed_studies_and_versions_are_named(write, tmp_path):
    for optimizer, study, version in (("adam", "one", "0.0.1"), ("sgd", "two", "0.1.0")):
        run = write(optimizer, [f"optimizer={optimizer}", "seed=0"], [{}])
        config = run / "config.yaml"
        config.write_text(config.read_text().replace("name: written", f"name: {study}"))
        restate(run, versions={"optbench": version})
    notes = read(tmp_path).notes
    assert notes == ("runs of several studies: one, two", "runs of several versions of optbench: 0.0.1, 0.1.0")


def test_a_run_that_failed_before_its_first_row_spoils_no_number(write, tmp_path):
    write("a", ["optimizer=adam", "seed=0"], [{"test_accuracy": 0.5, "test_loss": 1.0}])
    write("b", ["optimizer=sgd", "seed=0"], [], status="failed")
    results = read(tmp_path)
    assert results.evaluations.dtypes.drop("run").map(lambda kind: kind.kind).eq("f").all()
    assert results.frame["final_test_accuracy"].dtype.kind == "f"


def test_what_all_but_a_few_optimizers_have_needs_no_name():
    rows = [("A", 64, 5, 0.1), ("B", 64, 5, 0.1), ("B", 64, 5, 0.2), ("C", "full", 30, 0.1)]
    frame = pd.DataFrame(rows, columns=["optimizer", "batch_size", "max_epochs", "lr"])
    usual = usual_values(frame, ["batch_size", "max_epochs", "lr"])
    assert usual == {"batch_size": 64, "max_epochs": 5}
    names = named(unusual(frame, usual), ["batch_size", "max_epochs", "lr"]).tolist()
    assert names == ["A, lr 0.1", "B, lr 0.1", "B, lr 0.2", "C, batch_size full, max_epochs 30, lr 0.1"]
    assert usual_values(frame[::-1], list(frame)[1:]) == usual


@pytest.mark.parametrize("asked", [[0.5, 0.99], {"low": 0.5, "high": 0.99, "log": False}], ids=str)
def test_what_a_tuned_study_searched_is_one_label_however_the_range_was_given(write, tmp_path, asked):
    for i, beta in enumerate((0.6, 0.9)):
        given = {"optimizer": {**ADAM, "lr": 0.1, "beta": beta, "search": {"lr": [0.01, 1]}}}
        given |= {"search": {"method": "sobol", "beta": asked}, "tuning": {"stage": "finals", "trials": 4}}
        write(str(i), ["optimizer=adam", f"seed={i}"], [{}], **given)
    frame = load(tmp_path)
    assert labels(frame) == ["optimizer", "setting"]
    assert set(frame["setting"]) == {"lr=0.1, beta=0.6", "lr=0.1, beta=0.9"}
