"""Training as `optbench train` does it, against the loops that it replaces."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets, transforms

from optbench.data import MNIST, DataModule, MNISTSubset
from optbench.data.idx import write_idx
from optbench.models import mlp
from optbench.optimizers import SGD, Adam, Momentum, Optimizer
from optbench.records import Record
from optbench.schedules import constant
from optbench.speed.race import race
from optbench.training.module import Training

Row = dict[str, Any]
Contenders = dict[str, Callable[[], float | None]]
PAIRS: dict[str, tuple[Callable[[Any], Optimizer], Callable[[Any], torch.optim.Optimizer]]] = {
    "SGD": (SGD, partial(torch.optim.SGD, lr=0.01)),
    "Momentum": (Momentum, partial(torch.optim.SGD, lr=0.01, momentum=0.9)),
    "Adam": (Adam, torch.optim.Adam),
    "Adam compiled": (partial(Adam, compile=True), partial(torch.optim.Adam, fused=True)),
}
"""Ours beside torch's default implementation of the same rule, and compiled beside its fused one."""


def steps(rounds: int = 7, short: bool = False) -> Iterator[Row]:
    """Yield a training step of `optbench train` against a bare PyTorch loop, and against a Lightning batch a step.

    All train 784-128-10 on the 10,000 embedded digits with mini-batches of 64 on one thread. The bare loop gathers,
    steps and does nothing else; the other is Lightning as its users know it, without a call of `log`.

    Args:
        rounds: Repeats.
        short: Whether a repeat has one epoch of 10 steps instead of three of 157.
    """
    data = MNISTSubset(train_size=640 if short else None)
    epochs = 1 if short else 3
    data.setup()
    count = epochs * data.batches_per_epoch
    for name, (ours, plain) in PAIRS.items():
        contenders: Contenders = {
            "ours": partial(suite, data, ours, epochs),
            "bare loop": partial(bare, data, plain, epochs),
            "a Lightning batch a step": partial(automatic, data, plain, epochs),
        }
        times = race(contenders, rounds)
        for against, aim in (("bare loop", 1.0 if "compiled" in name else 1.15), ("a Lightning batch a step", 1.0)):
            seconds = times["ours"].median / count
            yield row(f"training step, {name}", seconds, against, times[against].median / count, aim)


def epoch(rounds: int = 3, short: bool = False) -> Iterator[Row]:
    """Yield an epoch over 60,000 images against a loop with DataLoader, transforms and a call of `item` a step.

    The images are the embedded 10,000 digits six times over, as the IDX files that both sides read.

    Args:
        rounds: Repeats.
        short: Whether a thousand images will do.
    """
    size = 1000 if short else 60_000
    with tempfile.TemporaryDirectory() as root:
        write_digits(Path(root) / "MNIST" / "raw", size)
        data = MNIST(root=root)
        data.setup()
        contenders: Contenders = {"ours": partial(suite, data, SGD, 1), "textbook": partial(textbook, root)}
        times = race(contenders, rounds)
    what = f"epoch of {size:,} images, SGD"
    yield row(what, times["ours"].median, "DataLoader loop", times["textbook"].median, 0.1)


def row(what: str, ours: float, against: str, theirs: float, target: float) -> Row:
    """Return one line of the table: seconds of both sides and their ratio, with the ratio that is aimed at."""
    return {
        "what": what,
        "seconds": ours,
        "against": against,
        "seconds_against": theirs,
        "ratio": ours / theirs,
        "target": target,
    }


def suite(data: DataModule, optimizer: Callable[[Any], Optimizer], epochs: int) -> float:
    """Train as `optbench train` does and return the seconds of its training clock."""
    with tempfile.TemporaryDirectory() as directory:
        record = Record(Path(directory), {"seed": 0}, [])
        module = Training(mlp(data.features, data.outputs), data, optimizer, constant, "step", record)
        trainer(epochs).fit(module, data)
        return module.seconds


def trainer(epochs: int) -> lightning.Trainer:
    """Return Lightning's Trainer with nothing on but the loop."""
    quiet: Any = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return lightning.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, **quiet)


def bare(data: DataModule, optimizer: Callable[[Any], torch.optim.Optimizer], epochs: int) -> None:
    """Train with nothing but PyTorch over tensors in memory."""
    x, y = data.split("train")
    model = mlp(data.features, data.outputs)
    optim = optimizer(model.parameters())
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):  # type: ignore[no-untyped-call]
            step(model, optim, x[rows], y[rows])


class Plain(lightning.LightningModule):
    """A network as Lightning's introduction writes it."""

    def __init__(self, data: DataModule, optimizer: Callable[[Any], torch.optim.Optimizer]) -> None:
        super().__init__()
        self.model, self.optimizer, self.seconds = mlp(data.features, data.outputs), optimizer, 0.0

    def on_train_start(self) -> None:
        """Start the clock: to set the loop up is not part of it."""
        self.seconds -= time.perf_counter()

    def on_train_end(self) -> None:
        """Stop the clock."""
        self.seconds += time.perf_counter()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of a mini-batch."""
        x, y = batch
        return cross_entropy(self.model(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return self.optimizer(self.parameters())


def automatic(data: DataModule, optimizer: Callable[[Any], torch.optim.Optimizer], epochs: int) -> float:
    """Train with Lightning's own loop over a DataLoader of the tensors, and return its seconds."""
    module = Plain(data, optimizer)
    trainer(epochs).fit(module, DataLoader(TensorDataset(*data.split("train")), batch_size=64, shuffle=True))
    return module.seconds


def textbook(root: str, optimizer: Callable[[Any], torch.optim.Optimizer] = PAIRS["SGD"][1]) -> None:
    """Train an epoch the way that tutorials do: single images through transforms and a DataLoader."""
    scale = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    images = datasets.MNIST(root, train=True, transform=scale)
    model = nn.Sequential(nn.Flatten(), mlp(784, 10))
    optim = optimizer(model.parameters())
    total, right = 0.0, 0
    for x, y in DataLoader(images, batch_size=64, shuffle=True):
        output, loss = step(model, optim, x, y)
        total += loss.item()
        right += int((output.argmax(1) == y).sum())


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Take one plain step and return the output and the loss."""
    output = model(x)
    loss = cross_entropy(output, y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return output, loss


def write_digits(folder: Path, images: int) -> None:
    """Write the embedded digits, over and over up to so many training images, as the four IDX files of MNIST."""
    folder.mkdir(parents=True)
    (x, y), (x_test, y_test) = MNISTSubset().load()
    which = np.arange(images) % len(x)
    write_idx(folder / "train-images-idx3-ubyte", x[which].reshape(-1, 28, 28))
    write_idx(folder / "train-labels-idx1-ubyte", y[which].astype(np.uint8))
    write_idx(folder / "t10k-images-idx3-ubyte", x_test.reshape(-1, 28, 28))
    write_idx(folder / "t10k-labels-idx1-ubyte", y_test.astype(np.uint8))
