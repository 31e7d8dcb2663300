"""`optbench train`: one run, or with -m a sweep, by Hydra."""

import os
import re
import sys
from itertools import pairwise
from pathlib import Path

from optbench import records
from optbench.checks import UserError
from optbench.configs import CONF, explain, trusted

NODES = re.compile(r"(data|model|optimizer|schedule|trainer|logger)\.[^=]+=")
"""Overrides of what a config makes: any keyword of its class will do, whether the yaml lists it or not."""


def main(arguments: list[str]) -> None:
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

    from optbench.training.run import train

    arguments = longer(arguments)
    flags_first = sorted(arguments, key=lambda a: "=" in a and not a.startswith("-"))  # argparse has to have it so
    sys.argv = ["optbench train", *(f"++{a}" if NODES.match(a) else a for a in flags_first)]
    try:
        with env_override({"HYDRA_FULL_ERROR": "1"}):  # errors are to reach us rather than end in Hydra's own print
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(train)()
    except (HydraException, OmegaConfBaseException) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        raise explain(error) from None


def longer(arguments: list[str]) -> list[str]:
    """Return a command line in which `resume=RUN` stands for the overrides of that run, which may be anybody's.

    Raises:
        UserError: Its record would make something that no config names, or cannot be read.
    """
    given = next((a.removeprefix("resume=") for a in arguments if a.startswith("resume=")), None)
    if given is None or not (Path(given) / "status.json").exists():
        return arguments
    run = records.read(Path(given))
    folders = [Path(b) for a, b in pairwise(arguments) if a in ("--config-dir", "-cd")]
    known = trusted(run.config, [CONF, *folders])
    typed = {_key(a) for a in arguments}
    stored = [override for override in run.status["overrides"] if _key(override) not in typed]
    for override in stored:
        group, _, target = override.lstrip("+").partition("._target_=")
        named = target and known.get(group, {}).get("_target_") == target
        if (
            override.lstrip("+~").startswith(("hydra", "-"))
            or "${" in override
            or ("_target_" in override and not named)
        ):
            raise UserError(
                f"resume={given}: the record's override {ascii(override)[:80]} would do more than set a value"
            )
    return [*arguments, *stored, f"hydra.run.dir={given}"]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
