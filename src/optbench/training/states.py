"""The state of an optimizer by the names of its parameters, as a stack gives and takes it."""

from collections import defaultdict
from collections.abc import Mapping

from torch import nn

from optbench.optimizers.base import Optimizer, State


def state_by_name(model: nn.Module, optimizer: Optimizer) -> dict[str, State]:
    """Return the state of each parameter of a network; none before the first step."""
    return {name: optimizer.state.get(p) or {} for name, p in model.named_parameters()}


def set_state(model: nn.Module, optimizer: Optimizer, states: Mapping[str, State]) -> None:
    """Give an optimizer the states of a network's parameters."""
    optimizer.state = defaultdict(dict, {model.get_parameter(name): state for name, state in states.items()})


def steps_taken(optimizer: Optimizer) -> int:
    """Return how many steps an optimizer has taken."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)
