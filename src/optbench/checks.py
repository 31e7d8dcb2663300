"""What a value may be, stated once as an annotation, and errors that name the thing, the value and the remedy."""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

P = ParamSpec("P")
T = TypeVar("T")


class UserError(ValueError):
    """Something the user typed; its message is one line and is all that the user needs to see."""


def one_line(text: object) -> str:
    """Return what an error says, or any other text, in one line."""
    return " ".join(str(text).split())


def said(error: BaseException) -> str:
    """Return what an error says after the name of its class, in one line."""
    return f"{type(error).__name__}: {one_line(error)}"[:500]


UNMADE = "; does its __init__ begin with super().__init__()?"
"""What is to be looked at where an object lacks what its base class makes."""


@contextmanager
def blaming(what: str, hint: str = "") -> Iterator[None]:
    """Turn any error of code of others into a `UserError`.

    Args:
        what: What is to blame; the error follows.
        hint: What is to be looked at where an object lacks an attribute.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        remedy = hint if isinstance(error, AttributeError) else ""
        raise UserError(f"{what}: {said(error)}{remedy}") from None


class Interval:
    """A range of numbers in the usual notation, such as `[0, 1)`.

    Args:
        text: Bounds with a bracket where the bound belongs to the range and a parenthesis where not.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.low, self.high = (float(bound) for bound in text[1:-1].split(","))

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.text[0] == "[" else value > self.low
        below = value <= self.high if self.text[-1] == "]" else value < self.high
        return above and below

    def __repr__(self) -> str:
        return self.text


Rate = Annotated[float, Interval("[0, inf)")]
Positive = Annotated[float, Interval("(0, inf)")]
Decay = Annotated[float, Interval("[0, 1)")]
Fraction = Annotated[float, Interval("[0, 1]")]
Count = Annotated[int, Interval("[1, inf)")]
Index = Annotated[int, Interval("[0, inf)")]


def nearest(kind: str, name: str, known: Iterable[str], listing: str) -> UserError:
    """Return the error for a name that is not known, with the nearest one that is.

    Args:
        kind: What is named, such as `optimizer`.
        name: The unknown name.
        known: All names that would do.
        listing: Command or phrase that shows them all.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.5)
    close.sort(key=lambda other: sorted(other) != sorted(name.lower()))  # swapped letters are the likeliest slip
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return UserError(f"no {kind} '{name}'{hint} ({len(known)} known: {listing})")


def refuse_idle(given: Collection[str], reasons: Mapping[str, str], owner: str = "") -> None:
    """Refuse what would change nothing.

    Args:
        given: What the user gave, by name.
        reasons: Why it would change nothing, by name.
        owner: Whose it is, for the message.

    Raises:
        UserError: One of them was given.
    """
    for name, reason in reasons.items():
        if name in given:
            raise UserError(f"{owner}{name} {reason}; leave it out")


def check(owner: str, name: str, value: Any, annotation: Any) -> Any:
    """Return `value` as the annotation's type, or raise.

    Args:
        owner: Who takes the value, for the message.
        name: What the value is called there.
        value: The value as it was given.
        annotation: A type, `Literal`, union or `Annotated[type, Interval]`.

    Raises:
        UserError: The value is of another type or outside the interval.
    """
    base, interval = _parts(annotation)
    if not _fits(value, base):
        raise UserError(f"{owner}: {name}={value!r} is not {_describe(base)}")
    value = _convert(value, base)
    if interval is not None and value is not None and value not in interval:
        raise UserError(f"{owner}: {name}={value!r} is outside {interval}")
    return value


def check_call(
    target: Callable[..., Any], given: Mapping[str, Any], later: Iterable[str] = (), where: str = ""
) -> dict[str, Any]:
    """Return the arguments of a call, defaults included, each as the target's signature annotates it.

    Args:
        target: A class or function.
        given: Arguments by name.
        later: Names of arguments that the caller adds, which may be missing yet.
        where: What stands in front of an argument's name where it is typed, such as `data.`.

    Raises:
        UserError: An argument is unknown, missing, of a wrong type or out of range.
    """
    owner = target.__name__
    named, open_ended = named_parameters(target)
    extra = {name: value for name, value in given.items() if name not in named}
    bare = extra.keys() & vars(target).get("__annotations__", {}).keys()
    if bare and not open_ended:
        raise UserError(f"{owner}: {min(bare)} is a field that its __init__ lacks; write @dataclass above the class")
    if extra and not open_ended:
        raise nearest(f"argument of {owner}", next(iter(extra)), named, ", ".join(named))
    values: dict[str, Any] = {}
    for name, parameter in named.items():
        if name in given:
            known = parameter.annotation is not parameter.empty
            values[name] = check(owner, name, given[name], parameter.annotation if known else Any)
        elif name not in later:
            values[name] = parameter.default
        if values.get(name) is inspect.Parameter.empty:
            raise UserError(f"{owner}: {name} is missing; give {where}{name}=<{describe(parameter.annotation)}>")
    return values | extra


def named_parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters of a target that have names of their own, and whether it takes other keywords too."""
    parameters = _signature(target).parameters.values()
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that checks its arguments by `check_call` first."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        given = _signature(function).bind_partial(*args).arguments | kwargs
        return function(**check_call(function, given))  # type: ignore[call-arg]

    return call


@functools.cache
def _parts(annotation: Any) -> tuple[Any, Interval | None]:
    if get_origin(annotation) is not Annotated:
        return annotation, None
    base, *notes = get_args(annotation)
    return base, next((x for x in notes if isinstance(x, Interval)), None)


@functools.cache
def _signature(target: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(target, eval_str=True)


def describe(annotation: Any) -> str:
    """Return an annotation in words, such as `number in [0, 1)`."""
    if get_origin(annotation) is Annotated:
        base, *notes = get_args(annotation)
        return f"{_describe(base)} in {notes[0]}".removeprefix("a ").removeprefix("an ")
    return _describe(annotation).removeprefix("a ").removeprefix("an ")


def _fits(value: Any, base: Any) -> bool:
    """Return whether a value is of a type, which may be a union, a list of a type or a choice of words."""
    origin = get_origin(base)
    if base is Any:
        return True
    if base is NoneType or base is None:
        return value is None
    if origin is Literal:
        return value in get_args(base)
    if origin in (Union, UnionType):
        return any(_member_fits(value, member) for member in get_args(base))
    if origin is tuple:
        is_list = isinstance(value, Sequence) and not isinstance(value, str)  # a config's is no `list`
        return is_list and all(_member_fits(x, get_args(base)[0]) for x in value)
    if base in (float, int):
        return _is_number(value, base)
    return isinstance(value, base) if isinstance(base, type) else callable(value)


def _is_number(value: Any, base: type) -> bool:
    """Return whether a value is a number, whole if `base` is int; neither a truth value nor NaN is one."""
    if isinstance(value, bool):
        return False
    if base is int:
        return isinstance(value, Integral)
    return isinstance(value, Real) and not math.isnan(value)


def _member_fits(value: Any, member: Any) -> bool:
    if get_origin(member) is not Annotated:
        return _fits(value, member)
    base, interval, *_ = get_args(member)
    return _fits(value, base) and value in interval


def _convert(value: Any, base: Any) -> Any:
    if base in (float, int):
        return base(value)
    if get_origin(base) is tuple:
        return tuple(_convert(x, _parts(get_args(base)[0])[0]) for x in value)
    return value


def _describe(base: Any) -> str:
    origin = get_origin(base)
    if origin is Annotated:
        return f"{_describe(get_args(base)[0])} in {get_args(base)[1]}"
    if origin is Literal:
        return "one of " * (len(get_args(base)) > 1) + ", ".join(map(str, get_args(base)))
    if origin in (Union, UnionType):
        return " or ".join(_describe(member) for member in get_args(base))
    if origin is tuple:
        return f"a list, each {_describe(get_args(base)[0])}"
    names = {
        Any: "a value",
        inspect.Parameter.empty: "a value",
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a word",
        NoneType: "null",
    }
    return names.get(base, str(getattr(base, "__name__", base)))
