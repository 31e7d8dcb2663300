"""Schedules against values by hand and against torch's, and what they refuse."""

import inspect
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from optbench import schedules
from optbench.checks import UserError
from optbench.configs import build_schedule
from optbench.schedules import (
    constant,
    cosine,
    cyclic,
    exponential,
    one_cycle,
    piecewise,
    polynomial,
    polynomial_to_zero,
    warmup,
    wsd,
)

CONFIGS = sorted((Path(__file__).parents[1] / "conf" / "schedule").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_makes_a_schedule(path):
    config = OmegaConf.load(path)
    assert config._target_ == f"optbench.schedules.{path.stem}"
    schedule, unit = build_schedule(config, 250, 1)
    assert unit in ("step", "epoch")
    assert {type(part) for part in (schedule, schedule.keywords.get("then", schedule))} == {partial}
    rates = [schedule(t, 0.1) for t in range(250)]
    assert all(isinstance(rate, float) and 0 <= rate <= 0.1 for rate in rates)
    assert max(rates) == pytest.approx(0.1, rel=0.3)


def test_every_schedule_has_a_config():
    functions = {k for k, v in vars(schedules).items() if inspect.isfunction(v) and v.__module__ == schedules.__name__}
    assert {k for k in functions if not k.startswith("_")} == {path.stem for path in CONFIGS}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (constant, {0: 0.1, 1000: 0.1}),
        (partial(piecewise, boundaries=[2, 5]), {0: 0.1, 1: 0.1, 2: 0.01, 4: 0.01, 5: 0.001, 99: 0.001}),
        (partial(piecewise, boundaries=[2, 5], values=[3, 2, 7]), {0: 3.0, 1: 3.0, 2: 2.0, 4: 2.0, 5: 7.0, 99: 7.0}),
        (partial(exponential, rate=0.1), {0: 0.1, 10: 0.1 / math.e, 20: 0.1 / math.e**2}),
        (partial(polynomial, beta=0.1, alpha=0.5), {0: 0.1, 30: 0.05, 80: 0.1 / 3, 990: 0.01}),
        (partial(polynomial_to_zero, power=2, total=10), {0: 0.1, 5: 0.025, 9: 0.001, 10: 0.0, 11: 0.0}),
        (partial(cyclic, half_cycle=4, floor=0.2), {0: 0.02, 2: 0.06, 4: 0.1, 6: 0.06, 8: 0.02, 12: 0.1}),
        (partial(cyclic, half_cycle=4, floor=0.2, form="triangular2"), {4: 0.1, 8: 0.02, 12: 0.06, 20: 0.04}),
        (partial(cyclic, half_cycle=4, floor=0, form="exp_range", gamma=0.5), {4: 0.1 / 16, 12: 0.1 / 4096}),
        (partial(cosine, total=8, floor=0.2), {0: 0.1, 2: 0.06 + 0.04 * 0.5**0.5, 4: 0.06, 8: 0.02, 9: 0.02}),
        (partial(cosine, period=2, growth=2), {0: 0.1, 1: 0.05, 2: 0.1, 4: 0.05, 6: 0.1, 10: 0.05, 14: 0.1}),
        (partial(one_cycle, total=11, rise=4 / 11, start=0.1, end=0, form="linear"), {0: 0.01, 3: 0.1, 10: 0.0, 12: 0}),
        (partial(warmup, steps=4, start=0.2), {0: 0.02, 2: 0.06, 4: 0.1, 99: 0.1}),
        (partial(warmup, steps=4, start=0, then=cosine, total=8), {0: 0.0, 1: 0.025, 4: 0.1, 6: 0.05, 8: 0.0}),
        (partial(warmup, steps=4, then=partial(cosine, total=8), total=100), {4: 0.1, 8: 0.05, 12: 0.0}),
        (partial(wsd, warm=0.1, decay=0.2, total=100), {0: 0.001, 10: 0.1, 80: 0.1, 85: 0.05, 100: 0.0, 101: 0.0}),
        (partial(wsd, warm=0, decay=0.2, form="linear", floor=0.5, total=100), {0: 0.1, 80: 0.1, 90: 0.075, 100: 0.05}),
    ],
)
def test_values_by_hand(schedule, expected):
    assert {t: schedule(t, 0.1) for t in expected} == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (constant, partial(torch.optim.lr_scheduler.ConstantLR, factor=1)),
        (partial(piecewise, boundaries=[7, 13]), partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[7, 13])),
        (partial(exponential, rate=0.3), partial(torch.optim.lr_scheduler.ExponentialLR, gamma=math.exp(-0.3))),
        (
            partial(polynomial_to_zero, power=1.5, total=20),
            partial(torch.optim.lr_scheduler.PolynomialLR, power=1.5, total_iters=20),
        ),
        (
            partial(cosine, total=30, floor=0.1),
            partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=30, eta_min=0.05),
        ),
        (
            partial(cosine, period=5, growth=2),
            partial(torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, T_0=5, T_mult=2),
        ),
        (partial(one_cycle, total=31), partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=31)),
        (
            partial(one_cycle, total=31, form="linear", start=0.2, end=0.1, rise=0.5),
            partial(
                torch.optim.lr_scheduler.OneCycleLR,
                **dict(max_lr=0.5, total_steps=31, anneal_strategy="linear"),
                **dict(div_factor=5, final_div_factor=2, pct_start=0.5),
            ),
        ),
        (
            partial(warmup, steps=9, start=0.2),
            partial(torch.optim.lr_scheduler.LinearLR, start_factor=0.2, total_iters=9),
        ),
        *(
            (
                partial(cyclic, half_cycle=6, floor=0.3, form=form, **({"gamma": 0.9} if form == "exp_range" else {})),
                partial(
                    torch.optim.lr_scheduler.CyclicLR,
                    **dict(base_lr=0.15, max_lr=0.5, step_size_up=6, mode=form, gamma=0.9, cycle_momentum=False),
                ),
            )
            for form in ("triangular", "triangular2", "exp_range")
        ),
    ],
)
def test_equals_torch(ours, theirs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = theirs(optimizer)
    for t in range(31):
        assert ours(t, 0.5) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12), t
        optimizer.step()
        if t < 30:
            scheduler.step()


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (partial(piecewise, boundaries=[5, 2]), "piecewise: boundaries=[5.0, 2.0] do not increase"),
        (partial(piecewise, boundaries=[2], values=[1]), "piecewise: values=[1] are not one more than"),
        (partial(piecewise, boundaries=[2], values=[1, -1]), "piecewise: values="),
        (piecewise, "piecewise: boundaries is missing"),
        (partial(exponential, rate=-1), "exponential: rate=-1.0 is outside [0, inf)"),
        (partial(exponential, rate="fast"), "exponential: rate='fast' is not a number"),
        (partial(exponential, gamma=1), "no argument of exponential 'gamma'"),
        (partial(polynomial, beta=-1), "polynomial: beta=-1.0"),
        (polynomial_to_zero, "polynomial_to_zero: total is missing"),
        (partial(polynomial_to_zero, power=0, total=9), "polynomial_to_zero: power=0.0"),
        (partial(cyclic, half_cycle=0), "cyclic: half_cycle=0"),
        (partial(cyclic, form="square"), "cyclic: form='square' is not one of triangular,"),
        (partial(cyclic, gamma=0.9), "cyclic: gamma=0.9 is of form=exp_range, and this is triangular"),
        (partial(cosine, growth=2, total=9), "cosine: growth=2 is of periods, and there is none"),
        (partial(cosine, total=0), "cosine: total=0"),
        (partial(cosine, period=5, growth=0), "cosine: growth=0"),
        (partial(one_cycle, total=9, rise=1.5), "one_cycle: rise=1.5 is outside [0, 1]"),
        (partial(warmup, steps=-1), "warmup: steps=-1"),
        (partial(warmup, then=partial(exponential, rate=-1)), "exponential: rate=-1.0"),
        (partial(wsd, warm=0.6, decay=0.6, total=9), "wsd: warm=0.6 and decay=0.6"),
    ],
)
def test_refuses_bad_values_at_once(schedule, message):
    with pytest.raises(UserError) as error:
        schedule(0, 0.1)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("form", "left"), [("linear", 0.5), ("sqrt", 1 - 0.5**0.5), ("squared", 0.75)])
def test_wsd_decays_in_the_form_it_is_told(form, left):
    values = [schedules.wsd(t, 2.0, warm=0.0, decay=0.2, form=form, total=100) for t in (0, 80, 90, 100)]
    assert values == pytest.approx([2.0, 2.0, 2.0 * left, 0.0])
