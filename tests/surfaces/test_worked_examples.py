"""One step of several methods on x = 1..5, y = 2x from (1, 1), by hand: bias first, J = 1/(2m) sum of squares."""

from functools import partial

import pytest
import torch

from optbench import surfaces
from optbench.optimizers import SGD, Adagrad, Adam, Momentum, RMSprop
from optbench.surfaces.descent import descend
from optbench.surfaces.terrain import gradients

START = torch.tensor([1.0, 1.0], dtype=torch.float64)
REGRESSION = surfaces.get("linear_regression")


def test_loss_and_gradient():
    assert REGRESSION.f(START).item() == pytest.approx(3.0)
    assert gradients(REGRESSION.f, START[None])[0].tolist() == pytest.approx([-2, -8])


@pytest.mark.parametrize(
    ("factory", "after"),
    [
        (partial(SGD, lr=0.01), (1.02, 1.08)),
        (partial(Momentum, lr=0.01, beta=0.9), (1.02, 1.08)),
        (partial(Adagrad, lr=0.1), (1.1, 1.1)),
        (partial(RMSprop, lr=0.1, alpha=0.9), (1.316228, 1.316228)),
    ],
)
def test_first_step(factory, after):
    assert descend(REGRESSION.f, factory, START, 1)[1].tolist() == pytest.approx(after, abs=1e-6)


def test_first_step_on_a_mini_batch():
    def loss(x):
        return REGRESSION.parts(x, torch.tensor([1, 2]))

    assert loss(START).item() == pytest.approx(5 / 4)
    assert gradients(loss, START[None])[0].tolist() == pytest.approx([-1.5, -4])
    assert descend(loss, partial(SGD, lr=0.01), START, 1)[1].tolist() == pytest.approx([1.015, 1.04])


def test_first_step_of_adam():
    def loss(x):  # w = (.5, -.8), b = .2, one sample u = (1, -1), y = 1
        return (x[0] - x[1] + x[2] - 1) ** 2 / 2

    start = torch.tensor([0.5, -0.8, 0.2], dtype=torch.float64)
    assert gradients(loss, start[None])[0].tolist() == pytest.approx([0.5, -0.5, 0.5])
    path = descend(loss, partial(Adam, lr=0.01), start, 1)
    assert path[1].tolist() == pytest.approx([0.49, -0.79, 0.19], abs=1e-7)
