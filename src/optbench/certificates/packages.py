"""Well-kept packages, each with what it is known to do otherwise switched off; one that is missing is passed over."""

from functools import partial
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, constant, stepped, version
from optbench.certificates.pair import ADAM, DECAYED, MATRICES, PLAIN, compare
from optbench.certificates.pytorch_optimizer_rules import kozistr, lookahead


def cases() -> list[Case]:
    """Return a comparison with each rule of theirs that can be made to follow its paper."""
    return [*kozistr(), lookahead(), hyperball(), *timm(), *authors()]


class Sphere:
    """Steps of heavyball's on spheres, along the gradient.

    Args:
        params: Matrices.
        lr: Length of a step by the norm of the matrix.
    """

    def __init__(self, params: list[Tensor], lr: float) -> None:
        self.norms = [p.detach().norm() for p in params]
        self.param_groups: list[dict[str, Any]] = [{"params": params, "lr": lr}]

    def step(self, closure: Any) -> None:
        """Step."""
        closure()
        (group,) = self.param_groups
        rate = torch.tensor(group["lr"])
        slopes = [p.grad.clone() for p in group["params"]]
        utils = import_module("heavyball.utils")
        with torch.no_grad(), patch.object(utils, "compile_mode", None):
            utils.hyperball_step_(group["params"], slopes, self.norms, rate, decay=0.0, caution=False, grad=slopes)


def hyperball() -> Case:
    """Return the comparison with heavyball's step on a sphere, whose length is relative."""
    hyper = dict(base=partial(ours.SGD, lr=0.05), relative=True)
    path = stepped(partial(Sphere, lr=0.05))
    return Case(ours.Hyperball, hyper, f"{version('heavyball')} hyperball_step_", path, MATRICES)


def timm() -> list[Case]:
    """Return the comparisons with timm."""
    pair = partial(compare, "timm.optim")
    trust: Hyper = dict(beta=0.8, trust_coefficient=0.3)
    theirs: Hyper = dict(momentum=0.8, trust_coeff=0.3)
    local: Hyper = dict(eps=0.01, **PLAIN)
    return [
        pair(ours.AdaBelief, "AdaBelief", ADAM, {}, dict(rectify=False)),
        pair(ours.Adan, "Adan", dict(beta3=0.6, **DECAYED)),
        pair(ours.ADOPT, "Adopt", ADAM, {}, dict(clip_exp=0.25)),
        pair(ours.ADOPT, "Adopt", ADAM, dict(clip=False), dict(clip_exp=None)),
        pair(ours.LAMB, "Lamb", DECAYED, {}, dict(max_grad_norm=None)),  # or the global norm is clipped
        pair(ours.LARS, "Lars", local, trust, theirs, rate=constant),  # it keeps the rate outside the velocity
        pair(ours.LARC, "Lars", local, trust, dict(trust_clip=True, **theirs)),
        pair(ours.Lion, "Lion", dict(lr=0.02, weight_decay=0.1, beta1=0.8, beta2=0.7)),
        pair(ours.MARS, "Mars", dict(gamma=0.1, **DECAYED), dict(first_step="paper"), dict(optimize_1d=True)),
        pair(ours.NAdam, "NAdamW", ADAM, dict(form="simple"), dict(weight_decay=0)),
    ]


def authors() -> list[Case]:
    """Return the comparisons with the authors' own packages."""
    free = partial(compare, "schedulefree")
    hyperbolic = partial(compare, "qhoptim.pyt")
    momo: Hyper = dict(lr=0.5, beta=0.8, weight_decay=0.1)
    bounds = [(dict(adapt_bound=adapt), dict(use_fstar=adapt)) for adapt in (False, True)]
    came: Hyper = dict(lr=0.02, weight_decay=0.1, beta1=0.8, beta2=0.6, beta3=0.7)
    confidence: Hyper = dict(eps1=0.01, eps2=0.02, d=0.5)
    return [
        free(ours.ScheduleFreeSGD, "SGDScheduleFree", PLAIN, dict(beta=0.8), dict(momentum=0.8)),
        free(ours.ScheduleFreeAdamW, "AdamWScheduleFree", DECAYED),
        *(compare("momo", ours.MoMo, "Momo", momo, dict(lower_bound=0.05, **a), dict(lb=0.05, **b)) for a, b in bounds),
        compare("prodigyopt", ours.Prodigy, "Prodigy", dict(d0=1e-3, **DECAYED)),
        hyperbolic(ours.QHM, "QHM", dict(lr=0.1, nu=0.6), dict(beta=0.8), dict(momentum=0.8)),
        hyperbolic(ours.QHAdam, "QHAdam", ADAM, dict(nu1=0.6, nu2=0.5), dict(nus=(0.6, 0.5))),
        compare("came_pytorch", ours.CAME, "CAME", came, confidence, dict(eps=(0.01, 0.02), clip_threshold=0.5)),
    ]
