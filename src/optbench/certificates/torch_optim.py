"""torch.optim, at large eps, with fast averages and decay: default settings hardly tell close variants apart."""

from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.optim import swa_utils

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, stepped, version
from optbench.certificates.pair import DECAYED, PLAIN, compare, named
from optbench.certificates.problems import SMOOTH

RMSPROP: Hyper = dict(lr=0.02, alpha=0.7, eps=0.03, weight_decay=0.1)
NADAM: Hyper = dict(momentum_decay=0.1, **DECAYED)
ADAFACTOR: Hyper = dict(lr=0.3, beta2_decay=-0.5, d=1.0)
SIGNS: Hyper = dict(eta_minus=0.4, eta_plus=1.3, step_min=1e-3, step_max=0.3)
FEW: Hyper = dict(history_size=4, max_iter=3)
QUIET: Hyper = dict(tolerance_grad=0, tolerance_change=0, max_eval=10**6)
CURVED: dict[str, Any] = dict(problems=SMOOTH, steps=20, tolerance=1e-7)
"""Curvature from differences of gradients multiplies rounding, by 1e6 over these steps on one processor."""
MUON = {"spectral": "original", "rms": "match_rms_adamw"}  # the second without Nesterov's lookahead

pair = partial(compare, "torch.optim")


def cases() -> list[Case]:
    """Return a comparison with each rule that torch has too, and on which we agree about what it is."""
    dampened: Hyper = dict(dampening=0.3, **PLAIN)
    torch_form: Hyper = dict(beta=0.8, form="torch")
    nesterov: Hyper = dict(momentum=0.8, nesterov=True)
    slow: Hyper = dict(lr=0.05, eps=0.03, weight_decay=0.1, beta1=0.8, beta2=0.9)
    wolfe: Hyper = dict(line_search="strong_wolfe", tolerance=0.0)
    theirs: Hyper = dict(line_search_fn="strong_wolfe", **QUIET)
    floors: Hyper = dict(eps=(1e-15, 0.1), weight_decay=0)
    return [
        pair(ours.SGD, "SGD", PLAIN),
        pair(ours.Momentum, "SGD", dampened, torch_form, dict(momentum=0.8)),
        pair(ours.NAG, "SGD", PLAIN, torch_form, nesterov),
        pair(ours.Adagrad, "Adagrad", dict(eps=0.03, **PLAIN)),
        pair(ours.Adadelta, "Adadelta", dict(lr=1.0, rho=0.7, eps=0.03, weight_decay=0.1)),
        pair(ours.RMSprop, "RMSprop", RMSPROP),
        pair(ours.RMSprop, "RMSprop", dict(centered=True, **RMSPROP)),
        pair(ours.RMSprop, "RMSprop", dict(centered=True, momentum=0.5, **RMSPROP)),
        pair(ours.Adam, "Adam", DECAYED),
        pair(ours.AdamW, "AdamW", DECAYED),
        pair(ours.Adamax, "Adamax", DECAYED),
        pair(ours.NAdam, "NAdam", NADAM),
        pair(ours.NAdamW, "NAdam", NADAM, {}, dict(decoupled_weight_decay=True)),
        pair(ours.AMSGrad, "Adam", DECAYED, dict(form="torch"), dict(amsgrad=True)),
        pair(ours.RAdam, "RAdam", slow),
        pair(ours.Rprop, "Rprop", dict(lr=0.02), SIGNS, dict(etas=(0.4, 1.3), step_sizes=(1e-3, 0.3))),
        pair(ours.Adafactor, "Adafactor", ADAFACTOR, dict(eps1=1e-30, eps2=0.1), floors),
        pair(ours.LBFGS, "LBFGS", dict(lr=0.5, **FEW), dict(tolerance=0.0), QUIET, **CURVED),
        pair(ours.LBFGS, "LBFGS", FEW, wolfe, theirs, **CURVED),
        settled(ours.Adam, dict(bias_correction=False)),
        settled(ours.AMSGrad, dict(form="paper"), amsgrad=True),
        *(muon(mine, name) for mine, name in MUON.items() if hasattr(torch.optim, "Muon")),
        *vectors(),
        *averages(),
    ]


class Averaging:
    """torch's SGD with an average of its parameters beside it, where they are evaluated.

    Args:
        params: The parameters.
        average: Function from averages, parameters and their number to new averages, in place; None for that of all.
    """

    def __init__(self, params: list[nn.Parameter], average: Any) -> None:
        self.model = nn.ParameterList(params)
        self.t = 0
        self.inner = torch.optim.SGD(params, lr=0.1)
        self.param_groups = self.inner.param_groups
        self.mean = swa_utils.AveragedModel(self.model, multi_avg_fn=average)
        self.kept: list[Tensor] = []

    def step(self, closure: Any) -> None:
        """Step, and take the parameters into the mean at every second step after the first three."""
        self.inner.step(closure)
        self.t += 1
        if self.t > 3 and (self.t - 3) % 2 == 0:
            self.mean.update_parameters(self.model)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the parameters at the mean, once there is one."""
        self.kept = [p.clone() for p in self.model]
        if self.mean.n_averaged:
            for p, mean in zip(self.model, self.mean.parameters(), strict=True):
                p.copy_(mean)

    @torch.no_grad()
    def train(self) -> None:
        """Put them back."""
        for p, kept in zip(self.model, self.kept, strict=False):
            p.copy_(kept)


def averages() -> list[Case]:
    """Return the comparisons with torch's averaged models."""
    utils: Any = swa_utils
    forms = {"ema": (utils.get_ema_multi_avg_fn(0.8), dict(decay=0.8)), "swa": (utils.get_swa_multi_avg_fn(), {})}
    return [
        Case(
            ours.Averaged,
            dict(base=partial(ours.SGD, lr=0.1), form=form, every=2, start=3, **own),
            f"{version('torch')} AveragedModel, {form}",
            stepped(partial(Averaging, average=average)),
        )
        for form, (average, own) in forms.items()
    ]


def vectors() -> list[Case]:
    """Return what the rules of matrices do with vectors, which they leave to Adam."""
    few = ("elongated_bowl", "sigmoid_pair", "coupled")
    return [
        pair(ours.SOAP, "AdamW", DECAYED, dict(decay="adamw", eps_form="outside"), problems=few),
        pair(ours.Muon, "AdamW", DECAYED, dict(vector_scale=1.0), problems=few),
        pair(ours.Shampoo, "Adam", dict(lr=0.05), dict(vector_scale=1.0), problems=few),
    ]


def settled(mine: type[ours.Optimizer], form: Hyper, **theirs: Any) -> Case:
    """Return the comparison with torch's Adam as it is after a million steps, when its corrections are 1."""
    names = ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if theirs else []))

    def factory(params: Any) -> torch.optim.Optimizer:
        rule = torch.optim.Adam(params, **named(DECAYED), **theirs)
        for p in params:
            rule.state[p] = {"step": torch.tensor(1e6)} | {name: torch.zeros_like(p) for name in names}
        return rule

    reference = f"{version('torch')} Adam, corrections worn off"
    return Case(mine, DECAYED | form, reference, stepped(factory))


def muon(scale: str, adjust_lr_fn: str) -> Case:
    """Return the comparison with torch's Muon, kept from bfloat16, on gradients that dwarf what it adds to norms."""
    both: Hyper = dict(lr=0.03, weight_decay=0.1, nesterov=scale == "spectral")
    only = dict(beta=0.8, scale=scale), dict(momentum=0.8, adjust_lr_fn=adjust_lr_fn)
    case = pair(ours.Muon, "Muon", both, *only)

    def path(*arguments: Any) -> Tensor:
        with patch.object(Tensor, "bfloat16", Tensor.clone):
            return case.path(*arguments)

    return replace(case, path=path, problems=("steep_matrices",))
