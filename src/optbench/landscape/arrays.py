"""Arrays of numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return the places of at most so many of some things, evenly spread, the first and the last included."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
