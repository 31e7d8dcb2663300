"""A small network to step on, and every optimizer made as its config makes it."""

from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from optbench import configs, optimizers
from optbench.optimizers import Objective

CONFIGS = {
    config._target_.rpartition(".")[2]: config
    for config in map(OmegaConf.load, (Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml"))
}
ELEMENTWISE = [name for name, cls in optimizers.CLASSES.items() if cls.elementwise()]


class Task:
    """A 4-5-3 network with tanh units on 16 examples, all of them at every step."""

    def __init__(self, dtype=torch.float64, seed=0):
        torch.manual_seed(seed)
        self.x, self.y = torch.randn(16, 4).to(dtype), torch.randint(3, (16,))
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).to(dtype)
        self.params = list(self.model.parameters())
        self.objective = Objective(self.loss, self.params)

    def loss(self):
        return torch.nn.functional.cross_entropy(self.model(self.x), self.y)

    def make(self, name, params=None, **hyper):
        """Return the optimizer of this name, from its config, with what a training would add, and of few iterations."""
        cls = optimizers.CLASSES[name]
        known = {"total_steps": 50, "model": self.model}
        given = {key: known[key] for key in cls.needs} | ({"max_iter": 5} if "max_iter" in cls.hyper else {})
        return instantiate(configs.rule(CONFIGS[name]), _convert_="all")(params or self.params, **{**given, **hyper})

    def weights(self):
        return [p.detach().clone() for p in self.params]


def run(task, optimizer, steps):
    """Step, and return the weights at rest."""
    for _ in range(steps):
        optimizer.step(task.objective)
    return task.weights()


def quadratic(factory, steps):
    """Return the first and the last loss of a descent on an ill-conditioned bowl."""
    p = torch.nn.Parameter(torch.tensor([[0.5, -0.4], [0.3, -0.2]], dtype=torch.float64))
    scale = torch.tensor([[1.0, 3.0], [0.3, 1.0]], dtype=torch.float64)
    objective = Objective(lambda: (scale * p * p).sum() / 2, [p])
    optimizer = factory([p])
    first = float(objective.loss().detach())
    for _ in range(steps):
        optimizer.step(objective)
    optimizer.eval()
    return first, float(objective.loss().detach())


def with_rate(name, lr):
    """Return what makes the optimizer at a learning rate, its own or that of the one it wraps."""
    factory = instantiate(configs.rule(CONFIGS[name]), _convert_="all")
    hyper = {"total_steps": 300} if "total_steps" in optimizers.CLASSES[name].needs else {}
    if "base" in factory.keywords:
        return partial(factory, base=partial(factory.keywords["base"], lr=lr), **hyper)
    return partial(factory, lr=lr, **hyper)
