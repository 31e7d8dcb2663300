"""Command lines that are not Hydra's."""

import argparse
from pathlib import Path
from typing import NoReturn

from optbench.checks import UserError
from optbench.configs import CONF


class Parser(argparse.ArgumentParser):
    """Refuses arguments as everything else here refuses: in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError`."""
        raise UserError(f"{message}; see {self.prog} --help")


def folders(own: Path | None) -> list[Path]:
    """Return the folders of configs: ours and, if there is one, the user's.

    Raises:
        UserError: The user's is none.
    """
    if own is None:
        return [CONF]
    if not own.is_dir():
        raise UserError(f"--config-dir={own} is no directory; give one with folders such as optimizer/")
    return [CONF, own]
