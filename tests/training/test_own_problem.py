"""The README's own problem, followed to the letter in an empty folder."""

import os
import re
import runpy
import shlex
from pathlib import Path

import pytest

from optbench import records

README = Path(__file__).parents[2] / "README.md"


def section(title):
    """Return the code blocks below a heading of the README: of each its language and its text."""
    text = README.read_text().partition(f"### {title}\n")[2].partition("\n### ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)


def write(text):
    """Write a block to the file that its first line names."""
    path = Path(text.splitlines()[0].removeprefix("# "))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def follow(line, optbench, monkeypatch):
    """Do what a line of a shell says, in this process."""
    words = shlex.split(line)
    if words[0].startswith("PYTHONPATH="):
        folder = words.pop(0).removeprefix("PYTHONPATH=")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")])))
        monkeypatch.syspath_prepend(folder)
    if words[0] == "python":
        runpy.run_path(words[1])
    else:
        assert words[0] == "optbench"
        optbench(*words[1:])


@pytest.mark.slow
def test_the_readmes_own_problem_trains_as_it_stands_there(optbench, monkeypatch, capsys):
    blocks = section("Your own problem")
    assert {language for language, _ in blocks} == {"python", "yaml", "sh"}
    for language, text in blocks:
        if language != "sh":
            write(text)
    for line in "".join(text for language, text in blocks if language == "sh").splitlines():
        follow(line, optbench, monkeypatch)
    runs = [records.read(Path(name)) for name in ("spiral", "prices")] + records.find(Path("stripes"))
    assert {run.status["status"] for run in runs} == {"done"} and len(runs) == 8
    assert {run.config["model"]["channels"] for run in runs[2:]} == {4}
    muon = [run for run in runs[2:] if "Muon" in run.config["optimizer"]["_target_"]]
    assert runs[1].status["content"].keys() == {"data"} and runs[0].status["content"]
    assert muon and all(run.metrics["test_accuracy"].iloc[-1] > 0.6 for run in muon)
    assert runs[1].metrics["test_loss"].iloc[-1] < runs[1].metrics["test_loss"].iloc[0]
    assert "Best: " in capsys.readouterr().out
