"""Training as `optbench train` does it, against the loops that it replaces."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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

from optbench.certificates.twins import TWINS
from optbench.data import MNIST, DataModule, MNISTSubset
from optbench.data.idx import write_idx
from optbench.models import mlp
from optbench.optimizers import CLASSES, SGD, Optimizer
from optbench.records import Record
from optbench.schedules import constant
from optbench.speed import beside
from optbench.speed.beside import JAX
from optbench.speed.race import race
from optbench.speed.table import Row, row
from optbench.training.module import Training
from optbench.training.path import Way

Contenders = dict[str, Callable[[], float | None]]
FUSED = {"fused": True}
PLAIN = partial(torch.optim.SGD, lr=0.01)


@dataclass(frozen=True)
class Pair:
    """A rule of ours beside torch's implementation of it.

    Attributes:
        name: Our class.
        path: How ours steps.
        how: What chooses torch's implementation.
        aims: The ratios to the bare loop and to a Lightning batch a step.
    """

    name: str
    path: Way = "off"
    how: Mapping[str, bool] = field(default_factory=dict)
    aims: tuple[float, float] = (1.15, 1.0)

    def __str__(self) -> str:
        return (
            f"training step, {self.name}" + {"off": "", "update": ", update compiled", "step": ", compiled"}[self.path]
        )


PAIRS = (
    Pair("SGD"),
    Pair("Momentum"),
    Pair("Adam"),
    Pair("Adam", "update", FUSED, (1.0, 1.0)),
    Pair("Adam", "step", FUSED, (0.7, 1.0)),
)


def steps(rounds: int = 7, short: bool = False) -> Iterator[Row]:
    """Yield a training step of `optbench train` against a bare PyTorch loop, and against a Lightning batch a step.

    All train 784-128-10 on the 10,000 embedded digits with mini-batches of 64 on one thread. The bare loop gathers,
    steps and does nothing else; the other is Lightning as its users know it, without a call of `log`. A compiled step
    stands beside JAX's scan over an epoch too, on one core, where JAX is installed.
    """
    data = MNISTSubset(train_size=640 if short else None)
    epochs = 1 if short else 3
    data.setup()
    count = epochs * data.batches_per_epoch
    for pair in PAIRS:
        times = race(contenders(pair, data, epochs), rounds)
        seconds = times["ours"].median / count
        for against, aim in zip(("bare loop", "a Lightning batch a step"), pair.aims, strict=True):
            yield row(str(pair), seconds, against, times[against].median / count, aim)
        if JAX in times:
            yield row(str(pair), seconds, f"{JAX}, a scan", times[JAX].median, 1.3)


def contenders(pair: Pair, data: DataModule, epochs: int) -> Contenders:
    """Return what trains, by name; JAX's own seconds are those of a step.

    Args:
        pair: The rule.
        data: The data.
        epochs: How many.
    """
    cls = CLASSES[pair.name]
    twin = TWINS[pair.name]
    ours = partial(cls, compile=True) if pair.path == "update" else cls
    plain = partial(twin, hyper=cls.hyper, **pair.how)
    made: Contenders = {
        "ours": partial(suite, data, ours, epochs, pair.path),
        "bare loop": partial(bare, data, plain, epochs),
        "a Lightning batch a step": partial(automatic, data, plain, epochs),
    }
    if pair.path == "step" and beside.installed():
        made[JAX] = partial(scan, epochs)
    return made


def scan(epochs: int) -> float:
    """Return the seconds of a step of JAX on one core."""
    told, _ = beside.run(128, 1, 1, epochs, cores=1)
    return told["train"] / told["steps"]


def epoch(rounds: int = 3, short: bool = False) -> Iterator[Row]:
    """Yield an epoch over 60,000 images against a loop with DataLoader, transforms and a call of `item` a step.

    The images are the embedded 10,000 digits six times over, as the IDX files that both sides read.
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


def suite(data: DataModule, optimizer: Callable[[Any], Optimizer], epochs: int, path: Way = "off") -> float:
    """Train as `optbench train` does and return the seconds of its training clock."""
    with tempfile.TemporaryDirectory() as directory:
        record = Record(Path(directory), {"seed": 0}, [])
        module = Training(mlp(data.features, data.outputs), data, optimizer, constant, "step", record)
        module.path = "step" if path == "step" else "off"
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
        self.model = mlp(data.features, data.outputs)
        self.optimizer = optimizer
        self.seconds = 0.0

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


def textbook(root: str, optimizer: Callable[[Any], torch.optim.Optimizer] = PLAIN) -> None:
    """Train an epoch the way that tutorials do: single images through transforms and a DataLoader."""
    scale = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    images = datasets.MNIST(root, train=True, transform=scale)
    model = nn.Sequential(nn.Flatten(), mlp(784, 10))
    optim = optimizer(model.parameters())
    total = 0.0
    right = 0
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
