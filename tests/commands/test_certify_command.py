"""`optbench certify`, as a user types it."""

import csv

import pytest

from optbench.certificates.case import Case

COLUMNS = ["optimizer", "form", "reference", "problems", "largest difference", "verdict"]
REACH = ["rule reached by others' code", "not reached"]


def certificates(folder):
    """Return the rows of a certificates.csv."""
    with (folder / "certificates.csv").open() as file:
        return list(csv.DictReader(file))


def test_some_optimizers_are_certified(optbench, tmp_path, capsys):
    optbench("certify", "momentum", "sgd", "--out", "out")
    printed = " ".join(capsys.readouterr().out.split())
    rows = certificates(tmp_path / "out")
    assert list(rows[0]) == COLUMNS + REACH
    assert {row["optimizer"] for row in rows} == {"Momentum", "SGD"}
    assert {row["form"] for row in rows} == {"", "form=sum", "form=ema", "form=torch"}
    assert {row["verdict"] for row in rows} == {"certified", "paper recurrence only"}
    assert all(float(row["largest difference"]) <= 1e-9 for row in rows)
    torch = next(row for row in rows if row["form"] == "form=torch" and row["reference"].startswith("torch "))
    assert torch["problems"] == "elongated_bowl, sigmoid_pair, coupled, network" and torch["verdict"] == "certified"
    lines = (tmp_path / "out" / "certificates.md").read_text().splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |" and lines[len(rows) + 2] == ""
    assert lines[len(rows) + 3] == f"| {' | '.join(['optimizer', *REACH])} |"
    assert {row[REACH[0]] for row in rows if row["optimizer"] == "SGD"} == {"1.000"}
    assert "optimizers: 2 certified" in printed and "reached whole by somebody else's code" in printed
    assert "out/certificates.csv" in printed and "out/certificates.md" in printed


def test_a_restricted_run_writes_nothing_unless_told_where(optbench, tmp_path):
    optbench("certify", "sgd")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_ends_in_exit_code_1(optbench, monkeypatch, capsys):
    monkeypatch.setattr(Case, "difference", lambda *_: 1.0)
    with pytest.raises(SystemExit, match="optbench: SGD: not what the reference says"):
        optbench("certify", "sgd")
    assert "differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["adma"], "no optimizer 'adma'; did you mean 'adam'?"),
        (["--config-dir", "nowhere"], "--config-dir=nowhere is no directory"),
        (["sgd", "--out", "/proc/nowhere"], "/proc/nowhere cannot be written"),
        (["--all"], "see optbench certify --help"),
    ],
)
def test_bad_input_is_refused_in_one_line(optbench, tmp_path, arguments, said):
    with pytest.raises(SystemExit) as refusal:
        optbench("certify", *arguments)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
