"""Targets of workloads are what others' methods reach on their data, as the committed table says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from optbench.configs import CONF
from optbench.data.baselines import METHODS, alternating_ridge, reached, variants
from optbench.results.race import BASELINES

TABLE = pd.read_csv(Path(__file__).parents[2] / "results" / "reference" / "targets.csv").set_index("workload")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_target_is_what_the_method_reaches_on_the_hardest_variant(name):
    target = yaml.safe_load((CONF / "workloads" / f"{name}.yaml").read_text())["target"]
    own = TABLE.loc[[called for called, _ in variants(name) if called != name], "mean"]
    hardest = own.min() if name in TABLE.index else own.max()
    assert target == pytest.approx(hardest, abs=0.005)


@pytest.mark.parametrize(
    ("data", "name"), [("MNISTSubset", "mnist_subset"), ("Digits", "digits"), ("MNIST1D", "mnist1d")]
)
def test_the_target_of_a_whole_data_set_is_from_the_same_table(data, name):
    assert BASELINES[data][0] == pytest.approx(TABLE.loc[name, "mean"], abs=0.005)


@pytest.mark.parametrize("name", ["digits", "linear_regression", "matrix_factorization"])
def test_the_table_can_be_made_again(name):
    called, keywords = [pair for pair in variants(name) if pair[0] != name][0]
    row = TABLE.loc[called]
    assert row["lowest"] <= reached(METHODS[name], keywords, 0) * (1 + 1e-3)
    assert reached(METHODS[name], keywords, 0) * (1 - 1e-3) <= row["highest"]


def test_alternating_ridge_finds_the_factors():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 20))
    rows, columns = np.divmod(np.arange(1200), 20)
    x = np.hstack([np.eye(60)[rows], np.eye(20)[columns]])
    seen = rng.permutation(1200)[:1000]
    found = alternating_ridge(x[seen], matrix[rows, columns][seen, None], x)
    assert np.mean((found - matrix[rows, columns]) ** 2) < 0.02 * matrix.var()
