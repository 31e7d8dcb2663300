"""What the machine cannot beat: arithmetic at its measured rate of matrix products, memory at that of copies."""

import functools

import torch

from optbench.speed.race import race
from optbench.training.product import product

SIDE = 1024
MEGABYTES = 256
IMAGE = 784
CLASSES = 10
BATCH = 64


@functools.cache
def products() -> float:
    """Return the operations a second of a large matrix product in float32, on as many threads as torch now uses.

    It is the faster of torch's own and of that in `training.product`, which differ by processor.
    """
    a, b = torch.randn(2, 1, SIDE, SIDE)
    ways = {"torch's": lambda: torch.bmm(a, b.mT), "oneDNN's": lambda: product(a, b)}
    return 2 * SIDE**3 / min(time.median for time in race(ways, 5).values())


@functools.cache
def copies() -> float:
    """Return the bytes a second, read and written, of a copy that no cache holds."""
    a, b = torch.ones(2, MEGABYTES * 2**18)
    return 2 * MEGABYTES * 2**20 / race({"": lambda: a.copy_(b)}, 5)[""].median


def size(hidden: int) -> int:
    """Return the parameters of 784-hidden-10."""
    return (IMAGE + 1) * hidden + (hidden + 1) * CLASSES


def pass_through(hidden: int, examples: int) -> float:
    """Return the operations of the outputs of 784-hidden-10."""
    return 2.0 * examples * (IMAGE * hidden + hidden * CLASSES)


def training(hidden: int, examples: int = BATCH) -> float:
    """Return the operations of loss and gradients of 784-hidden-10; nobody asks for the gradient of the inputs."""
    return 3 * pass_through(hidden, examples) - 2.0 * examples * IMAGE * hidden
