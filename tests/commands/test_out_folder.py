"""A folder that results cannot go to is refused by every command alike, before anything that takes time."""

import pytest


@pytest.mark.parametrize(
    "command", [["advise"], ["certify", "sgd"], ["claims", "bias_correction"], ["list", "models"]], ids=" ".join
)
def test_a_folder_that_cannot_be_written_is_refused_first(optbench, capsys, tmp_path, command):
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit, match="taken/here cannot be written: .*; give another folder with --out"):
        optbench(*command, "--out", "taken/here")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", ["surface", "terrain"])
def test_a_folder_of_figures_that_cannot_be_written_is_refused_before_any_is_drawn(optbench, capsys, tmp_path, command):
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit, match="taken/here cannot be written: .*; give another folder with out="):
        optbench(command, "surface=bowl", "steps=2", "out=taken/here")
    assert capsys.readouterr().out == ""
