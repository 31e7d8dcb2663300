"""The command `optbench`: it finds the command that is meant; heavy imports happen inside each."""

import importlib
import os
import re
import sys
from pathlib import Path

from optbench.checks import UserError, nearest

COMMANDS = {
    "train": ("optbench.cli:train", "train one run, or a sweep: optbench train -m optimizer=sgd,adam seed=0,1,2"),
    "report": ("optbench.report.command:main", "make tables and figures of finished runs: optbench report DIR"),
    "surface": ("optbench.surfaces.command:main", "draw paths on a surface: optbench surface study=gd_vs_momentum"),
    "terrain": ("optbench.surfaces.terrain_command:main", "name a surface's critical points and a path's terrain"),
    "certify": ("optbench.certificates.command:main", "step optimizers beside independent references"),
    "list": ("optbench.listing:main", "show what can be named: optbench list optimizers"),
}

CONF = next(path for path in (Path(__file__).parent / "conf", Path(__file__).parents[2] / "conf") if path.is_dir())
"""The configs: inside an installed package, at the top of a checkout."""

NODES = re.compile(r"(data|model|optimizer|schedule|trainer|logger)\.[^=]+=")
"""Overrides of what a config makes: any keyword of its class will do, whether the yaml lists it or not."""


def main() -> None:
    """Run `optbench <command> ...`; what the user got wrong ends in one line and exit code 1."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("usage: optbench <command> ...\n")
        print("\n".join(f"  {command:10}{what}" for command, (_, what) in COMMANDS.items()))
        return
    try:
        if name not in COMMANDS:
            raise nearest("command", name, COMMANDS, "optbench --help")
        module, function = COMMANDS[name][0].split(":")
        getattr(importlib.import_module(module), function)(rest)
    except UserError as error:
        sys.exit(f"optbench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def train(arguments: list[str]) -> None:
    """Compose and train with Hydra.

    Args:
        arguments: Overrides and flags of Hydra.

    Raises:
        UserError: Anything in them is wrong.
    """
    import hydra
    from hydra.core.utils import env_override
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from optbench.run import train as task

    flags_first = sorted(arguments, key=lambda a: "=" in a and not a.startswith("-"))  # argparse has to have it so
    sys.argv = ["optbench train", *(f"++{a}" if NODES.match(a) else a for a in flags_first)]
    try:
        with env_override({"HYDRA_FULL_ERROR": "1"}):  # errors are to reach us rather than end in Hydra's own print
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        raise explain(error) from None


def explain(error: Exception) -> UserError:
    """Return an error of Hydra or OmegaConf as one line that names the nearest option there is."""
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and options is not None:
        group, _, name = missing.rpartition("/")
        listed = {"data": "data", "study": "studies"}.get(group, f"{group}s")
        return nearest(group or "config", name, options, f"optbench list {listed}" if group else ", ".join(options))
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown:
        return UserError(f"no field '{unknown[1]}'; see the fields with optbench train --cfg job")
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return UserError(" ".join(str(error if not str(cause) else cause).split()))
