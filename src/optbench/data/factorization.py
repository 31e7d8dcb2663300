"""Matrix factorization: the entries of a matrix of low rank, some of which are to be told from the others."""

from dataclasses import dataclass

import numpy as np

from optbench.checks import Count, Rate
from optbench.data.module import Array, DataModule


@dataclass(kw_only=True, eq=False)
class MatrixFactorization(DataModule):
    """Entries of a random matrix of low rank; a sample is an entry's row and column, one-hot, and its value.

    Entries that are not for training are for tests. They have a variance of about one.

    Args:
        rows: Of the matrix.
        columns: Of the matrix.
        true_rank: Of the matrix, but for the noise.
        samples: Entries for training.
        noise: Standard deviation of what is added to the entries for training.
    """

    rows: Count = 60
    columns: Count = 40
    true_rank: Count = 3
    samples: Count = 1000
    noise: Rate = 0.0

    task = "regression"
    outputs = 1

    @property
    def features(self) -> int:
        """One for each row and for each column."""
        return self.rows + self.columns

    def load(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Draw the matrix and which of its entries are for training, from the data seed alone.

        Raises:
            UserError: No entry would be left for tests.
        """
        if self.samples >= self.rows * self.columns:
            raise self._error(
                f"samples={self.samples} of {self.rows} x {self.columns} leave none for tests; give fewer"
            )
        rng = np.random.default_rng(self.data_seed)
        left, right = (rng.standard_normal((n, self.true_rank)) for n in (self.rows, self.columns))
        y = (left @ right.T).reshape(-1, 1) / self.true_rank**0.5
        row, column = np.divmod(np.arange(len(y)), self.columns)
        x = np.hstack([np.eye(self.rows)[row], np.eye(self.columns)[column]])
        order = rng.permutation(len(y))
        train = order[: self.samples]
        test = order[self.samples :]
        noise = self.noise * rng.standard_normal((self.samples, 1))
        return (x[train], y[train] + noise), (x[test], y[test])
