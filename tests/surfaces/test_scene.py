"""Every optimizer of the suite on a surface."""

from functools import partial

import pytest
import torch
from torch.nn import Parameter

from optbench import surfaces
from optbench.configs import CONF
from optbench.surfaces.compute import sweep_rates
from optbench.surfaces.descent import descend, with_rates
from optbench.surfaces.entry import config, expand, optimizer

BOWL = surfaces.get("elongated_bowl")
START = torch.tensor([-2.0, -3.0], dtype=torch.float64)
FACTORIES = {name: optimizer(config("optimizer", name, [CONF]), {}, BOWL, 20) for name in expand(["all"], BOWL, [CONF])}
TOGETHER = [
    name
    for name, (kind, factory) in FACTORIES.items()
    if "lr" in kind.hyper and factory([Parameter(START.clone())]).elementwise()
]


def test_all_are_those_that_need_no_network_and_no_constraints():
    known = {path.stem for path in (CONF / "optimizer").glob("*.yaml")}
    assert known - FACTORIES.keys() == {"kfac", "augmented_lagrangian"}
    assert known - set(expand(["all"], surfaces.get("disk"), [CONF])) == {"kfac"}
    assert len(TOGETHER) > 20


@pytest.mark.parametrize("name", FACTORIES)
def test_a_path_is_finite_and_no_step_is_skipped(name):
    path = descend(BOWL.f, FACTORIES[name][1], START, 5)
    assert path.isfinite().all()
    assert (path[-1] != START).any()


@pytest.mark.parametrize("name", TOGETHER)
def test_rates_as_one_tensor_are_the_rates_one_by_one(name):
    factory = FACTORIES[name][1]
    rates = (0.003, 0.1)
    column = torch.tensor(rates, dtype=torch.float64)[:, None]
    together = descend(BOWL.f, with_rates(factory, column), START.expand(2, -1), 12, batched=True)
    alone = torch.stack([descend(BOWL.f, partial(factory, lr=lr), START, 12) for lr in rates], dim=1)
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_a_sweep_ends_where_single_runs_end():
    go = partial(descend, BOWL.f, steps=10)
    factory = FACTORIES["sgd"][1]
    losses = sweep_rates(factory, go, BOWL, START)
    last = descend(BOWL.f, partial(factory, lr=0.1), START, 10)[-1]
    assert losses[12] == pytest.approx(BOWL.f(last).item())
