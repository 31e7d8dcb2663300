"""The comparison: honest means, nobody dropped, and a command that makes each row again."""

import io
import math
import shlex

import pandas as pd
import pytest

from optbench.results import compare
from optbench.results.frame import load
from optbench.results.table import MEANS, caption, known, markdown, readable, terminal
from optbench.results.text import markdown_table, significant


def accuracies(*values):
    return [{"test_accuracy": value, "test_loss": 1 - value, "train_loss": 0.5} for value in values]


@pytest.fixture
def frame(write, tmp_path):
    """Three seeds each of SGD, all done, of Adam, one diverged, and of another that never ran."""
    for seed, value in enumerate((0.90, 0.92, 0.94)):
        write(f"sgd{seed}", ["optimizer=sgd", f"seed={seed}"], accuracies(0.95, value))
    for seed, value in enumerate((0.98, 0.99)):
        write(f"adam{seed}", ["optimizer=adam", f"seed={seed}"], accuracies(value))
    write("adam2", ["optimizer=adam", "seed=2"], accuracies(0.1), status="diverged")
    for seed in range(3):
        write(f"lion{seed}", ["optimizer=lion", f"seed={seed}"], [], status="failed")
    return load(tmp_path)


def test_runs_that_are_not_done_are_in_every_mean_with_the_worst_value(frame):
    table = compare(frame).set_index("optimizer")
    assert table.loc["SGD", "final_test_accuracy_mean"] == pytest.approx(0.92)
    assert table.loc["SGD", "final_test_accuracy_std"] == pytest.approx(0.02)
    assert table.loc["SGD", "best_test_accuracy_mean"] == pytest.approx(0.95)
    assert table.loc["Adam", "final_test_accuracy_mean"] == pytest.approx((0.98 + 0.99 + 0) / 3)
    assert table.loc["Adam", "of_done"] == pytest.approx(0.985)
    assert table.loc["Adam", "final_test_loss_mean"] == table.loc["lion", "final_test_loss_mean"] == math.inf
    assert table.loc["lion", "final_test_accuracy_mean"] == 0
    assert "runs that are not done count as 0 %" in caption(frame)


def test_unfinished_runs_rank_last_and_are_counted(frame):
    table = compare(frame)
    assert table["optimizer"].tolist() == ["SGD", "Adam", "lion"]
    assert table[["runs", "done", "diverged", "failed"]].values.tolist() == [[3, 3, 0, 0], [3, 2, 1, 0], [3, 0, 0, 3]]
    assert readable(table)["runs"].tolist() == ["3 done", "2 done, 1 diverged", "3 failed"]


def test_the_text_shows_per_cent_with_its_spread(frame):
    shown = readable(compare(frame))
    assert shown["test accuracy, %"].tolist() == ["92.00 ± 2.00", "65.67 ± 56.87", "–"]
    assert shown["test loss"].tolist() == ["0.080 ± 0.020", "∞", "–"]


def test_the_csv_is_numbers(frame):
    table = compare(frame)
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert again["final_test_accuracy_mean"].tolist()[:2] == pytest.approx([0.92, 1.97 / 3])
    assert set(again.columns) - set(again.select_dtypes("number")) == {
        "optimizer",
        "measure",
        "tied",
        "reasons",
        "command",
    }


@pytest.mark.parametrize("marked, kept", [(True, r"[a\|b](c) `d` e"), (False, r"[a\|b]\(c) \`d\` e")])
def test_a_cell_of_markdown_stays_in_its_row_and_column(marked, kept):
    text = markdown_table(pd.DataFrame({"one|two": ["[a|b](c) `d`\ne"], "three": ["x"]}), None, marked)
    assert text.split("\n") == [r"| one\|two | three |", "|---|---|", f"| {kept} | x |"]


@pytest.mark.parametrize("loss", [False, True])
def test_whatever_can_be_shown_can_be_sorted_by_and_shows_in_all_tables(frame, loss):
    if loss:
        frame = frame.assign(**{name: math.nan for name in frame if "accuracy" in name})
    table = compare(frame)
    better = {"runs", "improvement"} | (set() if loss else {"score", "interval", "difference"})
    for name in known(table):
        shown = readable(table, ["optimizer", name], name)
        assert len(shown.columns) == len({"optimizer", name})
        keys = [value for value in sort_keys(table, name)[shown.index] if value == value]
        assert keys == sorted(keys, reverse=name in better or "accuracy" in name), name


def sort_keys(table, name):
    ends = {"interval": "low", "difference": "difference_low", "runs": "done"}
    return table[MEANS[name][0] + "_mean" if name in MEANS else ends.get(name, name)]


def test_rows_and_commands_of_markdown_are_in_the_order_that_was_asked_for(frame):
    text = markdown(frame, ["optimizer"], "optimizer")
    rows = [line.strip("| ") for line in text.splitlines() if line.startswith("|")][2:]
    commands = [line for line in text.splitlines() if line.startswith("optbench train")]
    assert rows == ["Adam", "SGD", "lion"]
    assert [command.partition("optimizer=")[2].split()[0] for command in commands] == ["adam", "sgd", "lion"]


def test_markdown_is_a_table_with_its_commands(frame):
    text = markdown(frame)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5 and len({row.count("|") for row in rows}) == 1
    assert "optbench train -m optimizer=sgd seed=0,1,2" in text


def test_runs_on_fewer_examples_are_a_block_below(write, tmp_path):
    for optimizer, size, value in ("sgd", 1000, 0.9), ("adam", 10000, 0.8), ("lion", 1000, 0.95):
        data = {"_target_": "optbench.data.MNIST", "train_size": size}
        write(optimizer, [f"optimizer={optimizer}", "seed=0"], accuracies(value), data=data)
    frame = load(tmp_path)
    assert compare(frame)["optimizer"].tolist() == ["Adam", "lion", "SGD"]
    assert [row.end_section for row in terminal(frame, "").rows] == [True, False, False]


def test_one_seed_has_no_spread(write, tmp_path):
    write("a", ["optimizer=sgd", "seed=4"], accuracies(0.5))
    table = compare(load(tmp_path))
    assert math.isnan(table["final_test_accuracy_std"][0])
    assert readable(table)["test accuracy, %"].tolist() == ["50.00"]
    assert table["command"].tolist() == ["optbench train optimizer=sgd seed=4"]


def test_regression_ranks_by_test_loss(write, tmp_path):
    for name, loss in (("sgd", 3.0), ("adam", 0.5)):
        write(name, [f"optimizer={name}", "seed=0"], [{"test_loss": loss, "train_loss": 1.0}])
    shown = readable(compare(load(tmp_path)))
    assert shown["optimizer"].tolist() == ["Adam", "SGD"]
    assert not any("accuracy" in name for name in shown.columns)


def test_if_every_run_failed_they_are_all_there(write, tmp_path):
    for name in ("sgd", "adam"):
        write(name, [f"optimizer={name}", "seed=0"], [], status="failed")
    assert readable(compare(load(tmp_path)))["runs"].tolist() == ["1 failed", "1 failed"]


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        (0.30612, 0.00345, "0.306 ± 0.003"),
        (0.0123, 0.00041, "0.0123 ± 0.0004"),
        (12.34, 3.2, "12 ± 3"),
        (0.5, 1e-7, "0.5000 ± 1e-07"),
        (0.5, 0.7, "0.50 ± 0.70"),
        (2e-7, 1e-8, "2.0e-07 ± 1e-08"),
        (0.0, 0.0, "0"),
        (1.2345, math.nan, "1.23"),
        (math.nan, math.nan, "–"),
    ],
)
def test_a_number_has_the_digits_that_its_spread_leaves(mean, std, text):
    assert significant(mean, std) == text


def test_a_command_makes_its_row_again(swept, optbench, tmp_path):
    row = compare(load(swept)).iloc[0]
    command = row["command"]
    assert command.count("seed=") == 1 and command.endswith("seed=0,1")
    optbench(*shlex.split(command)[1:], "hydra.launcher.n_jobs=1", "hydra.sweep.dir=again", "figures=[]")
    again = compare(load(tmp_path / "again")).iloc[0]
    assert again["final_test_loss_mean"] == row["final_test_loss_mean"]


def test_of_stacked_runs_it_says_that_rounding_may_differ(swept, optbench, tmp_path):
    row = compare(load(swept)).iloc[0]
    command = row["command"].replace("replicas=off", "replicas=2")
    optbench(*shlex.split(command)[1:], "hydra.launcher.n_jobs=1", "hydra.sweep.dir=again", "figures=[]")
    frame = load(tmp_path / "again")
    assert compare(frame).iloc[0]["final_test_loss_mean"] == pytest.approx(row["final_test_loss_mean"], rel=1e-5)
    assert "2 runs trained in stacks, which their commands make again but for rounding" in caption(frame)
    assert "stacks" not in caption(load(swept))
