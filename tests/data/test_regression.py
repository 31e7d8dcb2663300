"""The smallest problem."""

import pytest
import torch

from optbench.checks import UserError
from optbench.data import LinearRegression


def load(**keywords):
    data = LinearRegression(**keywords)
    data.setup()
    return data


def test_the_line_is_y_2x():
    x, y = load().split("train")
    assert x.flatten().tolist() == [1, 2, 3, 4, 5]
    assert torch.equal(y, 2 * x)


def test_noise_has_its_deviation_and_another_seed_other_noise():
    x, y = load(samples=10_000, noise=0.5).split("train")
    assert (y - 2 * x).std() == pytest.approx(0.5, rel=0.05)
    assert not torch.equal(y, load(samples=10_000, noise=0.5, data_seed=1).split("train")[1])


def test_covariance_has_its_condition_number():
    x, _ = load(inputs="normal", samples=20_000, features=4, condition=100).split("train")
    values = torch.linalg.eigvalsh(x.T.cov())
    assert values[-1] == pytest.approx(1, rel=0.05)
    assert values[-1] / values[0] == pytest.approx(100, rel=0.1)


def test_noiseless_targets_are_linear_in_training_and_test_alike():
    data = load(inputs="normal", samples=50, features=3)
    weights = torch.linalg.lstsq(*data.split("train")).solution
    x, y = data.split("test")
    assert torch.allclose(x @ weights, y, atol=1e-5)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"features": 2}, "features=2 fit no line; give inputs=normal"),
        ({"subset": "balanced"}, "subset=balanced needs classes; give first or random"),
        ({"condition": 0.5}, "condition=0.5 is outside [1, inf)"),
    ],
)
def test_bad_values_get_one_line(keywords, message):
    with pytest.raises(UserError) as error:
        load(**keywords)
    assert str(error.value) == f"LinearRegression: {message}"
