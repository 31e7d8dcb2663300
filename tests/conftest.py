import sys

import pytest

from optbench import cli

SMALL = [
    "data.train_size=600",
    "data.test_size=200",
    "data.subset=balanced",
    "trainer.max_epochs=2",
    "model.hidden=[16]",
]


@pytest.fixture
def optbench(monkeypatch, tmp_path):
    """The command, typed in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optbench", *map(str, arguments)])
        cli.main()

    return run
