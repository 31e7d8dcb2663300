"""Images of 28 x 28 pixels in ten classes: MNIST, its embedded subset, and Fashion-MNIST."""

import hashlib
import os
import shutil
import tempfile
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from optbench.checks import UserError
from optbench.data.idx import read_idx
from optbench.data.module import Array, DataModule

FILES = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
SUBSET = Path(__file__).parent / "mnist_subset"


class Images(DataModule):
    """Images and labels in four IDX files; pixels are scaled to [-1, 1] and flattened."""

    task = "classification"
    features = 28 * 28
    outputs = 10

    @abstractmethod
    def paths(self) -> list[Path]:
        """Return the files, in the order of `FILES`."""

    def load(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Read the files.

        Raises:
            UserError: A file is missing, corrupt, or does not hold what its name says.
        """
        paths = self.paths()
        x, y, x_test, y_test = (read_idx(path) for path in paths)
        for path, images, labels in ((paths[0], x, y), (paths[2], x_test, y_test)):
            if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or labels.max(initial=0) > 9:
                raise UserError(f"{path} and its labels are no 28 x 28 images in ten classes; replace both")
        return (x.reshape(-1, self.features), y), (x_test.reshape(-1, self.features), y_test)

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
        found = [self._find(name) for name in FILES]
        if None in found:
            self._download(FILES[found.index(None)])
            found = [self._find(name) for name in FILES]
        return [path for path in found if path]

    def _find(self, name: str) -> Path | None:
        root = Path(self.root).expanduser()
        folders = (root, root / "raw", root / self.source / "raw")
        paths = (folder / file for folder in folders for file in (name, f"{name}.gz"))
        return next((path for path in paths if path.is_file()), None)

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
