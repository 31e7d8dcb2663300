"""What is loaded is this class's, of this version or an older one, or refused by name."""

import copy

import pytest
import torch
from tasks import Task, run

from optbench.checks import UserError
from optbench.optimizers import CLASSES

every = pytest.mark.parametrize("name", CLASSES)
GROUPED = [
    name for name, cls in CLASSES.items() if set(cls.hyper) - {"lr"} - set(cls.parts) and "base" not in cls.parts
]


def stepped(name, steps=3):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, steps)
    return task, optimizer


@pytest.mark.parametrize("name", GROUPED)
def test_a_missing_hyperparameter_takes_the_default_with_one_warning(name):
    _, optimizer = stepped(name)
    saved = optimizer.state_dict()
    key = [key for key in CLASSES[name].hyper if key not in (*CLASSES[name].parts, "lr")][-1]
    value = saved["param_groups"][0].pop(key)
    task = Task()
    twin = task.make(name)
    with pytest.warns(
        UserWarning, match=f"{name}: the saved state is of an older version; it takes .*{key}="
    ) as caught:
        twin.load_state_dict(saved)
    assert len(caught) == 1
    assert twin.param_groups[0][key] == value
    run(task, twin, 1)


@every
@pytest.mark.parametrize("value", [-1.0, float("nan"), "much", torch.tensor(-1.0)])
def test_a_value_out_of_range_is_refused_and_nothing_is_loaded(name, value):
    _, optimizer = stepped(name)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = value
    task, twin = stepped(name, 1)
    before = twin.state_dict()
    with pytest.raises(UserError, match="lr=") as error:
        twin.load_state_dict(saved)
    assert "\n" not in str(error.value)
    torch.testing.assert_close(twin.state_dict()["state"], before["state"], rtol=0, atol=0)
    assert twin.param_groups[0]["lr"] == before["param_groups"][0]["lr"]
    run(task, twin, 1)


@every
def test_the_state_of_another_class_is_refused_by_name(name):
    _, optimizer = stepped(name)
    saved = optimizer.state_dict()
    for s in saved["state"].values():
        s["momentum_buffer"] = torch.zeros(3)
    twin = Task().make(name)
    with pytest.raises(UserError, match="has 'momentum_buffer', which is another class's"):
        twin.load_state_dict(saved)
    assert not twin.state


SAVED = {}
"""What every class saves after a step."""


@every
def test_the_state_of_every_other_class_of_ours_is_refused_by_name(name):
    """Also of those whose states have the same names."""
    if not SAVED:
        SAVED.update({other: stepped(other, 1)[1].state_dict() for other in CLASSES})
    twin = Task().make(name)
    for other, saved in SAVED.items():
        if other != name:
            with pytest.raises(UserError, match=rf"^{name}: the saved state is of {other}.*; load one of {name}"):
                twin.load_state_dict(saved)
    assert not twin.state


@every
def test_what_does_not_fit_together_is_not_loaded(name):
    together = {"Rprop": {"step_min": 60.0}, "LBFGSB": {"bounds": (1.0, 0.0)}}
    for key, value in together.get(name, {}).items():
        saved = stepped(name, 1)[1].state_dict()
        saved["param_groups"][0][key] = value
        with pytest.raises(UserError, match=f"^{name}: {key}="):
            Task().make(name).load_state_dict(saved)


@every
def test_goes_on_from_where_a_schedule_has_come_to_zero(name):
    _, optimizer = stepped(name)
    optimizer.param_groups[0]["lr"] = 0.0
    twin = Task().make(name)
    twin.load_state_dict(optimizer.state_dict())
    assert twin.param_groups[0]["lr"] == 0


@every
def test_what_is_no_saved_state_is_refused(name):
    twin = Task().make(name)
    for saved in ({}, {"state": {}}, stepped(name, 1)[0].model.state_dict()):
        with pytest.raises(UserError, match="a saved state has 'state' and 'param_groups', this one "):
            twin.load_state_dict(saved)


@every
def test_a_state_of_other_kinds_or_shapes_is_refused_by_name(name):
    _, optimizer = stepped(name)
    for key, x in optimizer.state_dict()["state"][0].items():
        shaped = isinstance(x, torch.Tensor) and (key not in CLASSES[name].keeps or "base" in CLASSES[name].parts)
        for value in ["much", torch.zeros(7, 7, 7)] if shaped else ["much"]:
            saved = optimizer.state_dict()
            saved["state"][0][key] = value
            with pytest.raises(UserError, match=f"the saved '{key}' "):
                Task().make(name).load_state_dict(saved)


def test_torchs_momentum_does_not_load_into_sgd():
    task = Task()
    theirs = torch.optim.SGD(task.params, lr=0.1, momentum=0.9)
    task.objective()
    theirs.step()
    with pytest.raises(UserError, match="^SGD: the saved state has 'momentum_buffer'"):
        Task().make("SGD").load_state_dict(theirs.state_dict())


@every
def test_a_state_that_lacks_something_is_refused_by_name(name):
    _, optimizer = stepped(name)
    saved = optimizer.state_dict()
    if not any(s.pop("step") and s for s in saved["state"].values()):
        return  # it keeps nothing else
    with pytest.raises(UserError, match="the saved state lacks 'step'"):
        Task().make(name).load_state_dict(saved)


def test_a_state_of_other_shapes_is_refused_by_name():
    _, optimizer = stepped("Adam")
    saved = optimizer.state_dict()
    saved["state"][0]["m"] = torch.zeros(7, 7, dtype=torch.float64)
    with pytest.raises(UserError, match=r"^Adam: the saved 'm' has shape \(7, 7\), its parameter \(5, 4\)"):
        Task().make("Adam").load_state_dict(saved)


@every
def test_what_is_loaded_is_ones_own(name):
    """Two that load the same dictionary do not step in the same memory, and leave it as it was."""
    task, optimizer = stepped(name)
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    ends = []
    for _ in range(2):
        other = Task()
        other.model.load_state_dict(task.model.state_dict())
        twin = other.make(name)
        twin.load_state_dict(saved)
        ends.append(run(other, twin, 2))
    torch.testing.assert_close(*ends, rtol=0, atol=0)
    torch.testing.assert_close(saved["state"], kept["state"], rtol=0, atol=0)
    run(task, optimizer, 2)
    torch.testing.assert_close(saved["state"], kept["state"], rtol=0, atol=0)


@every
def test_loading_fills_the_objects_that_others_hold(name):
    """A wrapper such as Lightning's keeps them."""
    task, optimizer = stepped(name)
    state, groups = optimizer.state, optimizer.param_groups
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert optimizer.state is state and optimizer.param_groups is groups
    run(task, optimizer, 1)


@every
def test_hooks_may_change_what_is_loaded_and_see_what_came_of_it(name):
    """The use of the first kind is to convert the state of another class or version."""
    _, optimizer = stepped(name)
    saved = optimizer.state_dict()
    renamed = copy.deepcopy(saved)
    for s in renamed["state"].values():
        s["count"] = s.pop("step")
    twin, seen = Task().make(name), []

    def convert(_, given):
        back = {i: {("step" if k == "count" else k): x for k, x in s.items()} for i, s in given["state"].items()}
        return {**given, "state": back}

    twin.register_load_state_dict_pre_hook(convert)
    twin.register_load_state_dict_post_hook(lambda loaded: seen.append(loaded.state_dict()["state"]))
    twin.load_state_dict(renamed)
    torch.testing.assert_close(seen, [saved["state"]], rtol=0, atol=0)


@every
def test_loads_where_nothing_is_to_be_differentiated(name):
    """What is loaded under inference_mode can be moved outside of it."""
    task, optimizer = stepped(name)
    saved = optimizer.state_dict()
    other = Task()
    other.model.load_state_dict(task.model.state_dict())
    twin = other.make(name)
    with torch.inference_mode():
        twin.load_state_dict(copy.deepcopy(saved))
    torch.testing.assert_close(run(other, twin, 2), run(task, optimizer, 2), rtol=0, atol=0)
