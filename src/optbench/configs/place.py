"""Where a run or a sweep is recorded, and the config that Hydra resolves `${hydra:...}` from."""

import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from optbench.checks import UserError

RUNS = Path("results/runs")


def directory(name: str, resume: str | None) -> str:
    """Return where a run or a sweep is recorded: in a directory of its own, or in one that is there.

    Args:
        name: What names the folder.
        resume: A directory, `latest` for the last one of the name, or None.

    Raises:
        UserError: There is no such directory, or the name is none of a folder.
    """
    if not isinstance(name, str) or Path(name).name != name or name == "..":
        raise UserError(f"train: name={name!r} names no folder; give a word without slashes")
    if resume is None:
        return str(RUNS / name / datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    if resume != "latest":
        if not Path(resume).is_dir():
            raise UserError(f"resume={resume} is no directory; give that of a sweep or a run, or latest")
        return resume
    there = sorted(path.parent for path in (RUNS / name).glob("*/multirun.yaml"))
    if not there:
        raise UserError(f"resume=latest: there is no sweep in {RUNS / name} yet; leave it out")
    return str(there[-1])


def enter(config: DictConfig) -> None:
    """Make a composed config the one that `${hydra:...}` is resolved from, which is Hydra's global state.

    Hydra's own `set_config` makes a deep copy, which takes longer than all else that a cell of a sweep needs.
    """
    OmegaConf.set_readonly(config.hydra, True)
    HydraConfig.instance().cfg = config  # type: ignore[assignment]


OmegaConf.register_new_resolver("directory", directory, use_cache=True, replace=True)
