"""Commands, as a benchmark calls them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

OPTBENCH = Path(sys.executable).with_name("optbench")


def optbench(*arguments: str, environment: Mapping[str, str] | None = None) -> float:
    """Run the command, in silence, and return its seconds.

    Args:
        *arguments: What follows `optbench`.
        environment: Variables that it has besides ours.
    """
    start = time.perf_counter()
    subprocess.run([OPTBENCH, *arguments], check=True, capture_output=True, env={**os.environ, **(environment or {})})
    return time.perf_counter() - start
