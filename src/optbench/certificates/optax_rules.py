"""optax in float64, for the forms that torch's kind of packages does not have."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, RateFactors, Trajectory, version
from optbench.certificates.problems import Problem

SCALED: Hyper = dict(lr=0.05, eps=0.03, weight_decay=0.1, beta1=0.8, beta2=0.7)
BETAS: Hyper = dict(b1=0.8, b2=0.7)
MOMENTUM: Hyper = dict(lr=0.1, beta=0.8, weight_decay=0.1)
FEW = ("coupled", "network")  # each shape costs JAX a second

Make = Callable[[Any, Any], Any]
"""From the module and a schedule of the learning rate to a gradient transformation."""
Iterate = Callable[[Tensor, Any], Tensor]
"""From the parameters and the transformation's state to the method's own iterate."""


def cases() -> list[Case]:
    """Return the comparisons."""
    adagrad: Hyper = dict(lr=0.1, eps=0.03, weight_decay=0.1, eps_inside=True)
    rms: Hyper = dict(lr=0.02, alpha=0.7, eps=0.03, weight_decay=0.1, eps_inside=True)
    return [
        case(ours.Adam, dict(SCALED, eps_form="inside"), adam),
        case(ours.SOAP, dict(SCALED, eps_form="inside", decay="adamw"), adamw, FEW[:1]),
        case(ours.AMSGrad, dict(SCALED, form="corrected"), amsgrad),
        case(ours.NAdam, dict(SCALED, form="constant"), nadam),
        case(ours.Adagrad, adagrad, lambda o, lr: decayed(o, o.adagrad(lr, 0.0, 0.03))),
        case(ours.RMSprop, dict(rms, centered=False), lambda o, lr: rmsprop(o, lr, centered=False)),
        case(ours.RMSprop, dict(rms, centered=True), lambda o, lr: rmsprop(o, lr, centered=True)),
        case(ours.LAMB, SCALED, lambda o, lr: o.lamb(lr, **BETAS, eps=0.03, weight_decay=0.1)),
        case(ours.Momentum, dict(MOMENTUM, form="sum"), lambda o, lr: momentum(o, lr, nesterov=False)),
        case(ours.Momentum, dict(MOMENTUM, form="ema"), average),
        case(ours.NAG, dict(MOMENTUM, form="lookahead"), lambda o, lr: momentum(o, lr, nesterov=True), iterate=behind),
    ]


def decayed(o: Any, rule: Any) -> Any:
    """Return a rule whose gradients are those of a loss with L2 regularisation."""
    return o.chain(o.add_decayed_weights(0.1), rule)


def adam(o: Any, lr: Any) -> Any:
    """Return Adam with all of eps inside the root."""
    return decayed(o, o.adam(lr, **BETAS, eps=0.0, eps_root=0.03))


def adamw(o: Any, lr: Any) -> Any:
    """Return AdamW with all of eps inside the root."""
    return o.adamw(lr, **BETAS, eps=0.0, eps_root=0.03, weight_decay=0.1)


def amsgrad(o: Any, lr: Any) -> Any:
    """Return AMSGrad, which keeps the largest corrected moment."""
    return decayed(o, o.amsgrad(lr, **BETAS, eps=0.03))


def nadam(o: Any, lr: Any) -> Any:
    """Return NAdam, whose momentum is constant."""
    return decayed(o, o.nadam(lr, **BETAS, eps=0.03))


def rmsprop(o: Any, lr: Any, centered: bool) -> Any:
    """Return RMSprop with eps inside the root."""
    return decayed(o, o.rmsprop(lr, 0.7, 0.03, initial_scale=0.0, eps_in_sqrt=True, centered=centered))


def momentum(o: Any, lr: Any, nesterov: bool) -> Any:
    """Return the sum of past steps, each at its own learning rate."""
    return decayed(o, o.chain(o.scale_by_learning_rate(lr), o.trace(0.8, nesterov=nesterov)))


def average(o: Any, lr: Any) -> Any:
    """Return steps along the running mean of the gradients."""
    return decayed(o, o.chain(o.ema(0.8, debias=False), o.scale_by_learning_rate(lr)))


def behind(p: Tensor, state: Any) -> Tensor:
    """Return the iterate from which Nesterov's parameters look ahead along the velocity."""
    return p - 0.8 * joined(state[1][1].trace)


def joined(leaves: Any) -> Tensor:
    """Return arrays as one vector."""
    return torch.cat([torch.tensor(x.tolist(), dtype=torch.float64).flatten() for x in leaves])


def case(
    cls: type[ours.Optimizer],
    hyper: Hyper,
    make: Make,
    problems: tuple[str, ...] = FEW,
    iterate: Iterate = lambda p, state: p,
) -> Case:
    """Return the comparison of a class with a transformation.

    Args:
        cls: Our class.
        hyper: Its hyperparameters.
        make: What makes the transformation.
        problems: Where they agree.
        iterate: Where the method is.
    """
    return Case(cls, hyper, f"{version('optax')} {cls.__name__}", walk(hyper["lr"], make, iterate), problems)


def walk(lr: float, make: Make, iterate: Iterate) -> Trajectory:
    """Return the path of a transformation."""

    def path(problem: Problem, steps: int, rate: RateFactors) -> Tensor:
        jax = import_module("jax")
        optax = import_module("optax")
        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        try:
            return descend(problem, make(optax, lambda t: lr * rate(t.astype("float64"))), steps, iterate)
        finally:
            jax.config.update("jax_enable_x64", before)

    return path


def descend(problem: Problem, rule: Any, steps: int, iterate: Iterate) -> Tensor:
    """Return the path of a transformation, whose parameters are a list of arrays."""
    numpy = import_module("jax.numpy")
    apply = import_module("optax").apply_updates
    params = [numpy.asarray(p.detach().numpy().copy()) for p in problem.params]
    state = rule.init(params)
    points = [problem.flat()]
    for t in range(steps):
        loss = problem.at(joined(params), t)
        gradients = torch.autograd.grad(loss, problem.params)
        updates, state = rule.update([numpy.asarray(g.numpy()) for g in gradients], state, params)
        params = apply(params, updates)
        points.append(iterate(joined(params), state))
    return torch.stack(points)
