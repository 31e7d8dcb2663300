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


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["surface", "surface=bowl", "steps=2", "out="], "out= names no folder; give one, or leave it out"),
        (["surface", "surface=bowl", "steps=2", "out=null"], "out= names no folder"),
        (["terrain", "surface=bowl", "out="], "out= names no folder"),
        (["list", "models", "--out", ""], "argument --out: invalid folder value: ''"),
        (["report", "x", "--out", ""], "argument --out: invalid folder value: ''"),
        (["surface", "surface=bowl", "panels=[]"], "panels=\\[\\] shows nothing; leave it out"),
        (["surface", "surface=bowl", "population=3"], "population=3 is no mapping; give {points: 100"),
        (["surface", "study=nix"], "optbench list studies"),
    ],
)
def test_what_names_nothing_is_refused(optbench, tmp_path, command, said):
    with pytest.raises(SystemExit, match=said):
        optbench(*command)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_be_in_the_users_home_and_of_any_letters(optbench, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    optbench("list", "models", "--out", "~/a")
    optbench("surface", "surface=bowl", "steps=2", "page=false", "formats=[png]", "out=~/größe 1", "title=Größe 1 ~ 2")
    assert sorted(path.name for path in (tmp_path / "me").iterdir()) == ["a", "größe 1"]
