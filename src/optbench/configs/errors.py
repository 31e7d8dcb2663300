"""Errors of Hydra and OmegaConf in one line of ours."""

import re

import yaml
from hydra.errors import OverrideParseException
from omegaconf.errors import MissingMandatoryValue

from optbench.checks import UserError, nearest
from optbench.configs.known import CONF, LISTED, fields, files


def explain(error: Exception) -> UserError:
    """Return an error of Hydra or OmegaConf as one line that names the nearest option there is."""
    primary = re.search(r"Cannot find primary config '([^']+)'", str(error))
    if primary:
        return UserError(f"no config '{primary[1]}'; -cn takes the name of a yaml in the folder of --config-dir")
    options = getattr(error, "options", None)
    several = re.search(r"Could not load '([^']+)'", str(error))  # of a list of choices Hydra gives no options
    missing = getattr(error, "missing_cfg_file", None) or (several and several[1])
    if missing:
        group, _, name = missing.rpartition("/")
        options = options or [path.stem for path in files([CONF], group)]
        listing = f"optbench list {LISTED[group]}" if group in LISTED else ", ".join(options)
        return nearest(group or "config", name, options, listing)
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown:
        if "." not in unknown[1]:
            return nearest("field", unknown[1], fields(), "optbench train --cfg job")
        return UserError(f"no field '{unknown[1]}'; see the fields with optbench train --cfg job")
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, UserError):
            return below
        below = below.__cause__ or below.__context__
    if isinstance(error, MissingMandatoryValue):
        return UserError(f"{error.full_key} is missing; give {error.full_key}=<value>")
    if isinstance(error, OSError) and error.filename:
        return UserError(f"{error.filename} will not do: {error.strerror}; give another name")
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        where = f"{mark.name}, line {mark.line + 1}: " if mark else ""
        return UserError(f"{where}{getattr(error, 'problem', None) or error}; mend the YAML")
    if isinstance(error, OverrideParseException):
        return UserError(
            f"'{error.override}' is no override: give key=value, and a value with commas or brackets of its own in "
            "quotes within quotes, as in \"key='a,b'\""
        )
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return UserError(" ".join(str(error if not str(cause) else cause).split()))
