from functools import partial

import pytest
import torch

from optbench import surfaces
from optbench.checks import UserError
from optbench.optimizers import NAG, SGD, Adagrad, Adam, Momentum, RMSprop
from optbench.optimizers.base import Optimizer
from optbench.surfaces.descent import descend

BOWL = surfaces.get("elongated_bowl").f
STARTS = torch.tensor([[-2.0, -2.0], [6.0, 6.0], [0.5, -7.0]], dtype=torch.float64)
RULES = [partial(o, lr=0.05) for o in (SGD, Momentum, NAG, Adagrad, RMSprop, Adam)]


class Normalized(Optimizer):
    """A rule that looks at all coordinates at once."""

    whole_tensor = True
    hyper = dict(lr=0.1)

    @staticmethod
    def update(g, p, s, t, h):
        return g / g.norm(), {}


class Twice(SGD):
    """A rule with a step of its own."""

    def step(self, closure=None):
        super().step(closure)
        return super().step(closure)


@pytest.mark.parametrize("rule", [*RULES, partial(Normalized, lr=0.05), partial(Twice, lr=0.05)])
def test_starts_in_one_batch_take_the_paths_that_they_take_alone(rule):
    together = descend(BOWL, rule, STARTS, 30, batched=True)
    alone = torch.stack([descend(BOWL, rule, start, 30) for start in STARTS], dim=1)
    assert together.shape == (31, 3, 2)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_the_path_begins_at_the_start_and_leaves_it_alone():
    start = STARTS[0].clone()
    path = descend(BOWL, RULES[-1], start, 3)
    assert path[0].tolist() == start.tolist() == STARTS[0].tolist()


def test_a_schedule_sets_the_rate_of_each_step():
    path = descend(lambda x: x.sum(), partial(SGD, lr=0.5), STARTS[0], 3, schedule=lambda t, eta: eta * (1 + t))
    assert (path.diff(dim=0)[:, 0]).tolist() == pytest.approx([-0.5, -1.0, -1.5])


def test_noise_is_on_the_gradient_and_comes_from_the_seed():
    def steps(seed):
        start = torch.zeros(2000, dtype=torch.float64)
        return descend(lambda x: 0 * x.sum(), partial(SGD, lr=1.0), start, 5, noise=0.3, seed=seed).diff(dim=0)

    assert steps(0).std().item() == pytest.approx(0.3, rel=0.03)
    assert steps(0).mean().item() == pytest.approx(0, abs=0.02)
    assert torch.equal(steps(0), steps(0)) and not torch.equal(steps(0), steps(1))


def test_a_step_meets_the_same_noise_however_often_it_asks():
    asked = []

    class Asks(SGD):
        def step(self, closure=None):
            first = closure().item()
            asked.append(first - closure().item())
            return super().step(closure)

    descend(BOWL, partial(Asks, lr=0.1), STARTS[0], 5, noise=1.0)
    assert asked == [0.0] * 5


@pytest.mark.parametrize("rule", RULES)
def test_iterates_stay_in_the_domain(rule):
    saddle = surfaces.get("saddle")
    start = torch.tensor([1.5, 1.5], dtype=torch.float64)
    path = descend(saddle.f, rule, start, 300, project=saddle.clamp)
    assert path.abs().max() <= 2
    assert path[-1, 1] == 2


def test_online_losses_are_asked_for_step_by_step():
    seen = []

    def loss(x, t):
        seen.append(t)
        return t * x.sum()

    path = descend(loss, partial(SGD, lr=1.0), STARTS[0], 3, online=True)
    assert seen == [1, 2, 3]
    assert path[:, 0].tolist() == [-2, -3, -5, -8]


def test_a_path_that_is_no_longer_finite_ends():
    path = descend(lambda x: (x**4).sum(), partial(SGD, lr=1.0), STARTS[1], 50)
    lost = ~path.isfinite().all(-1)
    assert 1 < lost.int().argmax() < 10
    assert lost[lost.int().argmax() :].all()


def test_one_lost_start_leaves_the_others_alone():
    starts = torch.tensor([[6.0, 6.0], [0.1, 0.1]], dtype=torch.float64)

    def quartic(x):
        return (x**4).sum(-1)

    together = descend(quartic, partial(SGD, lr=1.0), starts, 20, batched=True)
    assert not together[-1, 0].isfinite().any()
    alone = descend(quartic, partial(SGD, lr=1.0), starts[1], 20)
    torch.testing.assert_close(together[:, 1], alone, rtol=1e-12, atol=1e-12)


def test_no_steps_are_refused():
    with pytest.raises(UserError, match="steps=0 is less than 1"):
        descend(BOWL, RULES[0], STARTS[0], 0)
