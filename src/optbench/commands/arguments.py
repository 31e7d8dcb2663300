"""Command lines that are not Hydra's."""

import argparse
from typing import NoReturn

from optbench.checks import UserError


class Parser(argparse.ArgumentParser):
    """Refuses arguments as everything else here refuses: in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError`."""
        raise UserError(f"{message}; see {self.prog} --help")
