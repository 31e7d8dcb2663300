"""Linear regression, the smallest problem: seen by hand, or random at any size and condition number."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.random import Generator

from optbench.checks import Count, Interval, Rate
from optbench.data.module import Array, DataModule


@dataclass(kw_only=True, eq=False)
class LinearRegression(DataModule):
    """Targets that are linear in the inputs, up to noise.

    Args:
        samples: Samples to make for training, and again for tests.
        inputs: `line`: x = 1, 2, ... and y = 2x, tests half-way between; `normal`: x is drawn from a normal
            distribution, and so are the weights that make y of it.
        features: Numbers in a sample; 1 on a line.
        noise: Standard deviation of what is added to y.
        condition: Condition number of the normal inputs' covariance, whose largest eigenvalue is 1.
    """

    samples: Count = 5
    inputs: Literal["line", "normal"] = "line"
    features: Count = 1
    noise: Rate = 0.0
    condition: Annotated[float, Interval("[1, inf)")] = 1.0
    batch_size: Count | Literal["full"] = "full"

    task = "regression"
    outputs = 1

    def load(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Draw the data, from the data seed alone.

        Raises:
            UserError: A line was asked for in several dimensions.
        """
        if self.inputs == "line" and self.features > 1:
            raise self._error(f"features={self.features} fit no line; give inputs=normal")
        rng = np.random.default_rng(self.data_seed)
        weights = np.array([2.0]) if self.inputs == "line" else rng.standard_normal(self.features)
        return self._draw(rng, weights, 0.0), self._draw(rng, weights, 0.5)

    def _draw(self, rng: Generator, weights: Array, shift: float) -> tuple[Array, Array]:
        if self.inputs == "line":
            x = shift + np.arange(1.0, self.samples + 1)[:, None]
        else:
            x = rng.standard_normal((self.samples, self.features)) * self.condition ** -np.linspace(
                0, 0.5, self.features
            )
        y = x @ weights[:, None] + self.noise * rng.standard_normal((self.samples, 1))
        return x, y
