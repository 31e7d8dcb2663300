"""Data sets that lie in memory, on the device, and come in chunks of many mini-batches.

Every data set is a Lightning data module and a dataclass of keywords; `help(MNIST)` shows them. After `setup()` it is
on the CPU, or on the device of the trainer that called it, and has

- `features`, `outputs`: numbers of inputs and outputs that a model needs; known before `setup` too.
- `task`: `classification` or `regression`; `loss(output, y)` is the mean cross-entropy or squared error.
- `splits`: `{"train": (x, y), "val": (x, y), "test": (x, y)}`, without `val` where `val_fraction` is 0; `split(name)`
  is one of them. x is float32 of shape (samples, features); y is int64 of shape (samples,), or float32 of shape
  (samples, outputs).
- `train_dataloader()`: `Chunks`, whose items are x of shape (n, batch, features) with its y: n mini-batches that were
  gathered at once. What is left over at the end of an epoch is a smaller mini-batch in a chunk of its own.
- `batches_per_epoch`: mini-batches, and so steps, in an epoch; `len` of the loader counts chunks.

Your own data are a class on `DataModule`, or, with less to say, on `Samples`; a file of them needs none: see `Table`.

A value of a wrong type or out of range, or more samples than there are, is a `UserError` of one line, from the
constructor or from `setup`.
"""

from optbench.data.chunks import Chunks as Chunks
from optbench.data.factorization import MatrixFactorization as MatrixFactorization
from optbench.data.mnist import IDX as IDX, MNIST as MNIST, FashionMNIST as FashionMNIST, MNISTSubset as MNISTSubset
from optbench.data.module import DataModule as DataModule
from optbench.data.regression import LinearRegression as LinearRegression
from optbench.data.samples import (
    MNIST1D as MNIST1D,
    Digits as Digits,
    FromDataset as FromDataset,
    Samples as Samples,
    Table as Table,
)
