"""Images and labels in IDX files: MNIST, its embedded subset, Fashion-MNIST, and others of the format."""

import functools
import hashlib
import math
import os
import shutil
import tempfile
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from optbench.checks import Count, Index, UserError
from optbench.data.idx import read_idx
from optbench.data.known import owner
from optbench.data.module import Array, DataModule

FILES = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
SUBSET = Path(__file__).parent / "mnist_subset"


class Images(DataModule):
    """Images and labels in four IDX files; pixels are scaled to [-1, 1] and flattened."""

    task = "classification"
    features = 28 * 28
    outputs = 10
    first: ClassVar[int] = 0
    """The label of the first class."""

    @abstractmethod
    def paths(self) -> list[Path]:
        """Return the files, in the order of `FILES`."""

    def load(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Read the files.

        Raises:
            UserError: A file is missing, corrupt, another data set's, or does not hold what its name says.
        """
        paths = self.paths()
        arrays = [read_idx(path) for path in paths]
        self._refuse_others(paths, arrays)
        train = self._pair(paths[0], paths[1], arrays[0], arrays[1])
        return train, self._pair(paths[2], paths[3], arrays[2], arrays[3])

    def _pair(self, images: Path, labels: Path, x: Array, y: Array) -> tuple[Array, Array]:
        """Return images, flattened, and their classes from 0, out of what two files hold."""
        if x.dtype != np.uint8 or x.ndim < 2 or math.prod(x.shape[1:]) != self.features:
            pixels = f"{x.dtype.name} of shape {x.shape}"
            raise self._error(f"{images} holds {pixels}, no images of {self.features} bytes; give the images' file")
        if not np.issubdtype(y.dtype, np.integer) or y.ndim not in (1, 2):
            raise self._error(f"{labels} holds {y.dtype.name} of shape {y.shape}, no labels; give the labels' file")
        if not len(x) or len(x) != len(y):
            raise self._error(f"{images} holds {len(x)} images and {labels} {len(y)} labels; replace both")
        y = y if y.ndim == 1 else y[:, 0]  # QMNIST's have more columns, the class first
        y = y.astype(y.dtype.newbyteorder("="))
        low = int(y.min())
        high = int(y.max())
        if low < self.first or high >= self.first + self.outputs:
            raise self._error(
                f"{labels} has labels from {low} to {high}, outside {self.first} to {self.first + self.outputs - 1}; "
                f"give data=idx data.classes={high - low + 1} data.first_label={low}, or other files"
            )
        return x.reshape(len(x), -1), y - y.dtype.type(self.first)

    def _refuse_others(self, paths: list[Path], arrays: list[Array]) -> None:
        """Raise where a file is another data set's."""

    def scale(self, x: Tensor) -> Tensor:
        """Return bytes as numbers in [-1, 1]."""
        return x.div_(255).sub_(0.5).div_(0.5)


class MNISTSubset(Images):
    """10,000 training and 2,000 test digits of MNIST, equally many of each, that come with the package.

    The first n training samples are MNIST's own for n up to 8,000; `scripts/cut_mnist` says how all were chosen.

    References:
        LeCun, Cortes & Burges, The MNIST Database of Handwritten Digits, 1998, http://yann.lecun.com/exdb/mnist
    """

    def paths(self) -> list[Path]:
        """Return the files, after a look at their checksums.

        Raises:
            UserError: A file is not the one that was packed.
        """
        try:
            for line in (SUBSET / "SHA256SUMS").read_text().splitlines():
                digest, name = line.split()
                if hashlib.sha256((SUBSET / name).read_bytes()).hexdigest() != digest:
                    raise UserError(f"{SUBSET / name} is damaged: its SHA-256 is not {digest}; install optbench anew")
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read ({error.strerror}); install optbench anew") from None
        return [SUBSET / f"{name}.gz" for name in FILES]


@dataclass(kw_only=True, eq=False)
class MNIST(Images):
    """Handwritten digits, 60,000 for training and 10,000 for tests.

    Args:
        root: Folder with the four IDX files, gzipped or not, themselves or in `raw` or `MNIST/raw`; where there are
            none, they are downloaded into it.

    References:
        LeCun, Cortes & Burges, The MNIST Database of Handwritten Digits, 1998, http://yann.lecun.com/exdb/mnist
    """

    root: str | Path = "~/.cache/optbench"

    source: ClassVar[str] = "MNIST"
    """torchvision's class, and the folder that it makes."""

    def paths(self) -> list[Path]:
        """Return the files, downloaded where any is missing.

        Raises:
            UserError: There are no files and no download.
        """
        if not self._found():
            root = Path(self.root).expanduser()
            there = sorted(path.name for path in root.glob("*-ubyte*")) if root.is_dir() else []
            missing = next((name for name in FILES if not {name, f"{name}.gz"} & set(there)), FILES[0])
            self._download(missing)
        return self._found()

    def _found(self) -> list[Path]:
        """Return the files of the first folder that has all four, or none."""
        root = Path(self.root).expanduser()
        for folder in (root, root / "raw", root / self.source / "raw"):
            pairs = [(folder / name, folder / f"{name}.gz") for name in FILES]
            paths = [next((path for path in pair if path.is_file()), None) for pair in pairs]
            if None not in paths:
                return [path for path in paths if path]
        return []

    def _refuse_others(self, paths: list[Path], arrays: list[Array]) -> None:
        for path, array in zip(paths, arrays, strict=True):
            whose = owner(path, array)
            if whose not in (None, self.source):
                instead = {"MNIST": "data=mnist", "FashionMNIST": "data=fashion_mnist"}.get(str(whose), "data=idx")
                raise self._error(f"{path} is {whose}'s, not {self.source}'s; give {instead}, or another data.root")

    def _download(self, missing: str) -> None:
        from torchvision import datasets  # takes a second to import, and few runs need it

        target = Path(self.root).expanduser() / self.source / "raw"
        try:
            with tempfile.TemporaryDirectory() as folder:
                getattr(datasets, self.source)(folder, download=True)
                target.mkdir(parents=True, exist_ok=True)
                for name in FILES:
                    part = target / f"{name}.{os.getpid()}"
                    shutil.copyfile(Path(folder) / self.source / "raw" / name, part)
                    part.replace(target / name)  # whole at once: other processes may be looking for it
        except (OSError, RuntimeError) as error:
            why = str(error).strip().rpartition("\n")[2]
            raise self._error(
                f"no {missing} in data.root={self.root} and no download ({why}); "
                "put the four IDX files there, or run once with a network"
            ) from None


class FashionMNIST(MNIST):
    """Articles of clothing, 60,000 for training and 10,000 for tests, in MNIST's format.

    References:
        Xiao, Rasul & Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017,
        https://arxiv.org/abs/1708.07747
    """

    source = "FashionMNIST"


@dataclass(kw_only=True, eq=False)
class IDX(Images):
    """Images in four IDX files of your own, such as those of QMNIST, KMNIST or EMNIST.

    Args:
        train_images: File with the training images, bytes of any size, gzipped or not.
        train_labels: File with their labels, whole numbers; of several columns the first is the class.
        test_images: File with the test images.
        test_labels: File with their labels.
        classes: Number of classes.
        first_label: Label of the first class; EMNIST's letters count from 1.
    """

    train_images: str | Path
    train_labels: str | Path
    test_images: str | Path
    test_labels: str | Path
    classes: Count = 10
    first_label: Index = 0

    def paths(self) -> list[Path]:
        """Return the files."""
        given = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        return [Path(path).expanduser() for path in given]

    @functools.cached_property
    def features(self) -> int:  # type: ignore[override]
        """Pixels of an image."""
        return math.prod(read_idx(self.paths()[0]).shape[1:])

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Number of classes."""
        return self.classes

    @property
    def first(self) -> int:  # type: ignore[override]
        """The label of the first class."""
        return self.first_label
