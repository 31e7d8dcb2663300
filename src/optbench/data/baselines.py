"""`python -m optbench.data.baselines`: what others' methods reach on the workloads' data, which their targets are.

None of the methods is an optimizer that is compared: scikit-learn's estimators at their defaults, and for the entries
of a matrix alternating ridge regressions. They see what the runs of `study=tuned` see, and are measured on the
validation split, for ten seeds of the data. A workload's target is what is reached on the hardest of its variants.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hydra.utils import get_class

from optbench import records
from optbench.configs import CONF
from optbench.data.module import Array

HELD_OUT = 0.6
"""Share of the samples for validation, as in `study=tuned`."""
SEEDS = range(10)
ROWS = 60
RANK = 3
"""Of the matrix in `conf/data/matrix_factorization.yaml`."""
SWEEPS = 50


def linear_classifier(x: Array, y: Array, new: Array) -> Array:
    """Return the classes of new samples by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=10_000).fit(x, y).predict(new)  # type: ignore[no-any-return]


def support_vectors(x: Array, y: Array, new: Array) -> Array:
    """Return the classes of new samples by a support vector machine with a Gaussian kernel."""
    from sklearn.svm import SVC

    return SVC().fit(x, y).predict(new)  # type: ignore[no-any-return]


def ridge(x: Array, y: Array, new: Array) -> Array:
    """Return the targets of new samples by ridge regression."""
    from sklearn.linear_model import Ridge

    return Ridge().fit(x, y).predict(new)  # type: ignore[no-any-return]


def alternating_ridge(x: Array, y: Array, new: Array) -> Array:
    """Return entries of a matrix by ridge regressions of either factor on the other, in turns.

    References:
        Koren, Bell & Volinsky, Matrix Factorization Techniques for Recommender Systems, 2009, IEEE Computer 42(8)
    """
    width = x.shape[1]
    factors = np.random.default_rng(0).standard_normal((width, RANK))  # of the rows, and below them of the columns
    row = x[:, :ROWS].argmax(1)
    column = x[:, ROWS:].argmax(1) + ROWS
    for _ in range(SWEEPS):
        for one, other in ((row, column), (column, row)):
            for k in np.unique(one):
                seen = factors[other[one == k]]
                factors[k] = np.linalg.solve(seen.T @ seen + np.eye(RANK), seen.T @ y[one == k, 0])
    wanted = new[:, :ROWS].argmax(1), new[:, ROWS:].argmax(1) + ROWS
    entries: Array = (factors[wanted[0]] * factors[wanted[1]]).sum(1)
    return entries


METHODS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "mnist_subset": linear_classifier,
    "digits": linear_classifier,
    "mnist1d": support_vectors,
    "linear_regression": ridge,
    "matrix_factorization": alternating_ridge,
}


def variants(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a workload calls each variant of its data, with their keywords, and of classes all of the data.

    The networks are no part of it.
    """
    preset = yaml.safe_load((CONF / "workloads" / f"{name}.yaml").read_text())
    fixed = yaml.safe_load((CONF / "data" / f"{preset['set']['data']}.yaml").read_text())
    fixed |= {key.removeprefix("data."): x for key, x in preset["set"].items() if key.startswith("data.")}
    axes = {letter: preset[axis] for letter, axis in (("n", "sizes"), ("w", "widths"))}
    if "sizes" in preset and preset["sizes"]["write"].startswith("data.train_size"):
        yield name, fixed
    own = {letter: axis for letter, axis in axes.items() if axis["write"].startswith("data.")}
    for values in product(*(axis["values"] for axis in own.values())):
        written = [axis["write"].format(x) for axis, x in zip(own.values(), values, strict=True)]
        given = dict(line.removeprefix("data.").split("=") for line in written)
        called = "_".join([name, *(f"{letter}{x}" for letter, x in zip(own, values, strict=True))])
        yield called, fixed | {key: int(x) for key, x in given.items()}


def reached(method: Callable[[Array, Array, Array], Array], keywords: Mapping[str, Any], seed: int) -> float:
    """Return the accuracy of a method on the validation split, or its mean squared error."""
    own = {key: x for key, x in keywords.items() if key not in ("_target_", "seed")}
    data: Any = get_class(keywords["_target_"])(**own | {"val_fraction": HELD_OUT, "data_seed": seed})
    data.setup()
    (x, y), (new, wanted) = ([t.double().numpy() for t in data.split(name)] for name in ("train", "val"))
    found = method(x, y, new).reshape(wanted.shape)
    error = found != wanted if data.task == "classification" else (found - wanted) ** 2
    return float(1 - error.mean() if data.task == "classification" else error.mean())


def table() -> pd.DataFrame:
    """Return a row for each variant of each workload's data: mean, lowest and highest of its method over the seeds."""
    rows = []
    for name, method in METHODS.items():
        for called, keywords in variants(name):
            values = [reached(method, keywords, seed) for seed in SEEDS]
            row = {"workload": called, "baseline": method.__name__, "mean": np.mean(values)}
            rows.append(row | {"lowest": min(values), "highest": max(values), "seeds": len(values)})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure all of them, and write a row each."""
    parser = argparse.ArgumentParser(prog="python -m optbench.data.baselines", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/reference/targets.csv"))
    given = parser.parse_args()
    found = table()
    records.write(given.out, found.to_csv(index=False, float_format="%.4g"))
    print(found.to_string(index=False))
    print(given.out)


if __name__ == "__main__":
    main()
