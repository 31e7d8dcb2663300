"""A damaged run is named and left out, whatever the damage; the others are read."""

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from optbench import records
from optbench.checks import UserError
from optbench.records.writing import in_yaml

CONFIG = {
    "name": "train",
    "seed": 0,
    "data": {"_target_": "optbench.data.LinearRegression"},
    "model": {"_target_": "optbench.models.linear"},
    "optimizer": {"_target_": "optbench.optimizers.SGD", "lr": 0.1},
    "schedule": {"_target_": "optbench.schedules.constant"},
    "trainer": {"max_epochs": 1},
    "figures": [],
}
FILES = ["config.yaml", "status.json", "metrics.csv", "steps.csv", "trajectory.bin"]


def write(directory, seed=0):
    """Write a run without training one."""
    record = records.Record(directory, {**CONFIG, "seed": seed}, ["optimizer=sgd", f"seed={seed}"])
    for epoch in (0, 1):
        record.trajectory(epoch * 3, np.arange(4.0) + epoch)
        record.evaluation({name: float(epoch) for name in records.METRICS})
    record.steps(1, 3, [0.1] * 3, [1.0, 0.5, 0.25])
    record.finish("done")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    for seed in range(2):
        write(root / f"{seed}", seed)
    return root


@pytest.fixture
def runs(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "runs")
    return tmp_path / "runs"


def assert_left_out(runs):
    found, damaged = records.survey(runs)
    assert [run.directory.name for run in found] == ["1"]
    [(directory, reason)] = damaged.items()
    assert directory.name == "0" and "\n" not in reason and str(runs / "0") in reason and len(reason) < 1000
    return reason


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-6]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"1,2,3\n"),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "binary": lambda path: path.write_bytes(random.Random(0).randbytes(1000)),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "another byte": lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2", 1)[::-1]),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_leaves_its_run_out(runs, name, damage):
    DAMAGE[damage](runs / "0" / name)
    if (name, damage) == ("trajectory.bin", "a link to itself"):  # there is none then, which costs the landscape only
        assert len(records.find(runs)) == 2
    else:
        assert_left_out(runs)


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv", "steps.csv"])
def test_a_missing_file_that_was_promised_leaves_its_run_out(runs, name):
    (runs / "0" / name).unlink()
    assert_left_out(runs)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"status": ["done"]},
        {"status": None},
        {"seed": "0"},
        {"seed": None},
        {"overrides": "seed=0"},
        {"overrides": [1]},
        {"command": 3},
        {"reason": {}},
        {"stacked": "2"},
        {"stacked": 10**30},
        {"files": []},
        {"files": {"metrics.csv": 3}},
        {"files": {"metrics.csv": {"bytes": "many"}}},
    ],
    ids=str,
)
def test_a_status_of_another_kind_leaves_its_run_out(runs, change):
    path = runs / "0" / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert_left_out(runs)


@pytest.mark.parametrize("name", ["status.json", "config.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        *("[" * 100_000, "3", "null", '"x"', "[]", "{}", "a: &a [*a]", "1e999", "!!python/object:os.system x"),
        "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]",
        '{"seed": 0, "seed": 1}',
    ],
    ids=lambda text: text[:20],
)
def test_text_of_another_shape_leaves_its_run_out(runs, name, text):
    (runs / "0" / name).write_text(text)
    status = runs / "0" / "status.json"
    if name == "config.yaml":  # with a checksum that fits
        known = json.loads(status.read_text())
        known["files"] = records.inventory(runs / "0")
        status.write_text(json.dumps(known))
    assert_left_out(runs)


def test_every_flipped_bit_of_the_numbers_is_seen(runs):
    draw = random.Random(1)
    for name in ("metrics.csv", "steps.csv", "trajectory.bin"):
        path = runs / "0" / name
        content = path.read_bytes()
        for _ in range(20):
            damaged = bytearray(content)
            damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(damaged)
            assert_left_out(runs)
        path.write_bytes(content)


def test_find_names_what_it_leaves_out_and_refuses_only_where_nothing_is_left(runs, capsys):
    (runs / "0" / "metrics.csv").write_text("x")
    assert len(records.find(runs)) == 1
    assert "left out" in capsys.readouterr().err
    (runs / "1" / "status.json").write_text("x")
    with pytest.raises(UserError, match="no runs in"):
        records.find(runs)


def test_a_record_is_known_by_its_config_alone(tmp_path):
    same = records.identity(CONFIG)
    assert records.identity({**CONFIG, "figures": ["curves"], "name": "x"}) == same
    assert records.identity({**CONFIG, "optimizer": {**CONFIG["optimizer"], "search": {"lr": 1}}}) == same
    assert records.identity({**CONFIG, "seed": 1}) != same
    assert records.identity({**CONFIG, "trainer": {"max_epochs": 1.0}}) == same
    assert Path(tmp_path).is_dir()


def test_a_column_that_is_there_twice_leaves_its_run_out(runs):
    path, status = (runs / "0" / name for name in ("metrics.csv", "status.json"))
    path.write_text(path.read_text().replace("grad_norm", "train_loss"))
    status.write_text(json.dumps(json.loads(status.read_text()) | {"files": records.inventory(runs / "0")}))
    assert "metrics.csv has a column twice" in assert_left_out(runs)


def test_no_text_of_a_record_reaches_a_terminal_as_a_command(runs):
    path = runs / "0" / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reason": "\x1b[2J\nover\u202e"}))
    assert records.read(runs / "0").status["reason"] == "\\x1b[2J\\nover\\u202e"
    assert records.status_of(runs / "0")["reason"] == "\\x1b[2J\\nover\\u202e"


def test_a_config_is_read_back_as_it_was_whoever_reads_it():
    odd = [
        "1e3",
        "nan",
        "1_000",
        "null",
        "~",
        "yes",
        "2020-01-01",
        "",
        " a ",
        "é\n",
        "a: b",
        "- x",
        "'",
        "0x10",
        "x" * 300,
    ]
    config = {**CONFIG, "texts": odd, "numbers": [1e-7, 1e30, -0.0, float("inf"), 10**18, True, None], "empty": {}}
    text = in_yaml({**config, "again": config["data"], "tuple": (1, 2)})
    whole = {**config, "again": config["data"], "tuple": [1, 2]}
    assert yaml.safe_load(text) == whole
    assert OmegaConf.to_container(OmegaConf.create(text)) == whole
