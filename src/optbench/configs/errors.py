"""Errors of Hydra and OmegaConf in one line of ours."""

import re

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue

from optbench.checks import UserError, nearest, one_line
from optbench.configs.known import CONF, LISTED, fields, files

PLAIN = re.compile(r"[^\[\]{}(),'\"$\\]+")
"""Values in which no letter has a meaning to Hydra's grammar but those that it refuses, such as `~`, `=` and `ü`."""


def quoted(override: str) -> str:
    """Return an override with quotes around a value that Hydra's grammar would refuse, such as `größe` or `~/mnist`."""
    key, equals, value = override.partition("=")
    if override.startswith("-") or not equals:
        return override
    try:
        OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        value = f"'{value}'" if PLAIN.fullmatch(value) else value
    return f"{key}={value}"


def explain(error: Exception) -> UserError:
    """Return an error of Hydra or OmegaConf as one line that names the nearest option there is."""
    cause = one_line(error.__cause__) if isinstance(error.__cause__, Exception) else ""
    return _of_composing(error) or _of_ours(error) or _of_a_kind(error) or UserError(cause or one_line(error))


def _of_composing(error: Exception) -> UserError | None:
    """Return the line for a config, a choice or a field that does not exist; Hydra tells them by text alone."""
    text = str(error)
    primary = re.search(r"Cannot find primary config '([^']+)'", text)
    if primary:
        return UserError(f"no config '{primary[1]}'; -cn takes the name of a yaml in the folder of --config-dir")
    missing = getattr(error, "missing_cfg_file", None)
    if missing:
        return _no_choice(missing, getattr(error, "options", None))
    of_several = re.search(r"Could not load '([^']+)'", text)
    if of_several:
        return _no_choice(of_several[1], None)
    several = re.search(r"(?:Ambiguous value for argument|Sweep parameters) '([^\n]+?)'(?:\n| requires)", text)
    if several:
        typed = several[1].lstrip("+")
        return UserError(
            f"{typed} is several values, and this is one run; give one, or a list in brackets, or optbench train -m"
        )
    field = re.search(r"Could not override '([^']+)'", text)
    if field:
        return _no_field(field[1])
    return None


def _no_choice(path: str, options: list[str] | None) -> UserError:
    """Return the line for a choice that a group does not have.

    Args:
        path: The group and the name that was chosen, such as `optimizer/adma`.
        options: The names that the group has, where Hydra says so.
    """
    group, _, name = path.rpartition("/")
    known = options or [file.stem for file in files([CONF], group)]
    listing = f"optbench list {LISTED[group]}" if group in LISTED else ", ".join(known)
    return nearest(group or "config", name, known, listing)


def _no_field(name: str) -> UserError:
    if "." in name:
        return UserError(f"no field '{name}'; see the fields with optbench train --cfg job")
    return nearest("field", name, fields(), "optbench train --cfg job")


def _of_ours(error: Exception) -> UserError | None:
    """Return the error of ours that Hydra wrapped in others, if there is one."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, UserError):
            return below
        below = below.__cause__ or below.__context__
    return None


def _of_a_kind(error: Exception) -> UserError | None:
    """Return the line for an error whose class says what it is about."""
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
    return None
