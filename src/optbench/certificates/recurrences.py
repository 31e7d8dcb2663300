"""Our rules beside the papers' recurrences: what a form of a rule is held to where nobody else has it."""

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, RateFactors, Trajectory
from optbench.certificates.papers_elementwise import (
    Floats,
    Walk,
    adagrad,
    adam,
    amsgrad,
    demon_adam,
    demon_sgd,
    fista,
    ftrl,
    momentum,
    nadam,
    nag,
    rmsprop,
    rprop,
)
from optbench.certificates.papers_tensors import (
    adafactor,
    cautious,
    lamb,
    larc,
    lars,
    lawa,
    mars,
    muon,
    newton,
    sam,
    shampoo,
    soap,
    sophia,
    sphere,
    yellowfin,
)
from optbench.certificates.problems import ANY, SMOOTH, Problem

Recurrence = Callable[[Floats, Any], Walk]


def literal(rule: Recurrence, hyper: Hyper, whole: bool) -> Trajectory:
    """Return the path of a rule, run on each tensor or on the vector of all."""

    def path(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        start = problem.flat()
        shapes = [tuple(start.shape)] if whole else [tuple(p.shape) for p in problem.params]
        h = SimpleNamespace(**hyper)
        walks = [rule(part, h) for part in split(start, shapes)]
        wanted = [next(walk) for walk in walks]
        points = [start]
        for t in range(steps):
            h.lr = hyper["lr"] * rate(t)
            within = True
            while within:
                x = joined(wanted, 0)
                h.loss, gradient = problem.gradient(x, t)
                h.hessian = lambda x=x, t=t: problem.hessian(x, t).numpy()
                wanted = [walk.send(g) for walk, g in zip(walks, split(gradient, shapes), strict=True)]
                within = isinstance(wanted[0], tuple) and wanted[0][1] is None
            points.append(joined(wanted, 1))
        return torch.stack(points)

    return path


def split(x: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    """Return a vector as arrays of these shapes."""
    parts = torch.split(x, [int(np.prod(shape)) for shape in shapes])
    return [part.numpy().reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def joined(wanted: Sequence[Any], which: int) -> Tensor:
    """Return as one vector where rules want a gradient, 0, or their own iterates, 1; most yield one array for both."""
    arrays = [x[which] if isinstance(x, tuple) else x for x in wanted]
    return torch.from_numpy(np.concatenate([x.ravel() for x in arrays]))


LARGE: Hyper = dict(eps=0.03, weight_decay=0.1)
ADAM: Hyper = dict(lr=0.05, beta1=0.8, beta2=0.7)
TRUST: Hyper = dict(lr=0.1, beta=0.8, trust_coefficient=0.3, weight_decay=0.2, eps=0.1)
SIGNS: Hyper = dict(eta_minus=0.4, eta_plus=1.3, step_min=1e-3, step_max=0.3)
ORTHOGONAL: Hyper = dict(beta=0.8, weight_decay=0.3, vector_scale=0.5)

MATRICES = ("matrices", *ANY)
FULL_RANK = ("matrices", "elongated_bowl", "sigmoid_pair", "coupled")  # elsewhere an eigenbasis is not unique
RANGED = ("elongated_bowl", "coupled", "network")  # on sigmoid_pair the variance drowns in rounding


def cases() -> list[Case]:
    """Return a comparison with each recurrence."""
    return [
        case(ours.Momentum, momentum, dict(lr=0.1, beta=0.8, weight_decay=0.1, form="sum")),
        case(ours.Momentum, momentum, dict(lr=0.1, beta=0.8, weight_decay=0.1, form="ema")),
        case(ours.NAG, nag, dict(lr=0.1, beta=0.8, weight_decay=0.1, form="lookahead")),
        case(ours.NAG, fista, dict(lr=0.1, weight_decay=0.1, form="fista")),
        case(ours.DemonSGD, demon_sgd, dict(lr=0.1, beta=0.8, total_steps=40)),
        case(ours.DemonAdam, demon_adam, dict(**ADAM, eps=0.03, total_steps=40, form="paper")),
        case(ours.DemonAdam, demon_adam, dict(**ADAM, eps=0.03, total_steps=40, form="ema")),
        case(ours.Rprop, rprop, dict(lr=0.02, **SIGNS, form="minus")),
        case(ours.Rprop, rprop, dict(lr=0.02, **SIGNS, form="plus")),
        case(ours.Rprop, rprop, dict(lr=0.02, **SIGNS, form="iplus")),
        case(ours.Adagrad, adagrad, dict(lr=0.1, **LARGE, eps_inside=True)),
        case(ours.RMSprop, rmsprop, dict(lr=0.02, alpha=0.7, **LARGE, momentum=0.5, centered=True, eps_inside=True)),
        case(ours.RMSprop, rmsprop, dict(lr=0.02, alpha=0.7, **LARGE, momentum=0.5, centered=False, eps_inside=True)),
        case(ours.FTRL, ftrl, dict(**PROXIMAL, initial_accumulator=0.1, warm_start=True)),
        case(ours.FTRL, ftrl, dict(**PROXIMAL, initial_accumulator=0.1, warm_start=False)),
        case(ours.Adam, adam, dict(**ADAM, **LARGE, eps_form="inside", bias_correction=True)),
        case(ours.Adam, adam, dict(**ADAM, **LARGE, eps_form="hat", bias_correction=True)),
        case(ours.Adam, adam, dict(**ADAM, **LARGE, eps_form="outside", bias_correction=False)),
        case(ours.AdamW, adam, dict(**ADAM, **LARGE, eps_form="outside", bias_correction=True, decay="paper")),
        case(ours.AMSGrad, amsgrad, dict(**ADAM, **LARGE, form="paper")),
        case(ours.AMSGrad, amsgrad, dict(**ADAM, **LARGE, form="corrected")),
        case(ours.AMSGrad, amsgrad, dict(**ADAM, **LARGE, form="first")),
        case(ours.NAdam, nadam, dict(**ADAM, **LARGE, form="constant")),
        case(ours.NAdam, nadam, dict(**ADAM, **LARGE, form="simple")),
        case(ours.NAdam, nadam, dict(**ADAM, **LARGE, form="text")),
        case(ours.LARS, lars, TRUST),
        case(ours.LARC, larc, TRUST),
        case(ours.LAMB, lamb, dict(**ADAM, **LARGE)),
        case(ours.MARS, mars, dict(**ADAM, **LARGE, gamma=0.1, first_step="authors")),
        case(ours.MARS, mars, dict(**ADAM, **LARGE, gamma=0.1, first_step="paper")),
        case(
            ours.Muon, muon, dict(lr=0.03, **ORTHOGONAL, nesterov=True, ns_steps=5, scale="spectral"), problems=MATRICES
        ),
        case(ours.Muon, muon, dict(lr=0.03, **ORTHOGONAL, nesterov=False, ns_steps=3, scale="rms"), problems=MATRICES),
        case(
            ours.Adafactor,
            adafactor,
            dict(lr=0.3, beta2_decay=-0.5, eps1=0.01, eps2=0.1, d=0.5),
            problems=MATRICES,
        ),
        case(ours.Shampoo, shampoo, dict(lr=0.1, eps=0.1, interval=1, vector_scale=0.5), problems=MATRICES),
        case(ours.Shampoo, shampoo, dict(lr=0.1, eps=0.1, interval=4, vector_scale=0.5), problems=MATRICES),
        case(ours.SOAP, soap, dict(**ADAM, **LARGE, **TURNED), problems=FULL_RANK),
        case(ours.YellowFin, yellowfin, RANGE, dict(eps=1e-14), dict(given=0.1), whole=True, problems=RANGED),
        case(ours.Sophia, sophia, CLIPPED, dict(estimator="exact"), whole=True, steps=20),
        case(ours.SAM, sam, dict(rho=0.1), dict(base=BASE), dict(lr=0.1, adaptive=False), whole=True),
        case(ours.SAM, sam, dict(rho=0.1, adaptive=True), dict(base=BASE), dict(lr=0.1), whole=True),
        case(ours.Hyperball, sphere, dict(relative=False), dict(base=BASE), dict(lr=0.1), problems=MATRICES),
        case(ours.Hyperball, sphere, dict(relative=True), dict(base=BASE), dict(lr=0.1), problems=MATRICES),
        case(ours.Averaged, lawa, dict(form="lawa", start=2, every=3, window=4), dict(base=BASE), dict(lr=0.1)),
        case(ours.Cautious, cautious, dict(mask=False, weight_decay=0.3), dict(base=BASE), dict(lr=0.1)),
        case(ours.Newton, newton, dict(**DAMPED, form="lm"), **EXACT),
        case(ours.Newton, newton, dict(**DAMPED, form="saddle_free"), **EXACT),
        case(ours.Newton, newton, dict(**DAMPED, form="saddle_free"), dict(exact_size=1, krylov=100), **EXACT),
    ]


PROXIMAL: Hyper = dict(lr=0.2, beta=0.5, l1=0.1, l2=0.3)
TURNED: Hyper = dict(shampoo_beta=0.7, interval=3, decay="adamw", eps_form="outside")
BASE = partial(ours.SGD, lr=0.1)
RANGE: Hyper = dict(lr=0.1, beta=0.9, window=3)
CLIPPED: Hyper = dict(lr=0.05, beta1=0.8, beta2=0.6, gamma=0.3, eps=0.02, weight_decay=0.3, interval=4)
DAMPED: Hyper = dict(lr=0.5, damping=0.1)
EXACT: Hyper = dict(whole=True, problems=SMOOTH, steps=6)


def case(
    cls: type[ours.Optimizer],
    rule: Recurrence,
    both: Hyper,
    only_class: Hyper | None = None,
    only_rule: Hyper | None = None,
    whole: bool = False,
    problems: tuple[str, ...] = ANY,
    steps: int = 40,
) -> Case:
    """Return the comparison of a class with a rule by what both are given and what only one is."""
    path = literal(rule, both | (only_rule or {}), whole)
    return Case(
        cls, both | (only_class or {}), "NumPy recurrence of the paper", path, problems, steps, independent=False
    )
