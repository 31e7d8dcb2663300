"""Our rules beside pytorch-optimizer's, each with what it is known to do otherwise switched off."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, RateFactors, constant, stepped, version
from optbench.certificates.pair import ADAM, DECAYED, MATRICES, PLAIN, compare, named
from optbench.certificates.problems import ANY, Problem


def kozistr() -> list[Case]:
    """Return the comparisons with pytorch-optimizer."""
    pair = partial(compare, "pytorch_optimizer")
    came: Hyper = dict(lr=0.02, weight_decay=0.1, eps1=0.01, eps2=0.02, beta1=0.8, beta2=0.6, beta3=0.7)
    vectors: Hyper = dict(lr_1d=0.05, weight_decay_1d=0.0)
    radam: Hyper = dict(lr=0.05, eps=0.03, beta1=0.8, beta2=0.9)
    ademamix: Hyper = dict(alpha=0.0, betas=(0.8, 0.7, 0.9), weight_decouple=True, fixed_decay=True)
    return [
        pair(ours.AdaBelief, "AdaBelief", ADAM, {}, dict(rectify=False)),
        pair(ours.Adan, "Adan", dict(beta3=0.6, **DECAYED)),
        pair(ours.ADOPT, "ADOPT", ADAM, {}, dict(clip_lambda=lambda t: (t - 1) ** 0.25)),  # not t
        pair(ours.AggMo, "AggMo", dict(lr=0.1, betas=(0.0, 0.7, 0.9))),
        pair(ours.CAME, "CAME", came, dict(d=0.5), dict(clip_threshold=0.5)),
        pair(
            ours.FTRL,
            "FTRL",
            dict(lr=0.2, beta=0.5),
            dict(l1=0.1, l2=0.3, warm_start=False),
            dict(lambda_1=0.1, lambda_2=0.3),
            rate=constant,  # a new one rescales its weights
        ),
        pair(  # it keeps the learning rate outside the velocity, and adapts it for matrices only
            ours.LARS,
            "LARS",
            dict(trust_coefficient=0.3, **PLAIN),
            dict(beta=0.8),
            dict(momentum=0.8),
            MATRICES,
            constant,
        ),
        pair(ours.Lion, "Lion", dict(lr=0.02, weight_decay=0.1, beta1=0.8, beta2=0.7)),
        pair(ours.MARS, "MARS", dict(gamma=0.1, **DECAYED), dict(eps_form="hat"), dict(optimize_1d=True)),
        pair(ours.MARS, "MARS", dict(gamma=0.1, **ADAM), dict(eps_form="hat", vectors="adamw"), vectors),
        pair(ours.Prodigy, "Prodigy", dict(d0=1e-3, **DECAYED)),
        pair(ours.QHM, "QHM", dict(lr=0.1, nu=0.6), dict(beta=0.8), dict(momentum=0.8)),
        pair(ours.RAdam, "RAdam", radam, dict(threshold=4.0), dict(n_sma_threshold=4, degenerated_to_sgd=True)),
        pair(ours.ScheduleFreeSGD, "ScheduleFreeSGD", PLAIN, dict(beta=0.8), dict(momentum=0.8)),
        pair(ours.ScheduleFreeAdamW, "ScheduleFreeAdamW", DECAYED),
        pair(ours.Shampoo, "Shampoo", dict(lr=0.1), dict(eps=0.1), dict(matrix_eps=0.1), MATRICES),
        pair(ours.SignSGD, "SignSGD", dict(lr=0.02), {}, dict(momentum=0.0)),
        pair(ours.Signum, "SignSGD", dict(lr=0.02), dict(beta=0.8), dict(momentum=0.8)),
        *soap(),
        *mixed(),
        *matrices(),
        pair(ours.ADOPT, "ADOPT", ADAM, dict(clip=False), dict(clip_lambda=None)),
        pair(ours.AdamW, "AdEMAMix", DECAYED, dict(decay="paper"), ademamix),  # alpha of 0 leaves AdamW
        pair(ours.Adam, "GaLore", ADAM, dict(eps_form="hat"), dict(weight_decay=0)),  # no rank
        *(in_double(sam(adaptive)) for adaptive in (False, True)),
        *(sophia(estimator) for estimator in ("exact", "hutchinson")),
        *(cautious(base, name, both) for base, name, both in MASKED),
    ]


MASKED: list[tuple[type[ours.Optimizer], str, Hyper]] = [
    (ours.Lion, "Lion", dict(lr=0.02, beta1=0.8, beta2=0.7)),
    (ours.AdEMAMix, "AdEMAMix", dict(alpha=0.0, beta3=0.9, **ADAM)),
]


def cautious(base: type[ours.Optimizer], name: str, both: Hyper) -> Case:
    """Return the comparison with a cautious rule of pytorch-optimizer."""
    theirs = dict(weight_decay=0.0, cautious=True, foreach=False, **named(both))
    reference = f"{version('pytorch-optimizer')} {name}, cautious"

    def factory(params: Any) -> Any:
        return getattr(import_module("pytorch_optimizer"), name)(params, **theirs)

    return Case(ours.Cautious, dict(base=partial(base, **both)), reference, stepped(factory))


def sam(adaptive: bool) -> Case:
    """Return the comparison with pytorch-optimizer's SAM, whose first gradient is the caller's to take."""

    def factory(params: Any) -> Any:
        made = import_module("pytorch_optimizer").SAM
        rule = made(params, torch.optim.SGD, rho=0.1, adaptive=adaptive, lr=0.1, momentum=0.8)
        step = rule.step

        def whole(closure: Any) -> None:
            closure()
            step(closure)

        rule.step = whole
        return rule

    base = partial(ours.Momentum, lr=0.1, beta=0.8, form="torch")
    reference = f"{version('pytorch-optimizer')} SAM"
    return Case(ours.SAM, dict(base=base, rho=0.1, adaptive=adaptive), reference, stepped(factory))


def sophia(estimator: str) -> Case:
    """Return the comparison with pytorch-optimizer's SophiaH, to which the Hessian's diagonal is given.

    Its clip is at p instead of 1, and it has no gamma: lr, eps and decay make up for both.
    """
    lr = 0.05
    eps = 0.02
    gamma = 0.3
    decay = 0.3
    seed = 4

    def diagonal(problem: Problem, t: int) -> list[Tensor]:
        slopes = torch.autograd.grad(problem.loss(t), problem.params, create_graph=True)
        H = problem.hessian(problem.flat(), t)
        sizes = [p.numel() for p in problem.params]
        if estimator == "exact":
            return [x.view_as(p) for x, p in zip(torch.split(H.diag(), sizes), problem.params, strict=True)]
        draw = torch.Generator().manual_seed(1_000_003 * seed + t)
        signs = [torch.empty_like(p).bernoulli_(generator=draw).mul_(2).sub_(1) for p in problem.params]
        products = torch.autograd.grad(slopes, problem.params, signs, materialize_grads=True)
        return [v * x for v, x in zip(signs, products, strict=True)]

    def path(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        made = import_module("pytorch_optimizer").SophiaH
        points = [problem.flat()]
        rule = made(problem.params, lr / gamma, (0.8, 0.6), decay * gamma, p=gamma, update_period=1000, eps=eps / gamma)
        for t in range(steps):
            rule.param_groups[0]["lr"] = rate(t) * lr / gamma
            hessian = [x.detach() for x in diagonal(problem, t)] if t % 4 == 0 else None
            for p, g in zip(problem.params, torch.autograd.grad(problem.loss(t), problem.params), strict=True):
                p.grad = g
            rule.step(hessian=hessian)
            points.append(problem.flat())
        return torch.stack(points)

    mine = dict(lr=lr, beta1=0.8, beta2=0.6, gamma=gamma, eps=eps, weight_decay=decay, interval=4)
    mine |= {"seed": seed} if estimator == "hutchinson" else {}
    reference = f"{version('pytorch-optimizer')} SophiaH"
    return Case(ours.Sophia, dict(mine, estimator=estimator), reference, path, steps=20)


def mixed() -> list[Case]:
    """Return the comparisons with pytorch-optimizer's AdEMAMix, with and without its warm-up."""
    pair = partial(compare, "pytorch_optimizer", ours.AdEMAMix, "AdEMAMix", dict(alpha=3.0, beta3=0.95, **DECAYED))
    return [
        pair({}, dict(weight_decouple=True)),
        pair(dict(warmup=15), dict(weight_decouple=True, t_alpha_beta3=15)),
    ]


SCION = dict.fromkeys(("sign", "column", "row"), ("steep_matrices",)) | {"spectral": ("steep_matrices", "coupled")}
"""Where its norms are the same: the package chooses that of vectors by itself, beside the spectral one of matrices."""


def matrices() -> list[Case]:
    """Return the comparisons with pytorch-optimizer's rules of matrices, kept from bfloat16 and float32."""
    pair = partial(compare, "pytorch_optimizer")
    norms = {"spectral": 1, "sign": 4, "column": 6, "row": 7}
    scion = [
        pair(
            ours.Scion,
            "SCION",
            dict(lr=0.02),
            dict(beta=0.8, radius=3.0, norm=norm, constrained=norm != "sign"),
            dict(momentum=0.2, scale=3.0, norm_type=number, constraint=norm != "sign"),
            SCION[norm],
        )
        for norm, number in norms.items()
    ]
    return [*map(in_double, scion), *normuon(), kron()]


def normuon() -> list[Case]:
    """Return the comparisons with pytorch-optimizer's NorMuon: matrices, and the vectors that it leaves to Adam."""

    def case(problem: str, muon: bool, theirs: Hyper, more: Hyper) -> Case:
        def factory(params: Any) -> Any:
            made = import_module("pytorch_optimizer").NorMuon
            return made([dict(params=params, use_muon=muon, lr=0.03, eps=0.01, weight_decay=0.1, **theirs)])

        mine = dict(lr=0.03, eps=0.01, weight_decay=0.1, **more)
        return Case(ours.NorMuon, mine, f"{version('pytorch-optimizer')} NorMuon", stepped(factory), (problem,))

    adam: Hyper = dict(beta1=0.8, beta2=0.7)
    matrix: Hyper = dict(beta=0.8, row_beta=0.7)
    forms: list[tuple[Hyper, Hyper]] = [
        (dict(nesterov=True, use_adjusted_lr=False), dict(nesterov=True, scale="spectral")),
        (dict(nesterov=False, use_adjusted_lr=True), dict(nesterov=False, scale="rms")),
    ]
    cases = [
        case("steep_matrices", True, dict(momentum=0.8, beta2=0.7, **theirs), matrix | mine) for theirs, mine in forms
    ]
    return [*map(in_double, cases), case("coupled", False, named(adam), dict(vector_scale=1.0, **adam))]


def kron() -> Case:
    """Return the comparison with pytorch-optimizer's Kron, whose random numbers are drawn as ours are."""
    seed = 5
    often = dict(flat_start=3, decay=0.1, min_prob=0.3)
    mine = dict(beta=0.8, flat=3, anneal=0.1, least=0.3, balance=0.5, max_precondition_dim=6, seed=seed)

    def factory(params: Any) -> Any:
        module = import_module("pytorch_optimizer.optimizer.psgd")
        return module.Kron(
            params,
            0.03,
            0.8,
            0.1,
            pre_conditioner_update_probability=module.precondition_update_prob_schedule(**often),
            max_size_triangular=6,
            precondition_dtype=torch.float64,
            balance_prob=0.5,
        )

    single = torch.float32

    def path(*arguments: Any) -> Any:
        draw = torch.Generator()
        t = 0

        def share() -> float:
            nonlocal t
            t += 1
            draw.manual_seed(1_000_003 * seed + t)
            return float(torch.rand((), generator=draw, dtype=single))

        def noise(x: Tensor, **_: Any) -> Tensor:
            draw.manual_seed(1_000_003 * seed + t)
            torch.rand((), generator=draw, dtype=single)
            return torch.empty_like(x).normal_(generator=draw)

        with patch("numpy.random.random", share), patch.object(torch, "randn_like", noise):
            return stepped(factory)(*arguments)

    reference = f"{version('pytorch-optimizer')} Kron"
    hyper = dict(lr=0.03, weight_decay=0.1, **mine)
    return in_double(Case(ours.PSGDKron, hyper, reference, path, ("matrices", *ANY)))


def soap() -> list[Case]:
    """Return the comparisons with pytorch-optimizer's SOAP, kept from float32: bases that turn, and unrotated sides."""
    pair = partial(compare, "pytorch_optimizer", ours.SOAP, "SOAP")
    every: tuple[Hyper, Hyper] = (dict(interval=3), dict(precondition_frequency=3))
    sizes = [dict(shampoo_beta=0.7, max_precondition_dim=limit, **DECAYED) for limit in (4, 3)]
    return [in_double(pair(both, *every, MATRICES)) for both in sizes]


def in_double(case: Case) -> Case:
    """Return a comparison whose reference, wherever it asks for less, gets float64."""

    def path(*arguments: Any) -> Any:
        orthogonal = import_module("pytorch_optimizer.optimizer.utils.matrix").zero_power_via_newton_schulz_5
        wide = tuple(torch.float64 if x is torch.bfloat16 else x for x in orthogonal.__defaults__)
        with (
            patch.object(torch, "float32", torch.float64),
            patch.object(Tensor, "float", Tensor.double),
            patch.object(orthogonal, "__defaults__", wide),
        ):
            return case.path(*arguments)

    return replace(case, path=path)


def lookahead() -> Case:
    """Return the comparison with pytorch-optimizer's Lookahead, around torch's Adam."""

    def factory(params: Any) -> Any:
        wrap = import_module("pytorch_optimizer").Lookahead
        return wrap(torch.optim.Adam(params, **named(ADAM)), k=3, alpha=0.3)

    base = partial(ours.Adam, **ADAM)
    reference = f"{version('pytorch-optimizer')} Lookahead"
    return Case(ours.Lookahead, dict(base=base, k=3, alpha=0.3), reference, stepped(factory))
