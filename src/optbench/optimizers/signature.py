"""Hyperparameters from the annotations of a class: their defaults, their ranges, its signature and its docstring."""

import inspect
from typing import Any, ClassVar, get_origin, get_type_hints

from optbench.checks import describe

MISSING: Any = inspect.Parameter.empty
"""Stands for the default of a hyperparameter that has to be given."""


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
    """Return a docstring with a line for each hyperparameter: its name, its range and its default."""
    lines = []
    for name, value in defaults.items():
        default = "required" if value is MISSING else f"default {value!r}"
        lines.append(f"    {name}: {describe(kinds[name])}, {default}.")
    return "\n".join([inspect.cleandoc(text or ""), "", "Hyperparameters:", *lines])
