"""A look at a model and at data of the user's: what they promise, and what no step by itself would show."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from optbench.checks import UserError


def foreign(config: Mapping[str, Any]) -> bool:
    """Return whether a config names a class or function of the user's."""
    return not str(config["_target_"]).startswith(("optbench.", "torch."))


def check_trainable(model: Any, target: str) -> None:
    """Raise where there is nothing to train.

    Args:
        model: What was made.
        target: What made it.

    Raises:
        UserError: It is no model, or has no parameters, or none yet.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model: {target} makes {type(model).__name__}; it has to make a torch.nn.Module")
    if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
        raise UserError(f"model: {target} has lazy layers, whose sizes come later; give them its features")
    if not any(p.requires_grad for p in model.parameters()):
        raise UserError(f"model: {target} has no parameters to train; make its layers in __init__, as attributes")


def check_seeded(make: Callable[[], Any], target: str) -> None:
    """Raise where a model seeds torch by itself: runs of all seeds would begin alike.

    Args:
        make: What makes the model.
        target: Its name.

    Raises:
        UserError: It does.
    """
    states = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            make()
            states.append(torch.get_rng_state())
    if torch.equal(*states):
        raise UserError(f"model: {target} seeds torch by itself, so that all seeds begin alike; leave that to seed=")


def check_repeats(data: Any, other: Any) -> None:
    """Raise where data that are loaded again are others: no two runs would have the same.

    Args:
        data: A data module, set up.
        other: Another one of the same config, set up.

    Raises:
        UserError: Their samples differ.
    """
    for name in data.splits:
        if not all(map(torch.equal, data.split(name), other.split(name))):
            raise UserError(
                f"data: {type(data).__name__} gives other samples each time; draw them from a generator that is seeded "
                "by self.data_seed"
            )
