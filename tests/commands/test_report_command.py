"""`optbench report`: everything again from the records, and a table whatever happens to the figures."""

import shutil

import numpy as np
import pytest

from optbench import records
from optbench.checks import UserError
from optbench.plots.curves import curves
from optbench.report.build import FIGURES, draw, report
from optbench.results import read

TABLES = {"table.csv", "table.md", "table.tex"}
PARTICULAR = {"sensitivity": "no number takes three values"}
"""Figures of what not every sweep has, and what they say."""


def test_a_report_holds_the_table_and_the_figures_of_the_config(swept, optbench, tmp_path, capsys):
    optbench("report", swept, "--out", "out", "sort=rank")
    figures = {f"{name}.{kind}" for name in ("curves", "steps", "landscape") for kind in ("png", "svg")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*TABLES, *figures, "report.html", "tensorboard"}
    printed = capsys.readouterr().out
    assert "2 diverged" in printed and "out/curves.png" in printed and "tensorboard --logdir out/tensorboard" in printed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["sort=rank", "sort=seed"], "sort is given twice, as rank and seed"),
        (["--out", "a", "out=b"], "out is given twice, as a and b"),
        (["sort="], "sort= chooses nothing; leave it out"),
        (["columns=[]"], "columns=.. chooses nothing"),
        (["target=high"], "target=high is no number; give an accuracy from 0 to 1, or a loss"),
        (["target=92"], "target=92 is no accuracy; give one from 0 to 1"),
    ],
)
def test_what_would_be_ignored_is_refused(swept, optbench, tmp_path, typed, said):
    with pytest.raises(SystemExit, match=said):
        optbench("report", swept, *typed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(swept, tmp_path):
    """As at the end of the sweep; that the page has the same too is shown with the page."""
    report(swept, tmp_path / "again")
    for path in (path for path in (swept / "report").iterdir() if path.is_file() and path.suffix != ".html"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_of_any_sweep(swept, tmp_path, name):
    if name in PARTICULAR:
        with pytest.raises(UserError, match=PARTICULAR[name]):
            draw(name, read(swept), "title", tmp_path)
        return
    for path in draw(name, read(swept), "title", tmp_path):
        assert path.stat().st_size > 5000


def test_a_line_is_the_mean_over_the_seeds_and_its_band_goes_from_lowest_to_highest(swept):
    runs = [records.read(swept / "0_sgd_seed0"), records.read(swept / "1_sgd_seed1")]
    accuracies = 100 * np.stack([run.metrics["test_accuracy"][1:] for run in runs])
    ax = next(ax for ax in curves(read(swept), "").axes if ax.get_title() == "SGD: test accuracy, %")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), accuracies.mean(0))
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([band.min(), band.max()], [accuracies.min(), accuracies.max()])


def test_diverged_runs_are_crosses_and_in_the_legend(swept):
    figure = curves(read(swept), "")
    crosses = [line for ax in figure.axes for line in ax.lines if line.get_marker() == "x"]
    assert len(crosses) == len(figure.axes) and all(len(line.get_xdata()) == 2 for line in crosses)
    assert any("4 of 4 diverged" in text.get_text() for text in figure.legends[0].get_texts())


def test_regression_has_two_panels(write, tmp_path):
    write("a", ["optimizer=sgd", "seed=0"], [{"train_loss": x, "test_loss": x} for x in (3, 2, 1)])
    figure = curves(read(tmp_path), "")
    assert [ax.get_title() for ax in figure.axes] == ["training loss", "test loss"]
    assert read(tmp_path).evaluations["train_loss"].tolist() == [3, 2, 1]


def test_a_figure_that_fails_does_not_lose_the_others(swept, optbench, tmp_path):
    shutil.copytree(swept, tmp_path / "bare", ignore=shutil.ignore_patterns("trajectory.*", "report"))
    with pytest.raises(SystemExit) as refusal:
        optbench("report", "bare")
    assert "no figure landscape: as it kept no trajectory: SGD" in str(refusal.value)
    assert {"table.csv", "curves.png", "steps.svg"} < {path.name for path in (tmp_path / "bare" / "report").iterdir()}


def test_a_figure_that_does_not_exist_is_named_with_the_nearest(write, optbench):
    directory = write("a", ["optimizer=sgd", "seed=0"], [{"train_loss": 1.0}], figures=["curvs"])
    with pytest.raises(SystemExit, match="no figure 'curvs'; did you mean 'curves'?"):
        optbench("report", directory)
    assert (directory / "report" / "table.csv").exists()


@pytest.mark.parametrize("arguments", [[], ["."], [".", "--uot", "x"], ["--out"]])
def test_bad_arguments_are_refused_in_one_line(optbench, tmp_path, arguments):
    with pytest.raises(SystemExit) as refusal:
        optbench("report", *arguments)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith("optbench: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(swept, optbench, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit, match="taken cannot be written: .*; give another folder with --out"):
        optbench("report", swept, "--out", "taken")
