"""`optbench train`: one run, or with -m a sweep, by Hydra."""

import contextlib
import io
import os
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optbench import processes, records
from optbench.checks import UserError
from optbench.commands.completion import SCRIPT
from optbench.configs import CONF, explain, fields, filled, groups, quoted, refuse_twins, settable, trusted

NODES = re.compile(r"(data|model|optimizer|schedule|trainer|logger|search|workloads)\.[^=]+=")
"""Overrides of what a config makes: any keyword of its class will do, whether the yaml lists it or not."""
PLACE = re.compile(r"(hydra\.(?:run|sweep)\.dir|resume)=")
"""Overrides that name a folder."""
LONGER = re.compile(
    r"(trainer\.(max|min)_\w+|data\.(root|path)|timeout|figures|name|logger|trajectory|checkpoint|resume|rerun|hydra)\b.*"
)
"""What may be another thing for a run that goes on; all else its record says of the whole of it."""
REFUSED = {
    "experimental_rerun": "it reads a pickle; type the command in a run's status.json, or resume=<the sweep>",
    "config_path": "the configs are optbench's own; add yours with --config-dir",
}
"""Flags of Hydra's that are not honoured, and what to give instead."""


def main(arguments: list[str]) -> None:
    """Compose and train with Hydra."""
    from optbench.training.private import hydra_flags

    flags = hydra_flags(arguments)
    if flags.shell_completion:
        return complete(flags.overrides)
    folders = [Path(flags.config_dir)] if flags.config_dir else []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--config-dir={folder} is no directory; give one with folders such as optimizer/")
        refuse_twins(folder)
    refuse_empty(flags.overrides)
    refuse_two_places(flags.overrides)
    overrides = longer([at_home(override) for override in flags.overrides], folders)
    check_flags(flags, overrides)
    own = [argument for argument in arguments if argument not in flags.overrides]
    sys.argv = ["optbench train", *own, *map(typed, overrides)]
    if flags.multirun:
        compiles = any(override.lstrip("+") == "compile=step" for override in overrides)
        processes.prepare(processes.HEAVY + processes.COMPILER * compiles)  # which imports beside us what both need
    if flags.cfg == "job":
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            run()
        print(filled(shown.getvalue()), end="")
    else:
        run()


def run() -> None:
    """Run Hydra on what was typed.

    Raises:
        UserError: Anything in it is wrong.
    """
    import hydra
    import yaml
    from hydra.core.utils import env_override
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from optbench.training.run import train

    try:
        with env_override({"HYDRA_FULL_ERROR": "1"}):  # errors are to reach us rather than end in Hydra's own print
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(train)()
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, OSError) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        raise explain(error) from None


def longer(overrides: list[str], folders: Sequence[Path]) -> list[str]:
    """Return overrides in which `resume=RUN` stands for those of that run, which may be anybody's.

    Args:
        overrides: As they were typed.
        folders: Folders of configs that the command line gives.

    Raises:
        UserError: Its record would make something that no config names, or cannot be read; or what is typed beside
            would change how it is trained, which its record says of the whole run.
    """
    given = next((a.removeprefix("resume=") for a in overrides if a.startswith("resume=")), None)
    if given is None or not (Path(given) / "status.json").exists():
        return overrides
    run = records.read(Path(given))
    known = trusted(run.config, [CONF, *folders])
    began = run.status["overrides"]
    for override in overrides:
        if "=" in override and override.lstrip("+") not in began and not LONGER.fullmatch(_key(override)):
            raise UserError(
                f"{override}: resume={given} goes on with the settings that it began with; give "
                "trainer.max_epochs=<more> alone, or train another run"
            )
    typed = {*map(_key, overrides), "rerun"}  # that was of the run as it began
    stored = [override for override in began if _key(override) not in typed]
    for override in stored:
        if not _only_sets(override, known):
            raise UserError(
                f"resume={given}: the record's override {ascii(override)[:80]} would do more than set a value"
            )
    return [*overrides, *stored, f"hydra.run.dir={given}"]


def _only_sets(override: str, known: Mapping[str, Any]) -> bool:
    """Return whether a stranger's override sets a value and no more."""
    if override.lstrip("+~").startswith(("hydra", "-")) or "${" in override:
        return False
    if "_target_" not in override:
        return True
    group, _, target = override.lstrip("+").partition("._target_=")
    return bool(target) and known.get(group, {}).get("_target_") == target


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def check_flags(flags: Namespace, overrides: Sequence[str]) -> None:
    """Raise a `UserError` where flags, or fields that are new, would do nothing."""
    for name, instead in REFUSED.items():
        if getattr(flags, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} is not for optbench: {instead}")
    if flags.multirun and flags.cfg:
        raise UserError("--cfg shows the config of one run; leave out -m, or --cfg")
    for added in filter(None, (re.match(r"\+\+?([^=.@/]+)[^=]*=", override) for override in overrides)):
        if not any(f"${{{added[1]}" in override for override in overrides):
            settable(added[1])


def refuse_empty(overrides: Sequence[str]) -> None:
    """Raise a `UserError` where a folder, a name or the choice of a group is empty, as with a variable that is not set.

    So it is where what every run needs is to be deleted.
    """
    for override in overrides:
        key, equals, value = override.partition("=")
        if key == "name" and not value:
            raise UserError("name is empty; name a folder, or leave it out")
        if PLACE.match(override) and (not value or (value == "null" and key != "resume")):
            raise UserError(f"{override} names no folder; give one, or leave it out")
        if equals and key in groups() and value == "null":
            raise UserError(f"{override} chooses nothing; give a name, such as logger=none, or leave it out")
        if key.startswith("~") and key[1:] in fields():
            raise UserError(f"{override} would delete what a run needs; give {key[1:]}=<value>")


def refuse_two_places(overrides: Sequence[str]) -> None:
    """Raise a `UserError` where more than one folder is named for what is trained: one of them would not count."""
    named = {_key(override): override for override in overrides if PLACE.match(override) and override != "resume=null"}
    if len(named) > 1:
        one, other = list(named.values())[:2]
        raise UserError(f"{one} and {other} both say where what is trained goes; give one of them")


def at_home(argument: str) -> str:
    """Return an argument with the folder that it names written out: the shell leaves a `~` after `=` alone."""
    key, _, value = argument.partition("=")
    return f"{key}={Path(value).expanduser()}" if PLACE.match(argument) else argument


def typed(argument: str) -> str:
    """Return an argument as Hydra's grammar has it, with keywords that may be new."""
    return f"{'++' if NODES.match(argument) else ''}{quoted(argument)}"


def complete(action: Sequence[str]) -> None:
    """Print the shell's completion of `optbench`, for `eval "$(optbench train -sc install=bash)"`.

    Raises:
        UserError: Another shell is named, or another action.
    """
    if not {"install=bash", "install=zsh"} & set(action):
        raise UserError("shell completion is installed by: source <(optbench completion bash), or zsh")
    print(SCRIPT)
