"""Small networks whose seeds and rates are trained at once: a row of weights for each."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optbench.claims.claim import SEEDS
from optbench.data import MNISTSubset
from optbench.optimizers import Objective
from optbench.surfaces.descent import evaluated, with_rates

Split = tuple[Tensor, Tensor]
Shape = tuple[int, int]
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
FITTED = 0.1
"""The training loss at which networks are compared."""


@functools.cache
def digits() -> dict[str, Split]:
    """Return images (n, 7, 7), cells of MNIST's averaged, and their classes: 200 to train on, 500, 1,000 for tests."""
    data = MNISTSubset(train_size=700, test_size=1000, val_fraction=5 / 7)
    data.setup()
    splits = {name: data.split(name) for name in ("train", "val", "test")}
    return {name: (x.double().view(-1, 7, 4, 7, 4).mean((2, 4)), y) for name, (x, y) in splits.items()}


@dataclass(frozen=True)
class Network:
    """A network whose weights are a row of numbers.

    Attributes:
        shapes: Those of its weights and, with one row, of its biases.
        forward: From the weights, (rows, *shape) each, and images (rows, n, 7, 7) to outputs (rows, n, 10).
    """

    shapes: tuple[Shape, ...]
    forward: Callable[..., Tensor]

    def starts(self, scale: float = 1.0) -> Tensor:
        """Return a row for each seed: weights uniform to a root of their inputs as torch's, times a scale; biases 0."""
        rows = []
        for seed in range(SEEDS):
            draw = torch.Generator().manual_seed(seed)
            parts = [2 * torch.rand(shape, generator=draw, dtype=torch.float64) - 1 for shape in self.shapes]
            bounds = [0.0 if inputs == 1 else scale / inputs**0.5 for inputs, _ in self.shapes]
            rows.append(torch.cat([bound * part.flatten() for bound, part in zip(bounds, parts, strict=True)]))
        return torch.stack(rows)

    def outputs(self, w: Tensor, x: Tensor) -> Tensor:
        """Return the outputs of rows of weights (k, n) for images of each (k, m, 7, 7), or for the same of all."""
        parts = torch.split(w, [math.prod(shape) for shape in self.shapes], dim=1)
        weights = [part.view(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return self.forward(*weights, x.expand(len(w), *x.shape[-3:]))

    def losses(self, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of each row of weights."""
        out = self.outputs(w, x)
        each = nn.functional.cross_entropy(out.flatten(0, 1), y.expand(len(w), y.shape[-1]).flatten(), reduction="none")
        return each.view(len(w), -1).mean(1)

    def accuracies(self, w: Tensor, split: str) -> Tensor:
        """Return the accuracy of each row of weights (rates, seeds, n), in per cent; 0 where they are not finite."""
        x, y = digits()[split]
        right = (self.outputs(w.flatten(0, 1), x).argmax(2) == y).double().mean(1).view(w.shape[:2])
        return 100 * right * w.isfinite().all(2)


def perceptron(into: Tensor, bias: Tensor, out: Tensor, last: Tensor, x: Tensor) -> Tensor:
    """Return what a layer of ReLUs makes of images."""
    return torch.relu(x.flatten(2) @ into + bias) @ out + last


def reader(into: Tensor, back: Tensor, bias: Tensor, out: Tensor, last: Tensor, x: Tensor) -> Tensor:
    """Return what a recurrent layer (Elman, 1990) makes of images that it reads line by line."""
    h = torch.zeros(*x.shape[:2], len(back[0]), dtype=x.dtype)
    for line in x.unbind(2):
        h = torch.tanh(line @ into + h @ back + bias)
    return h @ out + last


PERCEPTRON = Network(((49, 16), (1, 16), (16, 10), (1, 10)), perceptron)
READER = Network(((7, 16), (16, 16), (1, 16), (16, 10), (1, 10)), reader)


def walk(
    network: Network, rule: Any, start: Tensor, batch: int, steps: int, rates: Sequence[float] = RATES, every: int = 10
) -> Iterator[Tensor]:
    """Yield the weights (rates, seeds, n) after every so many steps on mini-batches, which depend on the seed only."""
    p = nn.Parameter(start.repeat(len(rates), 1))
    lr = torch.tensor(rates, dtype=start.dtype).repeat_interleave(len(start))
    optimizer = with_rates(rule, lr[:, None])([p])
    (x, y) = digits()["train"]
    draw = torch.Generator().manual_seed(0)
    whole = torch.arange(len(y)).expand(len(start), -1)
    for t in range(1, steps + 1):
        index = whole if batch == len(y) else torch.randint(len(y), (len(start), batch), generator=draw)
        index = index.repeat(len(rates), 1)
        optimizer.step(Objective(partial(total, network, p, x[index], y[index]), [p]))
        if t % every == 0:
            yield evaluated(optimizer, p).view(len(rates), len(start), -1)


def total(network: Network, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the sum of the losses of rows of weights, none of which knows of the others."""
    return network.losses(w, x, y).sum()


def fitted(network: Network, walked: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Return weights (rates, seeds, n) where the training loss first is `FITTED`, NaN if never, and at which yield."""
    found = when = torch.empty(0)
    for turn, w in enumerate(walked, 1):
        if not len(found):
            found = torch.full_like(w, torch.nan)
            when = torch.full(w.shape[:2], torch.nan)
        with torch.no_grad():
            low = network.losses(w.flatten(0, 1), *digits()["train"]).view(w.shape[:2]) < FITTED
        new = low & when.isnan()
        found = torch.where(new[..., None], w, found)
        when = torch.where(new, float(turn), when)
        if not when.isnan().any():
            break
    return found, when


def last(walked: Iterator[Tensor]) -> Tensor:
    """Return what comes last."""
    *_, end = walked
    return end


def best(network: Network, w: Tensor) -> tuple[int, Tensor]:
    """Return the place of the rate that is best on the validation split, over the seeds, and its test accuracies."""
    place = int(network.accuracies(w, "val").mean(1).argmax())
    return place, network.accuracies(w, "test")[place]
