"""What a config makes: a model, a schedule, whatever its `_target_` names."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from optbench.checks import UserError, check, check_call, named_parameters, one_line
from optbench.configs.defaults import values

if TYPE_CHECKING:
    from torch import nn


def located(group: str, config: Mapping[str, Any]) -> Any:
    """Return what a config's `_target_` names, after a look at what its parts name.

    Raises:
        UserError: There is no such thing, or no `_target_`.
    """
    if "_target_" not in config:
        raise UserError(f"{group} names nothing to make; give {group}._target_=<a class>, or {group}=<name>")
    for name, part in values(config).items():
        if isinstance(part, Mapping) and "_target_" in part:
            located(f"{group}.{name}", part)
    try:
        return get_object(config["_target_"])
    except Exception as error:  # of any module that is imported
        why = error.__cause__ or error
        lacking = isinstance(why, ModuleNotFoundError) and "not a package" not in str(why)
        remedy = "; PYTHONPATH has to name its folder" if lacking else ""
        raise UserError(f"{group}: {config['_target_']} cannot be imported: {one_line(why)}{remedy}") from None


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
        raise UserError(f"{group}: {one_line(error.__cause__ or error)}") from None
    check_call(make.func, make.keywords, later, f"{group}.")
    for inner in (value for value in make.keywords.values() if isinstance(value, partial)):
        check_call(inner.func, inner.keywords, inspect.signature(inner.func).parameters)  # its caller gives the rest
    return plain(make)


def plain(make: partial[Any]) -> partial[Any]:
    """Return a partial as Python's own: Hydra's consults its security policy at every call, for 150 us.

    A schedule is called at every step, which takes 400 us.
    """
    keywords = {k: plain(v) if isinstance(v, partial) else v for k, v in make.keywords.items()}
    return partial(make.func, *make.args, **keywords)


def build_model(config: Mapping[str, Any], features: int, outputs: int) -> "nn.Module":
    """Return the configured model for data with so many features and outputs, which it is given by these names.

    Raises:
        UserError: What makes the model needs other arguments.
    """
    cls = located("model", config)
    named, open_ended = named_parameters(cls)
    sizes = {"features": features, "outputs": outputs}
    for name in [name for name in sizes if name in config]:
        raise UserError(f"model: {name}={config[name]} would be replaced by the data's own {sizes[name]}; leave it out")
    needed = [name for name, parameter in named.items() if parameter.default is parameter.empty]
    missing = [name for name in needed if name not in {*sizes, *config}]
    if missing:
        raise UserError(
            f"model: {cls.__name__} needs {', '.join(missing)}; a model is given features=<inputs> and "
            "outputs=<outputs> by these names, and all else by the config: name its arguments so, or give "
            f"model.{missing[0]}=<value>"
        )
    make = construct("model", config, list(sizes))
    return make(**{name: size for name, size in sizes.items() if open_ended or name in named})  # type: ignore[no-any-return]


def build_schedule(
    config: DictConfig, steps: int | None, epochs: int | None
) -> tuple[Callable[[int, float], float], str]:
    """Return the configured schedule and its unit; one that needs the `total` length is given the run's own, if any.

    Raises:
        UserError: The unit is neither `step` nor `epoch`, or the schedule refuses a value.
    """
    unit = check("schedule", "unit", config.get("unit"), Literal["step", "epoch"])
    keywords = {k: v for k, v in config.items() if k != "unit"}
    parameters = inspect.signature(located("schedule", config)).parameters
    if "total" in parameters and config.get("total") is None:
        keywords["total"] = steps if unit == "step" else epochs
    return construct("schedule", OmegaConf.create(keywords), list(parameters)[:2]), unit


def rule(config: Any) -> dict[str, Any]:
    """Return the config of an optimizer without its search space, which no constructor takes."""
    return {key: config[key] for key in config if key != "search"}
