"""What TensorBoard itself reads of the aggregated runs, through its HTTP interface."""

import json
import re
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from optbench.report import charts, tensorboard
from optbench.results import compare, evaluations, load


@pytest.fixture(scope="module")
def records(swept):
    frame = load(swept)
    return frame, evaluations(frame), compare(frame)


@pytest.fixture(scope="module")
def ask(swept, records, tmp_path_factory):
    """A function that asks a running TensorBoard."""
    frame, data, comparison = records
    folder = tmp_path_factory.mktemp("tensorboard") / "logs"
    pictures = {"curves": swept / "report" / "curves.png"}
    tensorboard.write(folder, [charts.curves(frame, data)], frame, comparison, pictures)
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast=false"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    address = None
    while address is None:
        line = server.stdout.readline()
        assert line, "TensorBoard ended"
        address = re.search(r"http://\S+:\d+/", line)

    def ask(path, body=None, **query):
        url = f"{address[0]}data/plugin/{path}?{urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=60) as answer:
            return json.loads(answer.read())

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if "figures" in ask("images/tags") and len(ask("scalars/tags")) >= 2:
                break
        except URLError:
            pass
        time.sleep(0.3)
    yield ask
    server.kill()
    server.wait()


def test_a_setting_has_its_mean_by_step_under_a_name_that_says_what_differs(ask, records):
    frame, data, _ = records
    tags = ask("scalars/tags")
    assert {"SGD, lr 0.01/mean", "Adam, lr 0.01/mean"} <= tags.keys()
    runs = frame.index[(frame["optimizer"] == "SGD") & (frame["status"] == "done")]
    expected = data[data["run"].isin(runs)].groupby("step")["train_loss"].mean()
    drawn = ask("scalars/scalars", run="SGD, lr 0.01/mean", tag="train_loss")
    assert [step for _, step, _ in drawn] == expected.index.tolist()
    assert [value for _, _, value in drawn] == pytest.approx(expected.tolist(), rel=1e-5)


def test_hparams_have_only_what_differs_and_a_diverged_setting_has_failed(ask):
    experiment = ask("hparams/experiment", {"experimentName": ""})
    assert {info["name"] for info in experiment["hparamInfos"]} == {"optimizer", "lr"}
    wanted = {"allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]}
    groups = ask("hparams/session_groups", {"experimentName": "", "startIndex": 0, "sliceSize": 100, **wanted})
    found = {
        (g["hparams"]["optimizer"], g["hparams"]["lr"]): g["sessions"][0]["status"] for g in groups["sessionGroups"]
    }
    assert found["SGD", 0.01] == "STATUS_SUCCESS"
    assert found["Adam", 1e12] == "STATUS_FAILURE"


def test_a_setting_is_three_runs_at_most_and_its_outcome_a_section_of_its_own(ask, records):
    tags = ask("scalars/tags")
    assert {name.rpartition("/")[2] for name in tags if name not in (".", "figures")} <= {"mean", "low", "high"}
    row = records[2].set_index(["optimizer", "lr"]).loc[("SGD", 0.01)]
    drawn = ask("scalars/scalars", run="SGD, lr 0.01/mean", tag="outcome/final_test_loss")
    assert [value for _, _, value in drawn] == pytest.approx([row["final_test_loss_mean"]], rel=1e-5)


def test_figures_are_images(ask):
    assert "curves" in ask("images/tags")["figures"]


@pytest.mark.parametrize("count", [2, 20])
def test_of_many_settings_the_best_have_a_log_directory_that_is_shown_at_once(write, tmp_path, count):
    for i in range(count):
        for seed in range(3):
            epochs = [{"test_loss": 1.0, "test_accuracy": (i + epoch) / 100} for epoch in range(2)]
            optimizer = {"_target_": f"mine.Rule{i}"}
            write(f"{i}_{seed}", [f"optimizer=rule{i}", f"seed={seed}"], epochs, optimizer=optimizer)
    frame = load(tmp_path)
    drawn, table = [charts.curves(frame, evaluations(frame))], compare(frame)
    for _ in range(2):
        shown = tensorboard.write_all(tmp_path / "logs", drawn, frame, table, {})
    assert shown.name == ("logs" if count == 2 else "logs_best")
    assert (tmp_path / "logs_best").exists() == (count == 20)
    assert len({path.parent for path in shown.rglob("events.*")}) <= tensorboard.MOST
    assert {"mean", "low", "high"} <= {path.parent.name for path in (shown / f"Rule{count - 1}").rglob("events.*")}
