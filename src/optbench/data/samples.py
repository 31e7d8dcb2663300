"""Data of your own, from a file, a torch Dataset or a few lines of Python; and two sets that other packages bring."""

import csv
import functools
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from optbench.checks import Fraction, UserError, one_line
from optbench.data.module import Array, DataModule


@dataclass(kw_only=True, eq=False)
class Samples(DataModule):
    """The base of your own data: override `samples`, and all the rest follows from what it returns.

    y of whole numbers makes a classification, with classes from 0; any other y a regression.

        class Mine(Samples):
            def samples(self):
                x = torch.randn(100, 3)
                return x, x.sum(1)

    Args:
        test_fraction: Share of the samples that is drawn for tests where none are given apart.
        kind: `classification` or `regression`; null takes what y looks like.
    """

    test_fraction: Fraction = 0.2
    kind: Literal["classification", "regression"] | None = None

    @abstractmethod
    def samples(self) -> tuple[Any, ...]:
        """Return x (samples, features) and y (samples,) or (samples, outputs), as arrays, tensors or lists.

        Four values instead of two are x and y for training, and x and y for tests.
        """

    @functools.cached_property
    def arrays(self) -> tuple[Array, ...]:
        """The samples as arrays: two or four.

        Raises:
            UserError: There are neither two nor four, or they are no numbers, or not as many of x and y.
        """
        given = self.samples()
        if not isinstance(given, tuple | list) or len(given) not in (2, 4):
            what = f"{len(given)} values" if isinstance(given, tuple | list) else type(given).__name__
            raise self._error(f"samples() returns {what}; return x, y, or x, y, x_test, y_test")
        arrays = tuple(self._numbers(a, "y" if i % 2 else "x") for i, a in enumerate(given))
        for x, y in zip(arrays[::2], arrays[1::2], strict=True):
            if not x.size or len(x) != len(y):
                raise self._error(
                    f"samples() returns x of shape {x.shape} and y of shape {y.shape}; return as many rows of both, "
                    "and a column of x or more"
                )
        return tuple(a.astype(np.int64) if i % 2 and a.dtype == bool else a for i, a in enumerate(arrays))

    def _numbers(self, given: Any, name: str) -> Array:
        """Return an array, a tensor or lists as an array of real numbers with rows."""
        try:
            array = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
        except ValueError as error:
            raise self._error(
                f"samples() returns {name} whose rows differ ({error}); give rows of one length"
            ) from None
        if array.dtype.kind not in "biuf" or not array.ndim:
            raise self._error(f"samples() returns {name} of {array.dtype}; return real numbers, classes as 0, 1, ...")
        return array

    @functools.cached_property
    def sizes(self) -> tuple[Literal["classification", "regression"], int, int]:
        """Task, features and outputs; small, where the arrays may be large."""
        x, y = self.arrays[:2]
        whole = np.issubdtype(y.dtype, np.integer) and y.size == len(y)
        task = self.kind or ("classification" if whole else "regression")
        features = int(np.prod(x.shape[1:]))
        if task == "classification":
            return task, features, self._classes(np.concatenate([part.ravel() for part in self.arrays[1::2]]))
        return task, features, 1 if y.ndim == 1 else y.shape[1]

    def _classes(self, y: Array) -> int:
        """Return how many classes there are.

        Raises:
            UserError: Nobody called them classes, and they look like amounts, or are not counted from 0.
        """
        known = np.unique(y)
        classes = int(y.max()) + 1
        if self.kind:
            return max(classes, 1)
        remedy = "count classes from 0; of amounts, give data.kind=regression"
        if len(known) == 1:
            raise self._error(f"y is {known[0]} everywhere, so that nothing can be learned; {remedy}")
        if known[0] < 0 or len(known) < classes:
            raise self._error(f"y holds {len(known)} whole numbers from {known[0]} to {known[-1]}; {remedy}")
        if 2 * classes > len(y):
            raise self._error(f"y holds {classes} whole numbers in {len(y)} samples; {remedy}")
        return classes

    @property
    def task(self) -> Literal["classification", "regression"]:  # type: ignore[override]
        """What the samples are for."""
        return self.sizes[0]

    @property
    def features(self) -> int:
        """Number of inputs."""
        return self.sizes[1]

    @property
    def outputs(self) -> int:
        """Number of classes, or of targets."""
        return self.sizes[2]

    def load(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Return the samples, cut in two where none are given for tests.

        Raises:
            UserError: None would be left for training or for tests, or a share is asked for of tests that are given.
        """
        arrays = self.arrays
        task = self.task
        del self.arrays  # the splits hold what is needed of them
        shape = (-1,) if task == "classification" else (-1, self.outputs)
        parts = [a if i % 2 == 0 else a.reshape(shape) for i, a in enumerate(arrays)]
        if self.task == "classification":
            parts[1::2] = [y.astype(np.int64) for y in parts[1::2] if self._whole(y)]
        if len(parts) == 4:
            if self.test_fraction != type(self).test_fraction:
                raise self._error(
                    f"test_fraction={self.test_fraction} has no use, as tests are given apart; leave it out"
                )
            return (parts[0], parts[1]), (parts[2], parts[3])
        x, y = parts
        order = np.random.default_rng(self.data_seed).permutation(len(x))
        tests = round(self.test_fraction * len(x))
        if tests in (0, len(x)):
            raise self._error(f"test_fraction={self.test_fraction} of {len(x)} samples leaves a split empty")
        test = np.sort(order[:tests])
        train = np.sort(order[tests:])
        return (x[train], y[train]), (x[test], y[test])

    def _whole(self, y: Array) -> bool:
        if not (np.isfinite(y).all() and (y == np.floor(y)).all()):
            raise self._error("y holds numbers that are not whole; give data.kind=regression")
        return True


@dataclass(kw_only=True, eq=False)
class Table(Samples):
    """Samples from a file: a CSV with a line of names, or an .npz with x and y, and x_test and y_test if there are any.

    Args:
        path: The file.
        target: The CSV's column that is y; null for the last one. All others are inputs.
    """

    path: str | Path
    target: str | None = None

    def samples(self) -> tuple[Any, ...]:
        """Read the file.

        Raises:
            UserError: It cannot be read, or lacks what it should hold.
        """
        path = Path(self.path).expanduser()
        if path.suffix == ".npz" and self.target is not None:
            raise self._error(f"target={self.target} is a column of a CSV, and {path} has y; leave it out")
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as file:
                    wanted = ["x", "y", "x_test", "y_test"] if "x_test" in file else ["x", "y"]
                    return tuple(file[name] for name in wanted)
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file)
                lines = dict((reader.line_num, line) for line in reader if line)
        except KeyError as error:
            raise self._error(f"{path} has no {error.args[0].split()[0]}; give arrays x and y") from None
        except (OSError, ValueError) as error:
            raise self._error(
                f"{path} cannot be read ({one_line(error)}); give an .npz, or a CSV of numbers below a line of names"
            ) from None
        names, table = self._table(path, lines)
        column = self._column(path, names)
        y = table[:, column]
        whole = self.kind is None and bool((y == np.floor(y)).all()) and y.min() >= 0
        return np.delete(table, column, 1), y.astype(np.int64) if whole else y

    def _column(self, path: Path, names: list[str]) -> int:
        """Return which column holds the targets: the one that was named, or the last."""
        if self.target is None:
            return len(names) - 1
        if names.count(self.target) != 1:
            count = "no column" if self.target not in names else "several columns"
            raise self._error(f"{path} has {count} '{self.target}'; there are {', '.join(names)}")
        return names.index(self.target)

    def _table(self, path: Path, lines: dict[int, list[str]]) -> tuple[list[str], Array]:
        """Return the names of a CSV's columns, and its numbers.

        Raises:
            UserError: It has no line of names, or something else than a number below each.
        """
        if len(lines) < 2:
            raise self._error(f"{path} has {len(lines)} lines; give a line of names, and lines of numbers below it")
        names, *_ = lines.values()
        if all(map(_is_number, names)):
            raise self._error(f"{path} begins with numbers; put a line of names above them")
        rows = list(lines.items())[1:]
        for number, row in rows:
            if len(row) != len(names):
                raise self._error(
                    f"{path}, line {number} has {len(row)} values for {len(names)} names; give one for each"
                )
            for name, value in zip(names, row, strict=True):
                if not _is_number(value):
                    raise self._error(f"{path}, line {number}: {name} is {value!r}; give numbers, separated by commas")
        return names, np.array([row for _, row in rows], dtype=float)


@dataclass(kw_only=True, eq=False)
class FromDataset(Samples):
    """The samples of a torch Dataset, whose items are (x, y), read into memory once.

    Args:
        dataset: The Dataset; in a config, a mapping with its `_target_`.
        test: Another one for tests; null cuts the first in two.
    """

    dataset: Any
    test: Any = None

    def samples(self) -> tuple[Any, ...]:
        """Read all items.

        Raises:
            UserError: They are no pairs of numbers of equal shapes.
        """
        both = [self.dataset] if self.test is None else [self.dataset, self.test]
        return tuple(part for data in both for part in self._read(data))

    def _read(self, data: Any) -> tuple[Array, Array]:
        try:
            xs, ys = zip(*(data[i] for i in range(len(data))), strict=True)
            x = np.stack([np.asarray(x) for x in xs])
            y = np.stack([np.asarray(y) for y in ys])
            return x.reshape(len(x), -1).astype(np.float32), y
        except (TypeError, ValueError, IndexError) as error:
            why = one_line(error)
            raise self._error(f"{type(data).__name__} is no Dataset of (x, y) in numbers ({why})") from None


@dataclass(kw_only=True, eq=False)
class Digits(Samples):
    """scikit-learn's 1,797 real images of handwritten digits, 8 x 8 pixels, scaled to [0, 1].

    References:
        Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, 1998, https://archive.ics.uci.edu/dataset/80
    """

    def samples(self) -> tuple[Any, ...]:
        """Return the images and their digits.

        Raises:
            UserError: scikit-learn is missing.
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise _missing("Digits", "scikit-learn") from None
        x, y = load_digits(return_X_y=True)
        return x / 16, y


@dataclass(kw_only=True, eq=False)
class MNIST1D(Samples):
    """MNIST-1D, drawn anew from its ten templates, with no download: 40 numbers a sample, from the data seed.

    References:
        Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, 2024, https://arxiv.org/abs/2011.14439
    """

    def samples(self) -> tuple[Any, ...]:
        """Return 4,000 samples for training and 1,000 for tests, the package's own for `data_seed=42`.

        Raises:
            UserError: The package is missing.
        """
        try:
            from mnist1d.data import get_dataset_args, make_dataset
        except ImportError:
            raise _missing("MNIST1D", "mnist1d") from None
        import random

        import torch

        arguments = get_dataset_args()
        arguments.seed = self.data_seed
        states = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            made = make_dataset(arguments)
        random.setstate(states[0])
        np.random.set_state(states[1])
        return made["x"], made["y"], made["x_test"], made["y_test"]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _missing(name: str, package: str) -> UserError:
    return UserError(f"{name}: the package {package} is missing; pip install 'optbench[data]'")
