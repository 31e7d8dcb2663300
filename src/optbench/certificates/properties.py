"""What each optimizer is like, read off its class and measured on small problems, never typed."""

import functools
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from hydra.utils import get_object, instantiate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optbench import configs
from optbench.optimizers import Objective, Optimizer

Config = Mapping[str, Any]


def table(configs: Mapping[str, Config]) -> pd.DataFrame:
    """Return the properties of optimizers, one row each, by the names of their configs.

    Columns:
        class: The class.
        order: See `Optimizer.order`.
        adapts_learning_rate: Whether the steps are no fixed combination of the gradients.
        uses_momentum: Whether the weights still move once the gradient is zero.
        needs_learning_rate: Whether the default fails where the weights are in units 100 times as large.
        suits_sparse_gradients: Whether a gradient that comes at every 20th step moves its weight more than twice as far
            each time as one that always comes; None above the first order.
        gradients_per_step: Gradients that a step evaluates.
        products_per_step: Hessian-vector products that a step evaluates.
        state_bytes: Bytes of state per float32 parameter of a 64-32-10 network, the most of 12 steps.
        year: Of the first of the class's references.
        paper: Its authors and title.
        link: Its address.
        extends: The classes that it builds on, and the idea that it adds to each.

    Args:
        configs: Configs of optimizers by name, each with its `_target_`.
    """
    return pd.DataFrame([{"name": name} | properties(config) for name, config in configs.items()]).set_index("name")


def properties(config: Config) -> dict[str, Any]:
    """Return one row of the table, without its name."""
    cls = get_object(config["_target_"])
    return {
        "class": cls.__name__,
        "order": cls.order,
        "adapts_learning_rate": cls.order > 1 or adapts(config),
        "uses_momentum": glides(config),
        "needs_learning_rate": not solves(config, 100.0),
        "suits_sparse_gradients": rarity_gain(config) > 2 if cls.order == 1 else None,
        **costs(config),
        **reference(cls),
        "extends": cls.extends,
    }


class Probe:
    """Linear layers with tanh between, on a fixed batch of random classes, and an optimizer for them.

    Args:
        config: The optimizer's.
        sizes: Numbers of inputs, hidden units and outputs.
        dtype: Of the weights.
        unit: Of the weights: the inputs are divided by what the initial weights are multiplied by.
        biases: Whether the layers have any.
    """

    def __init__(
        self,
        config: Config,
        sizes: Sequence[int],
        dtype: torch.dtype = torch.float64,
        unit: float = 1.0,
        biases: bool = True,
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = [nn.Linear(a, b, biases, dtype=dtype) for a, b in zip(sizes, sizes[1:], strict=False)]
            x = torch.randn(24, sizes[0], dtype=dtype) / unit
            y = torch.randint(sizes[-1], (24,))
        self.model = nn.Sequential(layers[0], *(part for layer in layers[1:] for part in (nn.Tanh(), layer)))
        self.params = list(self.model.parameters())
        for p in self.params:
            p.data.mul_(unit)
        self.scale = 1.0
        self.objective = Objective(lambda: self.scale * cross_entropy(self.model(x), y), self.params)
        self.optimizer = make(config, self.params, self.model)

    def steps(self, count: int) -> Tensor:
        """Step, and return how far the weights moved."""
        start = flat(self.params)
        for _ in range(count):
            self.optimizer.step(self.objective)
        return flat(self.params) - start

    def counts(self, steps: int) -> tuple[float, float]:
        """Step, and return how many gradients and products a step evaluated.

        Where a line search decides, so does rounding within a few steps, differently on each machine.
        """
        self.steps(steps)
        return self.objective.grad_evals / steps, self.objective.hvp_evals / steps

    def loss(self) -> float:
        """Return the loss at the optimizer's own iterate."""
        self.optimizer.eval()
        loss = float(self.objective.loss().detach())
        self.optimizer.train()
        return loss


def flat(params: Iterable[Tensor]) -> Tensor:
    """Return parameters as one new vector."""
    return torch.cat([p.detach().flatten() for p in params])


def make(config: Config, params: list[nn.Parameter], model: nn.Module | None = None) -> Optimizer:
    """Return a config's optimizer, without decay, which moves weights by itself."""
    given = {"total_steps": 1000, "model": model}
    needs = get_object(config["_target_"]).needs
    optimizer: Optimizer = instantiate(configs.rule(config), _convert_="all")(
        params, **{key: given[key] for key in needs if key not in config}
    )
    for group in optimizer.param_groups:
        group |= {"weight_decay": 0.0} if "weight_decay" in group else {}
    return optimizer


def pull(config: Config, slopes: Sequence[Tensor]) -> Tensor:
    """Return how far weights of 0.5 move on a linear loss, the slopes of which are given for each step, (rows, ...)."""
    p = nn.Parameter(torch.full_like(slopes[0], 0.5))
    optimizer = make(config, [p])
    for slope in slopes:
        optimizer.step(Objective(partial(lambda x: (x * p).sum(), slope), [p]))
    return p.detach() - 0.5


def adapts(config: Config, steps: int = 12) -> bool:
    """Return whether, on a linear loss, the way is not along the slope, or not as much longer as the slope is."""
    slope = torch.linspace(-1, 2, 12, dtype=torch.float64).view(3, 4)
    short, long = (pull(config, [scale * slope] * steps) for scale in (1.0, 100.0))
    along = torch.cosine_similarity(-long.flatten(), slope.flatten(), 0)
    return not (along > 0.999 and torch.allclose(long, 100 * short))


def rarity_gain(config: Config, period: int = 20, times: int = 10) -> float:
    """Return how far a rare slope moves its weight each time it comes, over how far a constant one does."""
    slopes = [torch.tensor([[10.0, 10.0 * (t % period == 0)]], dtype=torch.float64) for t in range(period * times)]
    common, rare = pull(config, slopes)[0].tolist()
    return float(period * rare / common)


def glides(config: Config) -> bool:
    """Return whether the weights move although the gradient has become zero."""
    probe = Probe(config, (6, 5, 3))
    pushed = probe.steps(4)
    probe.scale = 0.0
    return float(probe.steps(1).norm()) > 1e-6 * float(pushed.norm())


def solves(config: Config, unit: float, gradients: int = 300) -> bool:
    """Return whether the defaults take nine tenths of what can be taken from the loss of a linear classifier.

    Args:
        config: The optimizer's.
        unit: Of the weights.
        gradients: How many it may evaluate, Hessian-vector products included.
    """
    probe = Probe(config, (4, 3), unit=unit, biases=False)
    first = probe.loss()
    while probe.objective.grad_evals + probe.objective.hvp_evals < gradients:
        probe.steps(1)
    return probe.loss() - lowest() < 0.1 * (first - lowest())


@functools.cache
def lowest() -> float:
    """Return the lowest loss of the linear classifier, in any units."""
    newton = {"_target_": "optbench.optimizers.Newton", "_partial_": True, "form": "lm", "damping": 1e-6}
    probe = Probe(newton, (4, 3), biases=False)
    probe.steps(30)
    return probe.loss()


def costs(config: Config, steps: int = 12) -> dict[str, float]:
    """Return what a step evaluates, and the most bytes of state per parameter that there were at any time."""
    probe = Probe(config, (64, 32, 10), torch.float32)
    most = 0
    searches = get_object(config["_target_"]).order == 1.5
    counted = Probe(config, (64, 32, 10)).counts(1 if searches else steps)
    for _ in range(steps):
        probe.steps(1)
        memory = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors(probe.optimizer.state)}
        most = max(most, sum(memory.values()))
    return {
        "gradients_per_step": counted[0],
        "products_per_step": counted[1],
        "state_bytes": most / sum(p.numel() for p in probe.params),
    }


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested containers."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from tensors(value)


def reference(cls: type[Optimizer]) -> dict[str, Any]:
    """Return year, paper and link of the first reference in a docstring: authors, title, year, link."""
    said = inspect.getdoc(cls) or ""
    entry = re.search(r"References:\s+(.+?),\s+(\d{4}),\s(?:.*?\s)??(https?://\S+)", said, re.DOTALL)
    if entry is None:
        return {"year": None, "paper": None, "link": None}
    return {"year": int(entry[2]), "paper": " ".join(entry[1].split()), "link": entry[3]}
