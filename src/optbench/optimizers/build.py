"""From a config to what makes its optimizer: one of ours, or a class of another package made to train beside them."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn

from optbench.checks import UserError, nearest
from optbench.configs import located, rule
from optbench.optimizers.base import Optimizer


def build_optimizer(config: Mapping[str, Any], model: nn.Module, total_steps: int | None) -> Any:
    """Return what makes the configured optimizer from parameters.

    A class that needs `total_steps` or the `model` itself is given the run's own, unless the config says otherwise.

    Raises:
        UserError: There is no such class.
    """
    cls = located("optimizer", config)
    if not is_ours(cls):
        return contender(cls, instantiate({k: v for k, v in config.items() if k not in ("_target_", "_partial_")}))
    known = {"model": model} if total_steps is None else {"model": model, "total_steps": total_steps}
    return provided(instantiate(rule(config)), known)


def provided(factory: partial[Any], known: Mapping[str, Any]) -> partial[Any]:
    """Return what makes an optimizer, with what its class needs of a run and nobody gave; so too inside a wrapper.

    Args:
        factory: The class with its hyperparameters.
        known: What there is to give: the `model`, `total_steps`.
    """
    own = rule(factory.keywords)  # a wrapped config still has its search space
    inner = {key: provided(x, known) for key, x in own.items() if isinstance(x, partial)}
    needs = getattr(factory.func, "needs", ())
    given = {key: known[key] for key in needs if key in known and key not in own}
    return partial(factory.func, *factory.args, **{**own, **inner, **given})


class AtIterate:
    """The two modes that a training calls; for most rules the parameters are always at the iterate."""

    def eval(self) -> None:
        """Put the parameters at the method's own iterate: they are."""

    def train(self) -> None:
        """Put the parameters back where the next gradient belongs: they are."""


OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def contender(cls: type[Any], given: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """Return what makes an optimizer of another package from parameters.

    It trains alone: it is no pure rule, so that it cannot be stacked, compiled or batched over starts.

    Args:
        cls: The class; modes `train()` and `eval()` of its own are kept.
        given: Its keywords, as a config has them.

    Raises:
        UserError: It is no `torch.optim.Optimizer`, or knows a keyword not.
    """
    name = cls.__name__
    if not (isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)):
        raise UserError(f"optimizer: {name} is no torch.optim.Optimizer; give optimizer._target_=<a class that is one>")
    if given.get("compile"):
        raise UserError(f"optimizer: {name} is another package's and is not compiled; leave optimizer.compile out")
    keywords = {key: value for key, value in rule(given).items() if key != "compile"}
    parameters = dict(list(inspect.signature(cls).parameters.items())[1:])
    for key in (key for key, p in parameters.items() if p.default is p.empty and p.kind not in OPEN):
        if key not in keywords:
            raise UserError(f"optimizer: {name} needs {key}; give optimizer.{key}=<value>")
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in keywords.keys() - parameters.keys():
            raise nearest(f"keyword of {name}", key, parameters, ", ".join(parameters))
    return partial(type(name, (cls, AtIterate), {"__doc__": cls.__doc__}), **keywords)


def is_ours(cls: Any) -> bool:
    """Return whether a class is built on `Optimizer`, and can be stacked, compiled and batched where its rule can."""
    return isinstance(cls, type) and issubclass(cls, Optimizer)
