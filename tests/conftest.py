import sys

import pytest

from optbench.commands import main as cli


@pytest.fixture
def optbench(monkeypatch, tmp_path):
    """The command, typed in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optbench", *map(str, arguments)])
        cli.main()

    return run
