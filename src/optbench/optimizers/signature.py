"""Hyperparameters from the annotations of a class: their defaults, their ranges, its signature and its docstring."""

import inspect
from typing import Any, ClassVar, get_origin, get_type_hints

from optbench.checks import describe

MISSING: Any = inspect.Parameter.empty
"""Stands for the default of a hyperparameter that has to be given."""

MEANINGS = {
    "lr": "Learning rate",
    "beta": "Share of the past that a velocity or a running mean keeps at each step",
    "beta1": "Share of the past that the mean of the gradients keeps at each step",
    "beta2": "Share of the past that the mean of their squares keeps at each step",
    "eps": "What keeps a denominator from zero",
    "weight_decay": "Strength of the weights' decay",
    "damping": "What is added to the curvature",
    "interval": "Steps from one renewal of the statistics to the next",
    "history_size": "Pairs of past changes that are kept",
    "max_iter": "Iterations of a step at most",
    "tolerance": "Largest gradient at which a step rests",
    "max_precondition_dim": "Largest side of a matrix that has a statistic of its own",
    "vector_scale": "Learning rate of vectors, as a share of `lr`",
    "ns_steps": "Newton-Schulz iterations",
    "seed": "What random draws start from",
    "base": "What makes the other optimizer from parameters",
    "model": "The network that the parameters are of",
    "total_steps": "Steps of the whole run",
}
"""What hyperparameters are that many classes have; a class tells of the others itself."""


def declared(cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a class body declares, defaults and kinds by name, and take the defaults off the class.

    A value belongs to a group of parameters: an attribute of the class would be read by mistake.

    Args:
        cls: A class with annotated fields (`lr: Rate = 0.01`), or with a plain `hyper = dict(lr=0.01)`, whose kinds are
            the types of the values.
    """
    plain: dict[str, Any] = cls.__dict__.get("hyper", {})
    typed = {
        name: kind
        for name, kind in get_type_hints(cls, include_extras=True).items()
        if name in cls.__annotations__ and get_origin(kind) is not ClassVar and kind is not ClassVar
    }
    defaults = {name: cls.__dict__.get(name, MISSING) for name in typed} | plain
    for name in typed.keys() & cls.__dict__.keys():
        delattr(cls, name)
    return defaults, {name: type(value) for name, value in plain.items()} | typed


def signature(defaults: dict[str, Any], kinds: dict[str, Any]) -> inspect.Signature:
    """Return the signature of a constructor that takes parameters, and hyperparameters by keyword."""
    P = inspect.Parameter
    own = [P(name, P.KEYWORD_ONLY, default=value, annotation=kinds[name]) for name, value in defaults.items()]
    return inspect.Signature([P("params", P.POSITIONAL_OR_KEYWORD), *own])


def documented(text: str | None, defaults: dict[str, Any], kinds: dict[str, Any]) -> str:
    """Return a docstring with a line for each hyperparameter: its name, what it is, its range and its default."""
    lines = []
    for name, value in defaults.items():
        default = "required" if value is MISSING else f"default {value!r}"
        meaning = f"{MEANINGS[name]}; " if name in MEANINGS else ""
        lines.append(f"    {name}: {meaning}{describe(kinds[name])}, {default}.")
    return "\n".join([inspect.cleandoc(text or ""), "", "Hyperparameters:", *lines])
