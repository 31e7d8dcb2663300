"""Which cells train as one stack."""

import sys
from itertools import product

import pytest
from omegaconf import OmegaConf

from optbench import optimizers
from optbench.sweep.plan import cut, likeness, plan, room


def cell(optimizer="Adam", seed=0, replicas="auto", **overrides):
    config = {
        "seed": seed,
        "threads": 1,
        "replicas": replicas,
        "data": {"_target_": "optbench.data.LinearRegression", "seed": seed, "samples": 9},
        "model": {"_target_": "optbench.models.mlp", "_partial_": True, "hidden": [4]},
        "optimizer": {"_target_": f"optbench.optimizers.{optimizer}", "_partial_": True, "lr": 0.1},
        "schedule": {"_target_": "optbench.schedules.constant", "unit": "step"},
        "trainer": {"_target_": "lightning.pytorch.Trainer", "max_epochs": 2},
    }
    config = OmegaConf.create(config)
    for key, value in overrides.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    return OmegaConf.to_container(config)


def sizes(batches):
    return [len(batch) for batch in batches]


def test_a_sweep_is_spread_over_the_processes():
    cells = [cell(seed=seed, optimizer__lr=lr) for seed in range(4) for lr in range(1, 17)]
    batches, line = plan(cells, 2)
    assert sizes(batches) == [32, 32] and line == "stacked: 2 x 32 Adam"
    assert [{cells[i]["seed"] for i in batch} for batch in batches] == [{0, 1}, {2, 3}]
    assert sizes(plan(cells, 4)[0]) == [16] * 4


@pytest.mark.parametrize(("key", "value"), [("optimizer__lr", 0.2), ("optimizer__beta1", 0.5), ("seed", 3)])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_numbers_and_schedules_may_differ(key, value, schedule):
    other = cell(schedule___target_=f"optbench.schedules.{schedule}", **{key: value})
    assert likeness(other) == likeness(cell())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer__eps_form", "hat"),
        ("optimizer___target_", "optbench.optimizers.SGD"),
        ("model__hidden", [5]),
        ("data__samples", 10),
        ("trainer__max_epochs", 3),
        ("threads", 2),
    ],
)
def test_all_else_may_not(key, value):
    assert likeness(cell(**{key: value})) != likeness(cell())


def test_what_trains_alone_and_why():
    cells = [cell(optimizer=name, seed=seed) for name in ("SGD", "Prodigy", "Shampoo") for seed in range(4)]
    cells += [cell(optimizer="Lion"), cell(replicas="off"), cell(optimizer="SGD", model__hidden=[2**20])]
    cells += [cell(optimizer__compile=True)]
    batches, line = plan(cells, 1)
    assert sizes(batches) == [4] + [1] * 12
    assert line == (
        "stacked: 1 x 4 SGD; one by one: 4 Prodigy (cannot be stacked), 4 Shampoo (cannot be stacked), "
        "1 Lion (too few alike), 1 SGD (too large to gain), 1 Adam (compiled)"
    )
    assert plan([cell(replicas="off")], 2) == ([[0]], "")
    assert plan([cell(seed=0), cell(seed=1)], 2) == ([[0], [1]], "")


def test_says_once_whose_steps_cannot_be_compiled():
    cells = [cell(optimizer=name, seed=seed, compile="step") for name in ("SAM", "SGD") for seed in range(2)]
    assert plan(cells, 1)[1].endswith("not compiled: 2 SAM (more than one gradient and its update)")
    assert plan([cell(optimizer="SAM", compile="auto")], 1)[1].find("compiled") == -1


@pytest.mark.parametrize(("hidden", "fewest"), [(4, 4), (2**13, 4), (2**14, 8)])
def test_larger_networks_pay_in_larger_stacks(hidden, fewest):
    for number, stacked in ((fewest - 1, []), (fewest, [fewest])):
        batches, _ = plan([cell(seed=seed, model__hidden=[hidden]) for seed in range(number)], 1)
        assert [size for size in sizes(batches) if size > 1] == stacked


def test_a_stack_keeps_within_memory(monkeypatch):
    cells = [cell(seed=seed) for seed in range(20)]
    assert sizes(plan(cells, 1)[0]) == [20] and room(cells[0], 2) == room(cells[0], 1) // 2
    while room(cells[0], 1) >= 20:
        module = sys.modules[room.__module__]
        monkeypatch.setattr(module, "TENSORS", 2 * module.TENSORS)  # as if a replica took more memory
    assert 1 < max(sizes(plan(cells, 1)[0])) <= room(cells[0], 1)


def test_a_given_size_is_the_largest():
    cells = [cell(seed=seed, optimizer__lr=lr, replicas=3) for seed in (0, 1) for lr in range(1, 5)]
    assert sizes(plan(cells, 1)[0]) == [2, 2, 2, 2]
    assert sizes(plan([cell(seed=seed, replicas=3) for seed in range(2)], 2)[0]) == [2]


@pytest.mark.parametrize(("orders", "rates", "largest"), [*product([1, 2, 3, 7], [1, 4, 5], [1, 2, 6, 40])])
def test_stacks_hold_equally_many_of_each_order(orders, rates, largest):
    cells = [cell(seed=seed, optimizer__lr=lr) for seed in range(orders) for lr in range(1, rates + 1)]
    stacks = list(cut(range(len(cells)), cells, largest))
    assert sorted(i for stack in stacks for i in stack) == list(range(len(cells)))
    for stack in stacks:
        seeds = [cells[i]["seed"] for i in stack]
        assert len(stack) <= largest and seeds == sorted(seeds)
        assert len({seeds.count(seed) for seed in seeds}) == 1


def test_iplus_is_the_one_form_of_rprop_that_is_not_stacked():
    rprop = optimizers.Rprop
    assert {form: rprop.stackable({**rprop.hyper, "form": form}) for form in ("minus", "plus", "iplus")} == {
        "minus": True,
        "plus": True,
        "iplus": False,
    }
