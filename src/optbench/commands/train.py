"""`optbench train`: one run, or with -m a sweep, by Hydra."""

import os
import re
import sys

from optbench.configs import CONF, explain

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

    flags_first = sorted(arguments, key=lambda a: "=" in a and not a.startswith("-"))  # argparse has to have it so
    sys.argv = ["optbench train", *(f"++{a}" if NODES.match(a) else a for a in flags_first)]
    try:
        with env_override({"HYDRA_FULL_ERROR": "1"}):  # errors are to reach us rather than end in Hydra's own print
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(train)()
    except (HydraException, OmegaConfBaseException) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        raise explain(error) from None
