"""Well-kept packages, each with what it is known to do otherwise switched off; one that is missing is passed over."""

from functools import partial
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from optbench import optimizers as ours
from optbench.certificates.case import Case, constant, stepped, version
from optbench.certificates.pair import ADAM, BETAS, DECAYED, MATRICES, SCALED, compare
from optbench.certificates.problems import ANY
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
    lars = (
        dict(lr=0.1, weight_decay=0.1, eps=0.01),
        dict(beta=0.8, trust_coefficient=0.3),
        dict(momentum=0.8, trust_coeff=0.3),
    )
    return [
        pair(ours.AdaBelief, "AdaBelief", SCALED, ADAM, dict(rectify=False, **BETAS)),
        pair(
            ours.Adan,
            "Adan",
            DECAYED,
            dict(beta1=0.8, beta2=0.7, beta3=0.6),
            dict(betas=(0.8, 0.7, 0.6)),
        ),
        pair(ours.ADOPT, "Adopt", SCALED, ADAM, dict(clip_exp=0.25, **BETAS)),
        pair(ours.ADOPT, "Adopt", SCALED, dict(clip=False, **ADAM), dict(clip_exp=None, **BETAS)),
        pair(ours.LAMB, "Lamb", DECAYED, ADAM, dict(max_grad_norm=None, **BETAS)),  # or the global norm is clipped
        pair(ours.LARS, "Lars", *lars, ANY, constant),  # it keeps the learning rate outside the velocity
        pair(ours.LARC, "Lars", *lars[:2], dict(trust_clip=True, **lars[2])),
        pair(ours.Lion, "Lion", dict(lr=0.02, weight_decay=0.1), ADAM, BETAS),
        pair(
            ours.MARS,
            "Mars",
            dict(gamma=0.1, **DECAYED),
            dict(first_step="paper", **ADAM),
            dict(optimize_1d=True, **BETAS),
        ),
        pair(ours.NAdam, "NAdamW", SCALED, dict(form="simple", **ADAM), dict(weight_decay=0, **BETAS)),
    ]


def authors() -> list[Case]:
    """Return the comparisons with the authors' own packages."""
    return [
        compare(
            "schedulefree",
            ours.ScheduleFreeSGD,
            "SGDScheduleFree",
            dict(lr=0.1, weight_decay=0.1),
            dict(beta=0.8),
            dict(momentum=0.8),
        ),
        compare(
            "schedulefree",
            ours.ScheduleFreeAdamW,
            "AdamWScheduleFree",
            DECAYED,
            ADAM,
            BETAS,
        ),
        *(
            compare(
                "momo",
                ours.MoMo,
                "Momo",
                dict(lr=0.5, beta=0.8, weight_decay=0.1),
                dict(lower_bound=0.05, adapt_bound=adapt),
                dict(lb=0.05, use_fstar=adapt),
            )
            for adapt in (False, True)
        ),
        compare("prodigyopt", ours.Prodigy, "Prodigy", dict(d0=1e-3, **DECAYED), ADAM, BETAS),
        compare("qhoptim.pyt", ours.QHM, "QHM", dict(lr=0.1, nu=0.6), dict(beta=0.8), dict(momentum=0.8)),
        compare(
            "qhoptim.pyt",
            ours.QHAdam,
            "QHAdam",
            SCALED,
            dict(nu1=0.6, nu2=0.5, **ADAM),
            dict(nus=(0.6, 0.5), **BETAS),
        ),
        compare(
            "came_pytorch",
            ours.CAME,
            "CAME",
            dict(lr=0.02, weight_decay=0.1),
            dict(beta1=0.8, beta2=0.6, beta3=0.7, eps1=0.01, eps2=0.02, d=0.5),
            dict(betas=(0.8, 0.6, 0.7), eps=(0.01, 0.02), clip_threshold=0.5),
        ),
    ]
