"""The command `optbench`: it finds the command that is meant; heavy imports happen inside each."""

import importlib
import locale
import os
import sys

import optbench.garbage  # noqa: F401  (before all that is heavy)
from optbench.checks import UserError, nearest

COMMANDS = {
    "train": "train one run, or a sweep: optbench train -m optimizer=sgd,adam seed=0,1,2",
    "plan": "say what a sweep would take, and what sbatch would be given",
    "status": "show what has become of every cell of a sweep: optbench status DIR",
    "report": "make tables and figures of finished runs: optbench report DIR",
    "landscape": "draw where optimizers went in a network's loss: optbench landscape DIR",
    "surface": "draw paths on a surface: optbench surface study=gd_vs_momentum",
    "terrain": "name a surface's critical points and a path's terrain",
    "certify": "step optimizers beside independent references",
    "advise": "tell when to use which optimizer, and on what evidence",
    "claims": "measure what textbooks say of optimizers",
    "list": "show what can be named: optbench list optimizers",
    "completion": "complete these words in a shell: source <(optbench completion bash)",
}
"""What each does; the module of its name in this folder has its `main`."""


def main() -> None:
    """Run `optbench <command> ...`; what the user got wrong ends in one line and exit code 1."""
    if (
        locale.getpreferredencoding(False).upper() != "UTF-8"
    ):  # as Python itself has it from 3.15 on, whatever the locale
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    try:
        run(*sys.argv[1:])
        print(end="", flush=True)
    except UserError as error:
        sys.exit(f"optbench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(name: str = "--help", *rest: str) -> None:
    """Run a command with its arguments.

    Raises:
        UserError: There is no such command, or it was given something wrong.
    """
    if name in ("-V", "--version"):
        from importlib.metadata import version

        print(f"optbench {version('optbench')}")
    elif name in ("-h", "--help"):
        print("usage: optbench <command> ...\n")
        print("\n".join(f"  {command:12}{what}" for command, what in COMMANDS.items()))
    elif name in COMMANDS:
        importlib.import_module(f"optbench.commands.{name}").main(list(rest))
    else:
        raise nearest("command", name, COMMANDS, "optbench --help")
