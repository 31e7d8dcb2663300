"""The command `optbench`, as a benchmark calls it."""

import subprocess
import sys
import time
from pathlib import Path

OPTBENCH = Path(sys.executable).with_name("optbench")


def optbench(*arguments: str) -> float:
    """Run the command, in silence, and return its seconds."""
    start = time.perf_counter()
    subprocess.run([OPTBENCH, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start
