"""Where torch.optim has a rule, ours takes the same steps: decay, large eps, fast averages, a changing rate."""

import pytest
import torch
from problems import PROBLEMS

from optbench import optimizers

SCALED = dict(eps=0.03, weight_decay=0.1)
RMSPROP = dict(lr=0.02, alpha=0.7, **SCALED)
BETAS = dict(beta1=0.8, beta2=0.7), dict(betas=(0.8, 0.7))

# What both are given, then what only ours is and what only torch's is.
PAIRS = {
    "sgd": ("SGD", "SGD", dict(lr=0.1, weight_decay=0.1), {}, {}),
    "momentum": (
        *("Momentum", "SGD", dict(lr=0.1, weight_decay=0.1, dampening=0.3)),
        *(dict(beta=0.8, form="torch"), dict(momentum=0.8)),
    ),
    "nag": (
        *("NAG", "SGD", dict(lr=0.1, weight_decay=0.1)),
        *(dict(beta=0.8, form="torch"), dict(momentum=0.8, nesterov=True)),
    ),
    "adagrad": ("Adagrad", "Adagrad", dict(lr=0.1, **SCALED), {}, {}),
    "adadelta": ("Adadelta", "Adadelta", dict(lr=1.0, rho=0.7, **SCALED), {}, {}),
    "rmsprop": ("RMSprop", "RMSprop", RMSPROP, {}, {}),
    "rmsprop_centered": ("RMSprop", "RMSprop", RMSPROP | dict(centered=True), {}, {}),
    "rmsprop_momentum": ("RMSprop", "RMSprop", RMSPROP | dict(centered=True, momentum=0.5), {}, {}),
    "adam": ("Adam", "Adam", dict(lr=0.05, **SCALED), *BETAS),
    "adamw": ("AdamW", "AdamW", dict(lr=0.05, **SCALED), *BETAS),
    "adamax": ("Adamax", "Adamax", dict(lr=0.05, **SCALED), *BETAS),
    "nadam": ("NAdam", "NAdam", dict(lr=0.05, momentum_decay=0.1, **SCALED), *BETAS),
    "amsgrad": (
        *("AMSGrad", "Adam", dict(lr=0.05, **SCALED)),
        *(dict(beta1=0.8, beta2=0.7, form="torch"), dict(betas=(0.8, 0.7), amsgrad=True)),
    ),
    "radam": ("RAdam", "RAdam", dict(lr=0.05, **SCALED), dict(beta1=0.8, beta2=0.9), dict(betas=(0.8, 0.9))),
    "rprop": (
        *("Rprop", "Rprop", dict(lr=0.02)),
        *(
            dict(eta_minus=0.4, eta_plus=1.3, step_min=1e-3, step_max=0.3),
            dict(etas=(0.4, 1.3), step_sizes=(1e-3, 0.3)),
        ),
    ),
}


@pytest.fixture(autouse=True)
def float64_throughout():
    """Torch keeps NAdam's product of momenta in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", PAIRS)
def test_takes_the_steps_of_torch(name, problem):
    ours, theirs, hyper, only_ours, only_theirs = PAIRS[name]
    left, right = PROBLEMS[problem](), PROBLEMS[problem]()
    optimizer = getattr(optimizers, ours)(left.params, **hyper, **only_ours)
    reference = getattr(torch.optim, theirs)(right.params, **hyper, **only_theirs)
    for t in range(40):
        for side, stepper in (left, optimizer), (right, reference):
            stepper.param_groups[0]["lr"] = hyper["lr"] * (1 + t % 7) / 4
            stepper.zero_grad()
            side.loss(t).backward()
            stepper.step()
        torch.testing.assert_close(left.params, right.params, rtol=1e-11, atol=1e-11)
