"""A comparison with a class of a package, by what both are given and what only one is."""

import contextlib
import io
from importlib import import_module
from typing import Any

from optbench import optimizers as ours
from optbench.certificates.case import Case, Hyper, RateFactors, changing, stepped, version
from optbench.certificates.problems import ANY

MODULES = {
    "torch.optim": "torch",
    "pytorch_optimizer": "pytorch-optimizer",
    "timm.optim": "timm",
    "schedulefree": "schedulefree",
    "prodigyopt": "prodigyopt",
    "qhoptim.pyt": "qhoptim",
    "came_pytorch": "came-pytorch",
    "momo": "momo-opt",
}
"""What is installed for a module."""

ADAM: Hyper = dict(lr=0.05, eps=0.03, beta1=0.8, beta2=0.7)
DECAYED: Hyper = dict(**ADAM, weight_decay=0.1)
PLAIN: Hyper = dict(lr=0.1, weight_decay=0.1)
MATRICES = ("matrices",)


def named(hyper: Hyper) -> Hyper:
    """Return hyperparameters as packages call them: the betas are a tuple."""
    betas = tuple(hyper[name] for name in ("beta1", "beta2", "beta3") if name in hyper)
    others = {name: value for name, value in hyper.items() if name not in ("beta1", "beta2", "beta3")}
    return others | ({"betas": betas} if betas else {})


def compare(
    module: str,
    mine: type[ours.Optimizer],
    theirs: str,
    both: Hyper,
    only_mine: Hyper | None = None,
    only_theirs: Hyper | None = None,
    problems: tuple[str, ...] = ANY,
    rate: RateFactors = changing,
    **more: Any,
) -> Case:
    """Return the comparison of two classes by what both are given and what only one is.

    Args:
        module: Where their class is.
        mine: Our class.
        theirs: Name of theirs.
        both: What both are given, by our names.
        only_mine: What only ours is given.
        only_theirs: What only theirs is given.
        problems: Where they agree.
        rate: How the learning rate changes.
        **more: Of the comparison, as `Case` has it.
    """

    def factory(params: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):  # one of them announces its decay
            return getattr(import_module(module), theirs)(params, **named(both) | (only_theirs or {}))

    reference = f"{version(MODULES[module])} {theirs}"
    return Case(mine, both | (only_mine or {}), reference, stepped(factory), problems, rate=rate, **more)
