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


def spent(*arguments: str) -> tuple[float, int]:
    """Run the command, in silence, and return its seconds and the most bytes of memory that its own process took.

    Args:
        *arguments: What follows `optbench`.
    """
    start = time.perf_counter()
    with subprocess.Popen([OPTBENCH, *arguments], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"optbench {arguments[0]} ended with exit code {process.returncode}")
    return time.perf_counter() - start, 1024 * usage.ru_maxrss
