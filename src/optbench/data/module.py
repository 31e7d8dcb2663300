"""What all data sets share: choice of samples, disjoint splits, and tensors on the device."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from optbench.checks import Count, Index, Interval, UserError, check_call
from optbench.data.chunks import Chunks

Array = NDArray[Any]
Split = tuple[Tensor, Tensor]


@dataclass(kw_only=True, eq=False)
class DataModule(LightningDataModule, ABC):
    """A data set in memory, cut into training, validation and test samples.

    Args:
        train_size: Samples to take of the training set, those for validation included; null takes all.
        test_size: Samples to take of the test set; null takes all.
        subset: Which samples to take: the first, equally many of each class, or any; the last two are drawn.
        val_fraction: Share of the training samples that is held out for validation.
        data_seed: Of all draws that choose samples, so that a run's own seed leaves the splits alone.
        batch_size: Samples in a mini-batch, or `full` for all of them in one.
        seed: Of the mini-batches' order, the run's.
        chunk_size: Mini-batches that are gathered at once.

    Raises:
        UserError: A value is of a wrong type or out of range.
    """

    train_size: Count | None = None
    test_size: Count | None = None
    subset: Literal["first", "balanced", "random"] = "first"
    val_fraction: Annotated[float, Interval("[0, 1)")] = 0.0
    data_seed: Index = 0
    batch_size: Count | Literal["full"] = 64
    seed: Index = 0
    chunk_size: Count = 50

    task: ClassVar[Literal["classification", "regression"]]

    def __post_init__(self) -> None:
        super().__init__()
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in check_call(type(self), given).items():
            setattr(self, name, value)
        self.splits: dict[str, Split] = {}
        self.limit: int | None = None
        """Mini-batches of an epoch that are trained on; all where None. Set by a run, with `repeated`."""
        self.repeated = False
        """Whether they are the same in every epoch."""

    def __str__(self) -> str:
        return repr(self)  # Lightning's own looks for a DataLoader

    @property
    @abstractmethod
    def features(self) -> int:
        """Number of inputs."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of outputs, or classes."""

    @abstractmethod
    def load(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Return training and test set, (x, y) each, all of their samples: arrays, tensors or lists.

        x has the shape (samples, features). y has the shape (samples,) and holds whole numbers from 0 for classes, or
        has the shape (samples, outputs).
        """

    def scale(self, x: Tensor) -> Tensor:
        """Return chosen inputs as the model is to see them; they may be changed in place."""
        return x

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss that goes with the task, a mean over a mini-batch."""
        return F.cross_entropy if self.task == "classification" else F.mse_loss

    def setup(self, stage: str = "fit") -> None:
        """Load and cut the data, once, and move it to the trainer's device.

        Raises:
            UserError: The data cannot be had, or more was asked of it than there is.
        """
        self.splits = self.splits or self._cut()
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        self.splits = {name: (x.to(device), y.to(device)) for name, (x, y) in self.splits.items()}

    def split(self, name: str) -> Split:
        """Return all samples of `train`, `val` or `test`."""
        if name not in self.splits:
            raise UserError(f"{type(self).__name__}: no split '{name}'; there are {', '.join(self.splits)}")
        return self.splits[name]

    def train_dataloader(self) -> Chunks:
        """Return the loader of the training mini-batches."""
        x, y = self.split("train")
        size = len(x) if self.batch_size == "full" else self.batch_size
        return Chunks(x, y, size, self.seed, self.chunk_size, self.limit, self.repeated)

    @property
    def batches_per_epoch(self) -> int:
        """Mini-batches in an epoch."""
        return self.train_dataloader().batches_per_epoch

    def _cut(self) -> dict[str, Split]:
        (x, y), (x_test, y_test) = (self._pair_of(x, y) for x, y in self.load())
        rng = np.random.default_rng(self.data_seed)
        rows = np.sort(self._choose("train_size", self.train_size, y, rng))
        test = np.sort(self._choose("test_size", self.test_size, y_test, rng))
        held_out = round(self.val_fraction * len(rows))
        if self.val_fraction and held_out in (0, len(rows)):
            raise self._error(f"val_fraction={self.val_fraction} of {len(rows)} samples leaves a split empty")
        how = "balanced" if self.subset == "balanced" else "random"
        drawn = np.sort(self._ranked(y[rows], how, rng)[:held_out])
        train = np.delete(rows, drawn)
        val = rows[drawn]
        if isinstance(self.batch_size, int) and self.batch_size > len(train):
            raise self._error(f"batch_size={self.batch_size} is more than the {len(train)} training samples; give full")
        cuts = {"train": self._tensors(x, y, train)}
        if held_out:
            cuts["val"] = self._tensors(x, y, val)
        return {**cuts, "test": self._tensors(x_test, y_test, test)}

    def _pair_of(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Return samples as arrays: tensors and lists will do too.

        Raises:
            UserError: They are none, are not of equal number, not finite, or not of the shapes that are promised.
        """
        x = _array(x)
        y = _array(y)
        self._check_inputs(x, y)
        if self.task == "regression":
            self._check_numbers(x, y)
        else:
            self._check_classes(x, y)
        for name, part in (("x", x), ("y", y)):
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                raise self._error(f"load() gives {name} with values that are not finite; fill them, or leave them out")
        return x, y

    def _check_inputs(self, x: Array, y: Array) -> None:
        if x.ndim < 2 or not len(x) or len(x) != len(y):
            shapes = f"x of shape {x.shape} and y of shape {y.shape}"
            raise self._error(f"load() gives {shapes}; return as many rows of both, x with {self.features} columns")
        if x.ndim == 2 and x.shape[1] != self.features:
            raise self._error(f"load() gives x of shape {x.shape}, but features={self.features}; let them agree")

    def _check_numbers(self, x: Array, y: Array) -> None:
        needed = (len(x), self.outputs)
        if y.shape != needed:
            raise self._error(
                f"load() gives y of shape {y.shape}; return shape {needed}, as y.reshape(-1, {needed[1]})"
            )

    def _check_classes(self, x: Array, y: Array) -> None:
        if not (y.ndim == 1 and np.issubdtype(y.dtype, np.integer)):
            raise self._error(f"load() gives y of shape {y.shape}, {y.dtype}; return shape ({len(x)},), whole numbers")
        if not 0 <= y.min() <= y.max() < self.outputs:
            span = f"{y.min()} to {y.max()}"
            raise self._error(f"load() gives classes from {span}, outside 0 to {self.outputs - 1}; count them from 0")

    def _tensors(self, x: Array, y: Array, rows: Array) -> Split:
        inputs = self.scale(torch.from_numpy(x[rows]).float())
        targets = torch.from_numpy(y[rows])
        return inputs, targets.long() if self.task == "classification" else targets.float()

    def _choose(self, name: str, size: int | None, y: Array, rng: Generator) -> Array:
        """Return the indices of the samples to take."""
        limit = len(y)
        if self.subset == "balanced":
            if self.task == "regression":
                raise self._error("subset=balanced needs classes; give first or random")
            limit = self.outputs * int(np.bincount(y, minlength=self.outputs).min())
        if (size or 1) > limit:
            kind = "balanced samples" if self.subset == "balanced" else "samples"
            raise self._error(f"{name}={size} is more than the {limit} {kind} that there are; give fewer, or null")
        return self._ranked(y, self.subset, rng)[: size or limit]

    def _ranked(self, y: Array, how: str, rng: Generator) -> Array:
        """Return all indices, in the order in which they are taken."""
        if how == "first":
            return np.arange(len(y))
        order = rng.permutation(len(y))
        if how == "random":
            return order
        turn = np.empty_like(order)
        for label in range(self.outputs):
            mine = y[order] == label
            turn[mine] = np.arange(mine.sum())
        return order[np.lexsort((y[order], turn))]

    def _error(self, message: str) -> UserError:
        return UserError(f"{type(self).__name__}: {message}")


def _array(part: Any) -> Array:
    """Return a tensor, a list or an array as an array."""
    return np.asarray(part.detach().cpu() if isinstance(part, Tensor) else part)
