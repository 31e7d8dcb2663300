"""Replicas that train as one, and the runs alone that they should be."""

from functools import partial

import torch
from torch import nn

from optbench.models import mlp
from optbench.optimizers import CLASSES, Objective
from optbench.sweep.stack import Stack
from optbench.training.whole import Compiled

HYPER = {"total_steps": 200, "model": None}
STACKABLE = [name for name, cls in CLASSES.items() if cls.stackable(cls.hyper)]


def factory(name, **hyper):
    """Return what makes an optimizer, with what a training would add."""
    cls = CLASSES[name]
    return partial(cls, **{k: v for k, v in HYPER.items() if k in cls.hyper}, **hyper)


class Task:
    """Replicas in groups that share their mini-batches: 6-5-3 networks, tanh, 12 examples in a mini-batch."""

    def __init__(self, factories, groups, dtype=torch.float64, steps=100, **model):
        draw = torch.Generator().manual_seed(7)
        self.x = torch.randn(steps, groups, 12, 6, generator=draw).to(dtype)
        self.y = torch.randint(3, (steps, groups, 12), generator=draw)
        self.factories, self.share, self.dtype = factories, len(factories) // groups, dtype
        self.model = {"hidden": (5,), "activation": "tanh"} | model

    def make(self):
        models = []
        for i, _ in enumerate(self.factories):
            torch.manual_seed(i)
            models.append(mlp(6, 3, **self.model).to(self.dtype))
        return models, [make(model.parameters()) for make, model in zip(self.factories, models, strict=True)]

    def alone(self, schedule=lambda t, lr: lr):
        """Return the losses (replicas, steps) and models of runs one by one."""
        losses, (models, optims) = [], self.make()
        for i, (model, optim) in enumerate(zip(models, optims, strict=True)):
            batch, initial = {}, optim.param_groups[0]["lr"]
            objective = Objective(
                lambda model=model, batch=batch: nn.functional.cross_entropy(model(batch["x"]), batch["y"]),
                model.parameters(),
            )
            losses.append([])
            for t, (x, y) in enumerate(zip(self.x[:, i // self.share], self.y[:, i // self.share], strict=True)):
                batch |= {"x": x, "y": y}
                optim.param_groups[0]["lr"] = schedule(t, initial)
                losses[-1].append(optim.step(objective).item())
        return torch.tensor(losses, dtype=torch.float64), models, optims

    def stack(self, way, models, optims):
        """Return a stack that steps plainly, or is compiled."""
        loss = nn.functional.cross_entropy
        if way == "plain":
            return Stack(models, optims, loss)
        return Compiled(models, optims, loss, self.x.shape[1], (self.x[0, 0], self.y[0, 0]))

    def stacked(self, schedule=lambda t, lr: lr):
        """Return the same of one stack, and the stack."""
        models, optims = self.make()
        stack = self.stack("plain", models, optims)
        lrs = [[schedule(t, optim.param_groups[0]["lr"]) for t in range(len(self.x))] for optim in optims]
        losses = [stack.step(x, y, rates) for x, y, rates in zip(self.x, self.y, stack.rates(lrs), strict=True)]
        return torch.stack(losses, 1).double(), models, stack


def weights(models):
    return torch.stack([torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models])
