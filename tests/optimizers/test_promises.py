"""A rule of one's own is looked at before it trains: what a step by itself would not show is named."""

import pytest
import torch
from tasks import Task

from optbench.checks import Decay, Rate, UserError
from optbench.optimizers import CLASSES, Optimizer
from optbench.optimizers.arithmetic import decayed_
from optbench.optimizers.promises import check_rule


@pytest.mark.parametrize("name", [name for name, cls in CLASSES.items() if cls.by_update()])
def test_every_rule_of_ours_keeps_them(name):
    task = Task()
    group = task.make(name).param_groups[0]
    for p in task.params[:2]:
        check_rule(CLASSES[name], group, p)


class Heavy(Optimizer):
    """Momentum, as it should be."""

    lr: Rate = 0.1
    beta: Decay = 0.9

    @staticmethod
    def init(p):
        return {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g, p, s, t, h):
        m = h["beta"] * s["m"] + g
        return m, {"m": m}


def spent(g, p, s, t, h):
    m = decayed_(s, "m", h["beta"]) + g
    return m + s["m"], {"m": m}


WRONG = {
    "update changes p in place": lambda g, p, s, t, h: (g, {"m": p.mul_(0.9).clone()}),
    "update changes g in place": lambda g, p, s, t, h: (g.add_(p), s),
    r"update changes s\['m'\] in place": lambda g, p, s, t, h: (s["m"].add_(g), s),
    "update reads a part of s after a helper": spent,
    r"update returns a direction of shape \(\) for \(5, 4\)": lambda g, p, s, t, h: (g.mean(), s),
    "update returns no 'm', which init makes": lambda g, p, s, t, h: (g, {}),
    "update returns the type Tensor; return a direction and the next state": lambda g, p, s, t, h: g,
    "update returns nothing": lambda g, p, s, t, h: None,
    "update returns nothing for the state": lambda g, p, s, t, h: (g, None),
    "update returns 'm' of the type list": lambda g, p, s, t, h: (g, {"m": [g]}),
    "update moves a part of a tensor otherwise than within the whole": lambda g, p, s, t, h: (g / g.norm(), s),
    "update multiplies by lr, and so does the step": lambda g, p, s, t, h: (h["lr"] * g, s),
    "'gamma' is neither a hyperparameter nor in the state; annotate it": lambda g, p, s, t, h: (h["gamma"] * g, s),
}


def test_a_rule_that_keeps_them_passes():
    check_rule(Heavy, {"lr": 0.1, "beta": 0.9}, Task().params[0])


@pytest.mark.parametrize("said", WRONG)
def test_what_a_newcomer_gets_wrong_is_named(said):
    own = type("Own", (Heavy,), {"update": staticmethod(WRONG[said])})
    with pytest.raises(UserError, match=f"Own: {said}"):
        check_rule(own, {"lr": 0.1, "beta": 0.9}, Task().params[0])


def test_a_number_without_an_annotation_is_named():
    with pytest.raises(UserError, match="Own: momentum lacks its range; annotate it, as `momentum: Rate = 0.9`"):
        type("Own", (Heavy,), {"momentum": 0.9})


@pytest.mark.parametrize("name", ["init", "update", "iterate"])
def test_a_rule_is_called_without_an_instance(name):
    with pytest.raises(UserError, match=f"Own: {name} is called without an instance; write @staticmethod above it"):
        type("Own", (Heavy,), {name: lambda self, p: p})
