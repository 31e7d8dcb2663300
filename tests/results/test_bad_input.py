"""Records that are not as they should be: each kind is named in the report and on the page, and in no mean."""

import base64
import gzip
import json
import math
import re

import pytest

from optbench.checks import UserError
from optbench.report.build import report
from optbench.results import compare, load

GOOD = [{"train_loss": 1.0, "test_loss": loss, "test_accuracy": 1 - loss} for loss in (0.9, 0.2)]


def healthy(write, optimizer="sgd", seeds=(0, 1, 2)):
    return [write(f"{optimizer}{seed}", [f"optimizer={optimizer}", f"seed={seed}"], GOOD) for seed in seeds]


def promise_anew(run, name, text):
    """Write a file of a run, as a version that promised it so would have."""
    from optbench import records

    (run / name).write_text(text)
    status = json.loads((run / "status.json").read_text())
    status["files"] = records.inventory(run)
    (run / "status.json").write_text(json.dumps(status))


def half_written(write):
    metrics = healthy(write)[2] / "metrics.csv"
    metrics.write_text(metrics.read_text()[:-20])


def no_status(write):
    (healthy(write)[2] / "status.json").unlink()


def empty_status(write):
    (healthy(write)[2] / "status.json").write_text("")


def cut_off(write):
    healthy(write, seeds=(0, 1))
    write("sgd2", ["optimizer=sgd", "seed=2"], GOOD, status="running")


def other_version(write):
    run = healthy(write)[2]
    status = json.loads((run / "status.json").read_text())
    status["versions"]["optbench"] = "0.0.1"
    (run / "status.json").write_text(json.dumps(status))


def duplicated(write):
    healthy(write)
    write("again", ["optimizer=sgd", "seed=2"], GOOD)


def without_a_column(write):
    run = healthy(write)[2]
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    place = rows[0].index("test_accuracy")
    promise_anew(run, "metrics.csv", "\n".join(",".join(r[:place] + r[place + 1 :]) for r in rows) + "\n")


def words_for_numbers(write):
    run = healthy(write)[2]
    promise_anew(run, "metrics.csv", (run / "metrics.csv").read_text().replace("0.8", "much"))


def mixed_studies(write):
    healthy(write)
    other = write("other", ["optimizer=adam", "seed=0"], GOOD)
    promise_anew(other, "config.yaml", (other / "config.yaml").read_text().replace("written", "another study"))


def one_seed(write):
    healthy(write, seeds=(0,))
    healthy(write, "adam", seeds=(0,))


def none_finished(write):
    for seed in range(3):
        write(f"sgd{seed}", ["optimizer=sgd", f"seed={seed}"], [], status="failed")


def all_diverged(write):
    for seed in range(3):
        write(f"sgd{seed}", ["optimizer=sgd", f"seed={seed}"], GOOD[:1], status="diverged")


FAULTS = [
    (half_written, "left out, as they cannot be read: .*sgd2 is damaged: metrics.csv has", 2, 2),
    (no_status, "left out, as they cannot be read: .*sgd2 holds no readable run", 2, 2),
    (empty_status, "left out, as they cannot be read: .*sgd2 holds no readable run", 2, 2),
    (cut_off, r"SGD \(1 of 3 stale \(seed 2\): cut off; begun", 3, 2),
    (other_version, "runs of several versions of optbench: .*0.0.1", 3, 3),
    (duplicated, "counted once, as they repeat a setting and its seed: .*sgd2", 3, 3),
    (without_a_column, "left out, as they cannot be read: .*metrics.csv lacks the column test_accuracy", 2, 2),
    (words_for_numbers, "left out, as they cannot be read: .*the column test_accuracy is no column of numbers", 2, 2),
    (mixed_studies, "runs of several studies: .*another study", 3, 3),
    (one_seed, "With fewer than 3 seeds no interval can be given, and no difference is certain", 1, 1),
    (none_finished, r"No run came to its end: SGD \(3 of 3 failed\)", 3, 0),
    (all_diverged, r"No run came to its end: SGD \(3 of 3 diverged\)", 3, 0),
]


@pytest.mark.parametrize(("fault", "named", "runs", "done"), FAULTS, ids=[fault.__name__ for fault, *_ in FAULTS])
def test_it_is_named_in_the_report_and_on_the_page_and_in_no_mean(write, tmp_path, capsys, fault, named, runs, done):
    fault(write)
    report(tmp_path, tmp_path / "out", figures=[])
    page = re.search(r'id="data">([^<]*)<', (tmp_path / "out" / "report.html").read_text())[1]
    shown = json.loads(gzip.decompress(base64.b64decode(page)))
    told = [capsys.readouterr().out, (tmp_path / "out" / "table.md").read_text().replace("\\", "")]
    for text in [*told, " ".join([*shown["answer"], *shown["notices"]])]:
        assert re.search(named, text), text
    table = compare(load(tmp_path)).set_index("optimizer").loc["SGD"]
    assert (table["runs"], table["done"]) == (runs, done)
    if done:
        assert table["final_test_accuracy_mean"] == pytest.approx(0.8 * done / runs)


def test_what_failed_as_a_whole_is_tied_with_nobody_and_has_no_figures(write, tmp_path):
    for optimizer in ("sgd", "adam"):
        for seed in range(3):
            write(f"{optimizer}{seed}", [f"optimizer={optimizer}", f"seed={seed}"], GOOD[:1], status="diverged")
    assert not compare(load(tmp_path))["tied"].any()
    for run in tmp_path.iterdir():
        promise_anew(run, "metrics.csv", (run / "metrics.csv").read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="no figure curves: no run was evaluated.*no figure ranks: no run of"):
        report(tmp_path, tmp_path / "out", figures=["curves", "ranks"])


def test_where_nothing_can_be_read_it_says_why_and_writes_nothing(write, tmp_path):
    for run in healthy(write):
        (run / "config.yaml").write_text("optimizer: [")
    with pytest.raises(UserError, match="no runs .*sgd0 holds no readable run"):
        report(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_directories_are_one_report_and_what_links_lead_to_counts_once(write, tmp_path):
    first, second, third = healthy(write)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first.rename(tmp_path / "a" / "0")
    second.rename(tmp_path / "b" / "1")
    third.rename(tmp_path / "b" / "2")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "round").symlink_to(tmp_path / "a")
    report([tmp_path / "a", tmp_path / "b"], tmp_path / "out", figures=[])
    assert "counted once" not in (tmp_path / "out" / "table.md").read_text()
    assert len(load(tmp_path / "a", tmp_path / "b")) == len(load(tmp_path / "a")) == 3


def test_without_a_target_and_without_steps_a_report_says_what_it_cannot_show(write, tmp_path):
    for optimizer in ("sgd", "adam"):
        for seed in range(3):
            losses = [
                {"train_loss": 1.0, "test_loss": loss} for loss in (0.9, math.inf if optimizer == "adam" else 0.2)
            ]
            write(
                f"{optimizer}{seed}", [f"optimizer={optimizer}", f"seed={seed}"], losses, data={"_target_": "mine.Data"}
            )
    with pytest.raises(UserError) as refusal:
        report(tmp_path, tmp_path / "out", figures=["steps", "batch_size", "learning_rate", "profile"])
    told = str(refusal.value).split("; ")
    assert told[:3] == [
        f"no figure {name}: no run has recorded its steps, so there is nothing to show by step"
        for name in ("steps", "batch_size", "learning_rate")
    ]
    assert "no target is stated" in told[3] and (tmp_path / "out" / "report.html").exists()
    assert "fewer than 3 seeds" not in (tmp_path / "out" / "table.md").read_text()
