"""What a value may be, and what the user is told where it is not."""

from typing import Annotated, Any, Literal

import pytest
from omegaconf import ListConfig

from optbench.checks import Count, Decay, Interval, Positive, Rate, UserError, check, check_call, checked, describe


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Rate, [0, 0.5, 1e9], [-1e-9, float("nan"), True, "1", None]),
        (Positive, [1e-300], [0, -1]),
        (Decay, [0, 0.999], [1, -0.1]),
        (Annotated[float, Interval("(-1, 1]")], [1, -0.9], [-1, 1.1]),
        (Count, [1, 10**9], [0, 1.0, True]),
        (Count | None, [1, None], [0, "x"]),
        (Count | Literal["full"], [1, "full"], [0, "ful"]),
        (Literal["a", "b"], ["a"], ["c", 1]),
        (tuple[Count, ...], [(), [1, 2], ListConfig([1])], [[0], [1.5], "a", 1]),
        (bool, [True], [1]),
        (Any, [object], []),
    ],
)
def test_what_fits_and_what_does_not(annotation, good, bad):
    for value in good:
        check("Thing", "x", value, annotation)
    for value in bad:
        with pytest.raises(UserError) as error:
            check("Thing", "x", value, annotation)
        assert str(error.value).startswith(f"Thing: x={value!r}") and "\n" not in str(error.value)


def test_values_take_the_annotated_type():
    assert type(check("Thing", "x", 1, Rate)) is float
    assert check("Thing", "x", ListConfig([1, 2]), tuple[Count, ...]) == (1, 2)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Decay, "number in [0, 1)"),
        (Count | None, "whole number in [1, inf) or null"),
        (Literal["a", "b"], "one of a, b"),
        (tuple[Count, ...], "list, each a whole number in [1, inf)"),
    ],
)
def test_annotations_in_words(annotation, words):
    assert describe(annotation) == words


def thing(size: Count, rate: Rate = 0.5, *, form: Literal["a", "b"] = "a"):
    return size, rate, form


def test_a_call_gets_its_defaults_and_types():
    assert check_call(thing, {"size": 2, "rate": 1}) == {"size": 2, "rate": 1.0, "form": "a"}
    assert check_call(thing, {"form": "b"}, later=["size"]) == {"rate": 0.5, "form": "b"}
    assert checked(thing)(3, form="b") == (3, 0.5, "b")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 1, "fom": "a"}, "no argument of thing 'fom'; did you mean 'form'? (3 known: size, rate, form)"),
        ({}, "thing: size is missing; give size=<whole number in [1, inf)>"),
        ({"size": 0}, "thing: size=0 is outside [1, inf)"),
        ({"size": 1, "rate": "fast"}, "thing: rate='fast' is not a number"),
        ({"size": 1, "form": "c"}, "thing: form='c' is not one of a, b"),
    ],
)
def test_a_bad_call_gets_one_line(given, message):
    for call in (check_call, lambda function, given: checked(function)(**given)):
        with pytest.raises(UserError) as error:
            call(thing, given)
        assert str(error.value) == message


def test_further_keywords_pass_where_the_target_takes_them():
    assert check_call(lambda a=1, **rest: None, {"b": 2}) == {"a": 1, "b": 2}
