"""Small IDX files, and one data set of each class."""

import numpy as np
import pytest

from optbench.data import MNIST, FashionMNIST, LinearRegression, MNISTSubset
from optbench.data.idx import write_idx
from optbench.data.mnist import FILES


@pytest.fixture
def raw(tmp_path):
    """A folder of four IDX files: 240 training and 60 test images, as many of each class."""
    rng = np.random.default_rng(0)
    for i, samples in enumerate((240, 60)):
        write_idx(tmp_path / FILES[2 * i], rng.integers(0, 256, (samples, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / FILES[2 * i + 1], rng.permutation(np.arange(samples, dtype=np.uint8) % 10))
    return tmp_path


@pytest.fixture(params=["mnist_subset", "mnist", "fashion_mnist", "linear_regression"])
def make(request, raw):
    """A function from keywords to a data set of 240 training samples."""

    def prepared(**keywords):
        keywords = {"train_size": 240, "batch_size": 32, **keywords}
        match request.param:
            case "mnist_subset":
                data = MNISTSubset(**keywords)
            case "mnist":
                data = MNIST(root=raw, **keywords)
            case "fashion_mnist":
                data = FashionMNIST(root=raw, **keywords)
            case "linear_regression":
                data = LinearRegression(samples=240, inputs="normal", features=3, **keywords)
        data.setup()
        return data

    return prepared
