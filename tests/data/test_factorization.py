"""A matrix of low rank, seen in part."""

import numpy as np
import pytest
import torch

from optbench.checks import UserError
from optbench.data import MatrixFactorization
from optbench.models import Factors


def test_training_and_test_are_all_entries_of_a_matrix_of_its_rank():
    data = MatrixFactorization(rows=12, columns=9, true_rank=2, samples=50, batch_size=10)
    data.setup()
    matrix = np.full((12, 9), np.nan)
    for name in ("train", "test"):
        x, y = data.split(name)
        matrix[x[:, :12].argmax(1), x[:, 12:].argmax(1)] = y[:, 0]
    assert len(data.split("train")[0]) == 50 and np.isfinite(matrix).all()
    assert np.linalg.matrix_rank(matrix, tol=1e-4) == 2


def test_noise_is_in_the_training_entries_alone():
    clean, noisy = (MatrixFactorization(samples=2000, noise=noise) for noise in (0.0, 0.5))
    for data in (clean, noisy):
        data.setup()
    error = {name: noisy.split(name)[1] - clean.split(name)[1] for name in ("train", "test")}
    assert error["train"].std() == pytest.approx(0.5, rel=0.1) and not error["test"].any()


def test_factors_give_the_entries_of_their_product():
    model = Factors(features=7, rows=4, rank=2)
    x = torch.hstack([torch.eye(4).repeat_interleave(3, 0), torch.eye(3).repeat(4, 1)])
    assert torch.allclose(model(x).reshape(4, 3), model.u.weight.T @ model.v.weight)


def test_what_is_no_matrix_is_refused():
    with pytest.raises(UserError, match="samples=12 of 4 x 3 leave none for tests"):
        MatrixFactorization(rows=4, columns=3, samples=12).load()
    with pytest.raises(UserError, match="give data=matrix_factorization"):
        Factors(features=4, outputs=10, rows=4)
