"""What a landscape is the landscape of: a network and a loss on fixed examples."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from optbench.checks import UserError
from optbench.configs import CONF, build_model, construct, trusted
from optbench.landscape.arrays import Floats

Loss = Callable[..., Tensor]
"""From outputs and targets to a scalar that is a mean over the examples."""

EXAMPLES = 1000


def accuracy(output: Tensor, y: Tensor) -> Tensor:
    """Return the share of examples of which the largest output (examples, classes) is at the target."""
    return (output.argmax(1) == y).to(output.dtype).mean()


@dataclass(frozen=True)
class Task:
    """A model's loss on fixed examples.

    Attributes:
        model: The network; its weights do not matter.
        loss: From outputs and targets to their mean loss.
        x: Inputs (examples, features).
        y: Targets (examples, ...).
    """

    model: nn.Module
    loss: Loss
    x: Tensor
    y: Tensor

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters, in the order in which flat weights hold them."""
        return [tuple(p.shape) for p in self.model.parameters()]

    @property
    def statistics(self) -> str:
        """Where batch normalization takes mean and variance from: nowhere, the examples or the running ones."""
        norms = [m for m in self.model.modules() if isinstance(m, _BatchNorm)]
        if not norms:
            return ""
        return "of the examples" if any(takes_from_batch(m) for m in norms) else "running"

    def frozen(self) -> "Task":
        """Return the task with a copy of its model that no evaluation changes, dropout off."""
        model = copy.deepcopy(self.model)
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                if takes_from_batch(module):
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None
            else:
                module.training = False
        return replace(self, model=model)

    def named(self, weights: Floats | Tensor) -> dict[str, Tensor]:
        """Return flat weights (parameters,) by parameter, in the model's own precision."""
        found = {}
        start = 0
        flat = torch.as_tensor(weights)
        for name, p in self.model.named_parameters():
            found[name] = flat[start : start + p.numel()].view(p.shape).to(p)
            start += p.numel()
        return found

    @torch.no_grad()
    def at(self, weights: Floats | Tensor) -> float:
        """Return the loss at flat weights (parameters,), by one plain evaluation."""
        task = self.frozen()
        return float(self.loss(functional_call(task.model, task.named(weights), (self.x,)), self.y))


def takes_from_batch(norm: _BatchNorm) -> bool:
    """Return whether a batch normalization uses the mean and variance of what it is given."""
    return norm.training or norm.running_mean is None


def task(
    config: Mapping[str, Any],
    examples: int | None = EXAMPLES,
    split: str = "train",
    what: str = "loss",
    folders: Sequence[Path] = (CONF,),
) -> Task:
    """Build what a run's config trained, on the first examples of a split.

    Batch normalization takes its statistics from the examples.

    Args:
        config: The config of the run, of its record.
        examples: How many; null for all.
        split: `train`, `val` or `test`.
        what: `loss`, or `accuracy` where there are classes.
        folders: Folders of the configs that name what may be made of a record.

    Raises:
        UserError: The data cannot be had, or the config names something that none of our configs names.
    """
    made = trusted({group: config[group] for group in ("data", "model") if group in config}, folders)
    data = construct("data", made["data"])()
    data.setup()
    if what == "accuracy" and data.task != "classification":
        raise UserError(f"what=accuracy needs classes, and {type(data).__name__} has none; take what=loss")
    x, y = data.split(split)
    model = build_model(made["model"], data.features, data.outputs)
    model.train()
    return Task(model, accuracy if what == "accuracy" else data.loss, x[:examples], y[:examples])
