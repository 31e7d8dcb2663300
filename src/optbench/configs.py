"""What a config names and what it makes: the folders of configs, their targets, and the errors of both in one line."""

import copy
import datetime
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException, OverrideParseException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from optbench.checks import UserError, check, check_call, nearest

if TYPE_CHECKING:
    from torch import nn

CONF = next(path for path in (Path(__file__).parent / "conf", Path(__file__).parents[2] / "conf") if path.is_dir())
"""The configs: inside an installed package, at the top of a checkout."""


def files(folders: Sequence[Path], group: str) -> list[Path]:
    """Return the configs of a group; of two with one name the later folder's, as Hydra has it."""
    found = {path.stem: path for folder in folders for path in (folder / group).glob("*.yaml")}
    return [found[name] for name in sorted(found)]


def targets(folders: Sequence[Path], group: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield name, config and target of each config of a group.

    Raises:
        UserError: A config cannot be read, or its target does not exist.
    """
    for path in files(folders, group):
        try:
            config = yaml.safe_load(path.read_text())
            yield path.stem, config, get_object(config["_target_"])
        except Exception as error:  # a config of the user's may be wrong in any way
            raise UserError(f"{path}: {' '.join(str(error).split())}") from None


GROUPS = ("data", "model", "optimizer", "schedule")
"""What a run's config makes, and a reader of its record may make again."""

FIGURES = (
    "batch_size",
    "budget",
    "curves",
    "gradients",
    "landscape",
    "learning_rate",
    "norms",
    "ranks",
    "sensitivity",
    "steps",
    "trials",
)
"""What a config may list under `figures`; a report draws them."""

LARGEST = 10_000
"""Values in a record's config: a few dozen in a real one."""


def trusted(config: Mapping[str, Any], folders: Sequence[Path] = (CONF,)) -> dict[str, Any]:
    """Return the groups of a record's config that may be made again: nothing in them can do harm.

    A record may be anybody's. Only what a config of the same group in one of the folders names as its target may be
    made; the comparison is one of words, and nothing is imported or called.

    Args:
        config: Contents of a config.yaml.
        folders: Folders of configs: the suite's own, and those that this command line gives with `--config-dir`.

    Returns:
        Those of `GROUPS` that the config has.

    Raises:
        UserError: Something else is to be made, or a group is no plain mapping.
    """
    if not isinstance(config, Mapping):
        raise UserError("the record's config.yaml is no mapping")
    found: dict[str, Any] = {}
    for group in (group for group in GROUPS if group in config):
        if not isinstance(config[group], Mapping) or "_target_" not in config[group]:
            raise UserError(f"the record's {group} names nothing to make: it has no _target_")
        _harmless(group, config[group], _named(folders, group), [LARGEST])
        found[group] = config[group]
    root = found.get("data", {}).get("root")
    if root is not None and not (isinstance(root, str) and Path(root).expanduser().is_dir()):
        raise UserError(f"the record's data.root={_quoted(root)} is no folder here; nothing is downloaded for a record")
    return found


def _named(folders: Sequence[Path], group: str) -> set[str]:
    """Return the targets that the configs of a group name, in their own words."""
    return {str(target) for path in files(folders, group) for target in _targets_in(yaml.safe_load(path.read_text()))}


def _targets_in(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        yield from [tree["_target_"]] if "_target_" in tree else []
        for value in tree.values():
            yield from _targets_in(value)


def _harmless(where: str, value: Any, known: set[str], left: list[int]) -> None:
    """Raise where a value of a record's config is more than data and known targets; `left` counts down the values."""
    left[0] -= 1
    if left[0] < 0:
        raise UserError(f"the record's {where} has more than {LARGEST} values; no run of ours has")
    if type(value) is list:
        for item in value:
            _harmless(where, item, known, left)
    elif type(value) is dict:
        for key, item in value.items():
            _harmless_key(where, key, item, known)
            _harmless(f"{where}.{_quoted(key)[1:-1]}", item, known, left)
    elif type(value) is str and "${" in value:
        raise UserError(f"the record's {where}={_quoted(value)} would be computed; a record holds plain values")
    elif value is not None and type(value) not in (bool, int, float, str):
        raise UserError(f"the record's {where} is of the type {type(value).__name__}; a record holds plain values")


def _harmless_key(where: str, key: Any, value: Any, known: set[str]) -> None:
    if type(key) is not str:
        raise UserError(f"the record's {where} has the key {_quoted(key)}; keys are words")
    if key == "_target_" and not (type(value) is str and value in known):
        hint = "if it is yours, give --config-dir with a config that names it"
        group = where.partition(".")[0]
        raise UserError(f"the record's {where} is {_quoted(value)}, which no config of the group {group} names; {hint}")
    if key.startswith("_") and key not in ("_target_", "_partial_"):
        raise UserError(f"the record's {where} has the key {_quoted(key)}, which would change how it is made")


def _quoted(value: Any) -> str:
    """Return a stranger's value as one short harmless line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def construct(group: str, config: Any, later: Sequence[str] = ()) -> partial[Any]:
    """Return what makes the thing that a config's `_target_` names, its keywords checked.

    Args:
        group: What is made, for the message.
        config: `_target_` and keywords.
        later: Arguments that the caller will add.

    Raises:
        UserError: There is no such target, or it refuses a keyword or a value.
    """
    try:
        make: partial[Any] = instantiate(config, _partial_=True)
    except InstantiationException as error:
        raise UserError(f"{group}: {' '.join(str(error.__cause__ or error).split())}") from None
    check_call(make.func, make.keywords, later)
    return plain(make)


def plain(make: partial[Any]) -> partial[Any]:
    """Return a partial as Python's own: Hydra's consults its security policy at every call, for 150 us.

    A schedule is called at every step, which takes 400 us.
    """
    keywords = {k: plain(v) if isinstance(v, partial) else v for k, v in make.keywords.items()}
    return partial(make.func, *make.args, **keywords)


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


OmegaConf.register_new_resolver("directory", directory, use_cache=True, replace=True)


def enter(config: DictConfig) -> None:
    """Make a composed config the one that `${hydra:...}` is resolved from, which is Hydra's global state."""
    HydraConfig.instance().set_config(config)


def key(config: DictConfig) -> str:
    """Return what tells data apart: a config in YAML, but for the seed, which is of the mini-batches."""
    return OmegaConf.to_yaml({**config, "seed": 0}, resolve=True)


def dataset(config: DictConfig, loaded: Mapping[str, Any] | None = None) -> Any:
    """Return a data module, loaded, to be read only.

    Args:
        config: That of the data.
        loaded: Data modules that are there already, by `key`.
    """
    name = key(config)
    return loaded[name] if loaded and name in loaded else _loaded(name)


@functools.lru_cache(1)
def _loaded(name: str) -> Any:
    """Return a data module by its key; the last one is kept, for the runs that differ in other things."""
    data = construct("data", OmegaConf.create(name))()
    data.setup()
    return data


def load(config: DictConfig, loaded: Mapping[str, Any] | None = None) -> Any:
    """Return the data module of a run, with the tensors that this process already has; see `dataset`."""
    data = copy.copy(dataset(config, loaded))
    if "seed" in config:
        data.seed = config.seed
    data.splits = dict(data.splits)
    data.setup()
    return data


def build_model(config: Mapping[str, Any], features: int, outputs: int) -> "nn.Module":
    """Return the configured model for data with so many features and outputs, which it is given by these names.

    Raises:
        UserError: What makes the model needs other arguments.
    """
    cls, sizes = located("model", config), {"features": features, "outputs": outputs}
    parameters = inspect.signature(cls).parameters.values()
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [p.name for p in named if p.default is p.empty and p.name not in {*sizes, *config}]
    if missing:
        raise UserError(
            f"model: {cls.__name__} needs {', '.join(missing)}; a model is given features=<inputs> and "
            "outputs=<outputs> by these names, and all else by the config: name its arguments so, or give "
            f"model.{missing[0]}=<value>"
        )
    make = construct("model", config, ("features", "outputs"))
    given = sizes if open_ended else {k: v for k, v in sizes.items() if k in {p.name for p in parameters}}
    return make(**given)  # type: ignore[no-any-return]


def rule(config: Any) -> dict[str, Any]:
    """Return the config of an optimizer without its search space, which no constructor takes."""
    return {key: config[key] for key in config if key != "search"}


def build_schedule(
    config: DictConfig, steps: int | None, epochs: int | None
) -> tuple[Callable[[int, float], float], str]:
    """Return the configured schedule and its unit; one that needs the `total` length is given the run's own, if any.

    Raises:
        UserError: The unit is neither `step` nor `epoch`, or the schedule refuses a value.
    """
    unit = check("schedule", "unit", config.get("unit"), Literal["step", "epoch"])
    keywords = {k: v for k, v in config.items() if k != "unit"}
    if "total" in inspect.signature(located("schedule", config)).parameters and config.get("total") is None:
        keywords["total"] = steps if unit == "step" else epochs
    return construct("schedule", OmegaConf.create(keywords), ("t", "eta0")), unit


def resolve(config: DictConfig) -> dict[str, Any]:
    """Return a config as plain values, with the defaults of everything that it makes filled in."""
    return with_defaults(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]


def with_defaults(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a config of plain values with the defaults of everything that it makes filled in."""
    for group in (group for group in GROUPS if group in plain):
        target = get_object(plain[group]["_target_"])
        names = getattr(target, "aliases", {})
        plain[group] = {names.get(key, key): value for key, value in plain[group].items()}
        parameters = inspect.signature(target).parameters.values()
        defaults = {
            p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str | tuple | None)
        }
        plain[group] = {**plain[group], **defaults, **plain[group]}
    return plain


def filled(text: str) -> str:
    """Return a config in YAML with the defaults of everything that it makes; what is no config stays as it is."""
    plain = yaml.safe_load(text)
    if not isinstance(plain, dict) or not all("_target_" in (plain.get(group) or {}) for group in GROUPS):
        return text
    return OmegaConf.to_yaml(OmegaConf.create(with_defaults(plain)))


def located(group: str, config: Mapping[str, Any]) -> Any:
    """Return what a config's `_target_` names.

    Raises:
        UserError: There is no such thing, or no `_target_`.
    """
    if "_target_" not in config:
        raise UserError(f"{group} names nothing to make; give {group}._target_=<a class>, or {group}=<name>")
    try:
        return get_object(config["_target_"])
    except Exception as error:  # of any module that is imported
        why = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{group}: {config['_target_']} cannot be imported: {why}") from None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted ones: `{"optimizer": {"lr": 1}}` becomes `{"optimizer.lr": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


LISTED = {
    "data": "data",
    "model": "models",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "study": "studies",
}
"""The groups that `optbench list` shows, and what it calls them."""


def fields() -> list[str]:
    """Return the names of what train.yaml sets by itself."""
    return [name for name in yaml.safe_load((CONF / "train.yaml").read_text()) if name not in ("defaults", "hydra")]


def groups() -> list[str]:
    """Return the names of the groups of configs that a run chooses from."""
    defaults = yaml.safe_load((CONF / "train.yaml").read_text())["defaults"]
    return [name for entry in defaults if isinstance(entry, dict) for name in entry if not name.startswith("override")]


def settable(name: str) -> None:
    """Raise where a new field of a config would be read by nothing.

    Raises:
        UserError: There is no such field.
    """
    known = [*fields(), *groups(), "hydra"]
    if name not in known:
        raise nearest("field", name, known, "optbench train --cfg job")


def explain(error: Exception) -> UserError:
    """Return an error of Hydra or OmegaConf as one line that names the nearest option there is."""
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and options is not None:
        group, _, name = missing.rpartition("/")
        listing = f"optbench list {LISTED[group]}" if group in LISTED else ", ".join(options)
        return nearest(group or "config", name, options, listing)
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown:
        if "." not in unknown[1]:
            return nearest("field", unknown[1], fields(), "optbench train --cfg job")
        return UserError(f"no field '{unknown[1]}'; see the fields with optbench train --cfg job")
    primary = re.search(r"Cannot find primary config '([^']+)'", str(error))
    if primary:
        return UserError(f"no config '{primary[1]}'; -cn takes the name of a yaml in the folder of --config-dir")
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
