"""Parameter groups: what each sets is honoured or refused, however groups come about."""

import copy
import math
import warnings
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from tasks import Task, run

from optbench.checks import UserError
from optbench.optimizers import CLASSES

every = pytest.mark.parametrize("name", CLASSES)
MORE_THAN_UPDATE = [name for name, cls in CLASSES.items() if not cls.by_update() and "base" not in cls.parts]
OWN = [(name, key) for name in MORE_THAN_UPDATE for key in CLASSES[name].hyper if key not in CLASSES[name].parts]
IDLE = {
    "Rprop": ("step_min", "step_max"),  # no step comes near
    "Sophia": ("beta1", "beta2", "gamma", "eps", "interval"),  # every coordinate is clipped
}
"""Hyperparameters that change nothing in a few steps on a small network."""


def halves(task):
    return task.params[:2], task.params[2:]


@every
def test_a_parameter_that_changes_its_group_takes_its_rate(name):
    """Moved to the neighbour, in a group split in two, in two groups merged, and in groups assigned anew."""

    def move(optimizer, first, second):
        optimizer.param_groups[0]["params"], optimizer.param_groups[1]["params"] = first[:1], [*first[1:], *second]

    def split(optimizer, first, second):
        optimizer.param_groups[0]["params"] = first[:1]
        rest = {k: v for k, v in optimizer.param_groups[1].items() if k != "params"}
        optimizer.param_groups.append({**rest, "params": first[1:]})

    def merge(optimizer, first, second):
        optimizer.param_groups.pop(0)
        optimizer.param_groups[0]["params"] = [*second, *first[1:]]

    def anew(optimizer, first, second):
        _, slow = optimizer.param_groups
        optimizer.param_groups = [{**slow, "params": [*first[1:], *second]}]

    for change in (move, split, merge, anew):
        task = Task()
        first, second = halves(task)
        optimizer = task.make(name, [{"params": first}, {"params": second}])
        optimizer.param_groups[1]["lr"] = 0.0
        run(task, optimizer, 2)
        before = first[1].detach().clone()
        change(optimizer, first, second)
        for group in optimizer.param_groups[1:] or optimizer.param_groups:
            group["lr"] = 0.0
            group.update({key: 0.0 for key in ("weight_decay",) if key in group})
        run(task, optimizer, 1)
        if name not in RESTLESS:
            torch.testing.assert_close(first[1].detach(), before, rtol=0, atol=0)


RESTLESS = {
    "Rprop": "its rate is the first step's",
    "Momentum": "its velocity holds past rates",
    "DemonSGD": "its velocity holds past rates",
    "LARS": "its velocity holds past rates",
    "NAG": "its velocity holds past rates",
    "QHM": "its velocity holds past rates",
    "ScheduleFreeSGD": "its average goes on",
    "ScheduleFreeAdamW": "its average goes on",
    "GPAAdamW": "its average goes on",
    "FTRL": "its weights follow from all gradients",
    "Lookahead": "its slow weights go on",
    "SAM": "it is around Momentum",
    "AugmentedLagrangian": "its constraint binds all parameters",
    "LBFGSB": "its bounds bind all parameters",
}


@pytest.mark.parametrize(("name", "key"), OWN)
def test_a_group_is_honoured_or_refused(name, key):
    """Two groups that differ in one hyperparameter: the second moves otherwise, or is refused in one line."""
    cls = CLASSES[name]
    ends = []
    for value in others(cls, key, Task().make(name).param_groups[0][key]):
        task = Task()
        first, second = halves(task)
        try:
            optimizer = task.make(name, [{"params": first}, {"params": second, key: value}])
        except UserError as error:
            assert f"{name}: " in str(error) and "\n" not in str(error)
            return
        ends.append(run(task, optimizer, 12)[2:])
    if len(ends) == 2 and key not in IDLE.get(name, ()):
        assert any(not torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_an_update_is_given_what_its_own_group_holds():
    class Noting(CLASSES["SGD"]):
        """Notes what it is given."""

        seen = []

        @staticmethod
        def update(g, p, s, t, h):
            Noting.seen.append((h["lr"], h["weight_decay"]))
            return g, {}

    task = Task()
    first, second = halves(task)
    groups = [{"params": first}, {"params": second, "weight_decay": 0.5}]
    optimizer = Noting(groups, lr=0.25)
    optimizer.param_groups[0]["lr"] = 0.125
    run(task, optimizer, 1)
    assert Noting.seen == [(0.125, 0.0)] * 2 + [(0.25, 0.5)] * 2


def others(cls, key, value):
    """Return the value and another one that is allowed."""
    kind = cls.kinds[key]
    if isinstance(value, bool):
        return [value, not value]
    if get_origin(kind) is Literal:
        return [value, next(x for x in get_args(kind) if x != value)]
    if isinstance(value, int):
        return [value, value + 1]
    if isinstance(value, float):
        return [value, value * 0.75 if value else 0.25]
    return [value]


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, cls in CLASSES.items() for key in cls.only])
def test_refuses_a_value_that_another_one_leaves_without_a_use(name, key):
    """Where a user sets it; the config sets no such value, so that each form can be chosen alone."""
    cls = CLASSES[name]
    other, heeding = cls.only[key]
    changed = others(cls, key, cls.hyper[key])[1]
    for form in get_args(cls.kinds[other]):
        Task().make(name, **{other: form})
        if form not in heeding:
            with pytest.raises(UserError, match=f"^{name}: {key}={changed} is of {other}=.*, and has no use with"):
                Task().make(name, **{other: form, key: changed})


@every
def test_refuses_what_differs_but_is_one_for_all_also_later(name):
    task = Task()
    first, second = halves(task)
    optimizer = task.make(name, [{"params": first}, {"params": second}])
    common = [key for key in optimizer.common if isinstance(optimizer.param_groups[1][key], float | int)]
    if not common:
        return
    optimizer.param_groups[1][common[0]] += 1
    with pytest.raises(UserError, match=f"^{name}: {common[0]}=.* differs from the first group's .*; give one for all"):
        run(task, optimizer, 1)


@every
def test_keeps_the_keys_of_others(name):
    """LearningRateMonitor wants a name; schedulers leave keys of their own."""
    task = Task()
    first, second = halves(task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        groups = [{"params": first, "name": "body"}, {"params": second, "name": "head", "swa_lr": 0.1}]
        optimizer = task.make(name, groups)
    assert [group["name"] for group in optimizer.param_groups] == ["body", "head"]
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=9, cycle_momentum=False)
    run(task, optimizer, 1)
    twin = task.make(name, [{"params": first}, {"params": second}])
    twin.load_state_dict(optimizer.state_dict())
    assert twin.param_groups[1]["swa_lr"] == 0.1
    optimizer.param_groups[0] |= {"params": []}
    task.make(name, [{**group, "params": own} for group, own in zip(twin.param_groups, halves(task), strict=True)])


@every
def test_cycles_the_rate_and_no_other_number(name):
    for schedule in (
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.01, total_steps=9),
        lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.001, 0.01),
    ):
        task = Task()
        optimizer = task.make(name)
        before = copy.deepcopy({k: v for k, v in optimizer.param_groups[0].items() if k != "params"})
        if "momentum" in optimizer.defaults:
            continue  # which is what torch means
        with pytest.raises(ValueError, match="momentum"):
            schedule(optimizer)
        after = {k: v for k, v in optimizer.param_groups[0].items() if k in before and k not in ("lr", "initial_lr")}
        assert after == {k: v for k, v in before.items() if k in after}


def test_doubts_a_key_that_is_nearly_a_hyperparameter():
    with pytest.warns(UserWarning, match="Adam: nothing reads a group's 'beta_1'; did you mean 'beta1'?"):
        CLASSES["Adam"]([{"params": Task().params, "beta_1": 0.5}])


@every
@pytest.mark.parametrize("key", ["maximize", "foreach", "amsgrad"])
def test_says_that_it_does_not_read_what_torchs_optimizers_do(name, key):
    task = Task()
    with pytest.warns(UserWarning, match=f"nothing reads a group's '{key}'; known are lr"):
        task.make(name, [{"params": task.params, key: True}])


@every
@pytest.mark.parametrize("value", [-1.0, math.nan, [0.1, 0.1], 1j])
def test_checks_a_rate_that_is_a_tensor(name, value):
    task = Task()
    with pytest.raises(UserError) as error:
        task.make(name, [{"params": task.params, "lr": torch.tensor(value)}])
    assert ": lr" in str(error.value) and "\n" not in str(error.value)


@every
def test_takes_a_rate_that_is_a_tensor_and_numbers_of_numpy(name):
    ends = []
    for kind in (float, torch.tensor, np.float64, lambda x: torch.tensor([x]), np.float32):
        task = Task()
        optimizer = task.make(name, [{"params": task.params, "lr": kind(0.0625)}])
        ends.append(run(task, optimizer, 2))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-6, atol=1e-8)
    counts = [key for key, value in optimizer.param_groups[0].items() if type(value) is int]
    for key in counts:
        made = task.make(name, [{"params": task.params, key: np.int64(optimizer.param_groups[0][key])}])
        assert type(made.param_groups[0][key]) is int


@every
@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [(torch.zeros(2, dtype=dtype), "give dense real ones") for dtype in (torch.complex64, torch.int64, torch.bool)]
    + [(torch.zeros(1).expand(2), "share their memory.*give a clone")],
)
def test_a_parameter_that_is_refused_does_not_stay(name, wrong, remedy):
    task = Task()
    optimizer = task.make(name)
    with pytest.raises(UserError, match=remedy):
        optimizer.add_param_group({"params": [wrong]})
    with pytest.raises(UserError):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": -1.0})
    assert len(optimizer.param_groups) == 1
    run(task, optimizer, 1)


@every
def test_refuses_a_parameter_without_a_shape(name):
    with pytest.raises(UserError, match="a parameter has no shape yet; run the model once, then make its optimizer"):
        Task().make(name, list(torch.nn.LazyLinear(3).parameters()))


@every
def test_a_parameter_that_left_its_group_is_saved_by_nobody(name):
    task = Task()
    first, second = halves(task)
    optimizer = task.make(name, [{"params": first}, {"params": second}])
    run(task, optimizer, 1)
    del optimizer.param_groups[1]
    with pytest.raises(UserError, match=r"a parameter of shape \(3, 5\) has a state and no group; del optimizer.state"):
        optimizer.state_dict()
    for p in second:
        del optimizer.state[p]
    assert len(optimizer.state_dict()["state"]) == 2


@every
def test_takes_former_names(name):
    for old, new in CLASSES[name].aliases.items():
        value = CLASSES[name].hyper[new]
        task = Task()
        assert task.make(name, **{old: value}).param_groups[0][new] == value
        assert old not in task.make(name, [{"params": task.params, old: value}]).param_groups[0]


def test_former_names_of_every_rename():
    assert {name: cls.aliases for name, cls in CLASSES.items() if cls.aliases} == {
        "AggMo": {"betas": "dampings"},
        "ConjugateGradient": {"tol": "tolerance"},
        "LARC": {"trust": "trust_coefficient"},
        "LARS": {"trust": "trust_coefficient"},
    }


def test_a_rate_of_zero_stops_yellowfin_and_groups_scale_it():
    ends = []
    for lr in (0.0, 0.05, 0.1):
        task = Task()
        first, second = halves(task)
        optimizer = task.make("YellowFin", [{"params": first}, {"params": second, "lr": lr}], lr=0.1)
        start = second[0].detach().clone()
        run(task, optimizer, 2)
        ends.append(float((second[0].detach() - start).norm()))
    assert ends[0] == 0 < ends[1] < ends[2]


def test_rprop_compares_losses_that_are_numbers():
    task = Task()
    optimizer = task.make("Rprop", form="iplus")
    for _ in range(3):
        optimizer.step(lambda: float(task.objective().detach()))
    other = Task()
    torch.testing.assert_close(run(other, other.make("Rprop", form="iplus"), 3), task.weights(), rtol=0, atol=0)


def test_multipliers_outlive_their_first_parameter():
    task = Task()
    optimizer = task.make("AugmentedLagrangian", max_iter=20)
    run(task, optimizer, 1)
    first, second, *_ = task.params
    kept = optimizer.state[first]["multipliers"].clone()
    first.requires_grad_(False)
    first.grad = None
    run(task, optimizer, 1)
    assert optimizer.state[second]["step"] == 2
    assert optimizer.state[second]["penalty"] >= optimizer.state[first]["penalty"]
    assert kept.any() and optimizer.state[second]["multipliers"].shape == kept.shape  # 0 where it moved inside


@every
def test_a_group_cannot_have_what_belongs_to_the_optimizer(name):
    task = Task()
    whole = task.make(name)
    for key in sorted(set(CLASSES[name].parts) - set(whole.defaults)):
        with pytest.raises(UserError, match=f"^{name}: {key} is one for all groups; give it beside them, not in one$"):
            task.make(name, [{"params": task.params, key: getattr(whole, key)}])
        with pytest.raises(UserError, match=f"^{name}: {key} is one for all groups"):
            whole.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], key: getattr(whole, key)})
        assert len(whole.param_groups) == 1


def test_a_tensor_for_a_number_is_one_real_number():
    for lr in (torch.ones(2), torch.tensor(1j)):
        with pytest.raises(UserError, match=r"^Adam: lr is a tensor of shape .* and type .*; give a real number$"):
            Task().make("Adam", lr=lr)
