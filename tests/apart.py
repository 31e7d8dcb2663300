"""A command in a process of its own, forked from one that has imported everything: it is there at once."""

import multiprocessing
import os
import signal
import sys

from optbench import processes
from optbench.commands.main import main


def start(folder, *arguments, log=os.devnull, environment=None):
    """Type a command in a folder, in a session of its own, and return its process."""
    processes.prepare()
    context = multiprocessing.get_context("forkserver")
    typed = context.Process(target=_typed, args=(folder, arguments, log, environment or dict(os.environ)))
    typed.start()
    return typed


def _typed(folder, arguments, log, environment):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["optbench", *map(str, arguments)]
    main()
