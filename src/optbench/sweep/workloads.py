"""Workloads: each data set of a sweep, crossed with its sizes, widths and batches."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from optbench.checks import UserError, nearest

AXES = {"sizes": "n", "widths": "w", "batches": "b"}
"""What is crossed in each data set, with the letter that stands before it in a workload's name."""


def overridden(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides of a cell that choose its workloads, and all others."""
    chosen = [line for line in overrides if _key(line).partition(".")[0] == "workloads"]
    return chosen, [line for line in overrides if line not in chosen]


def crossed(workloads: Mapping[str, Any], overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield the overrides of a cell under each workload.

    Args:
        workloads: Presets by name, as in `conf/workloads`, and what the user gives for all of them: `sizes`, `widths`,
            `batches`.
        overrides: The cell's own; of what a workload sets they may replace all but its data, its model and its axes.

    Raises:
        UserError: An axis is none, or what the workload is made of is set elsewhere too.
    """
    given = {name: values for name, values in workloads.items() if name in AXES}
    presets = {name: preset for name, preset in workloads.items() if name not in AXES}
    _check(given, presets)
    typed = {_key(line) for line in overrides}
    for name, preset in presets.items():
        _check_typed(name, preset, typed)
        fixed = [f"{_written(key)}={_null(value)}" for key, value in preset["set"].items() if key not in typed]
        target = f"++workload.target={_null(preset.get('target'))}"
        for point in _points(preset, given):
            letters = [f"{AXES[axis]}{value}" for axis, value in point.items()]
            title = f"++workload.name={'_'.join([name, *letters])}"
            chosen = [_written(preset[axis]["write"].format(value)) for axis, value in point.items()]
            yield [*fixed, *chosen, title, target, *overrides]


def _check(given: Mapping[str, Any], presets: Mapping[str, Any]) -> None:
    """Raise where a preset is none, or no preset has an axis that is given."""
    for name, preset in presets.items():
        if not isinstance(preset, Mapping) or "set" not in preset:
            raise nearest("axis of workloads", str(name), AXES, ", ".join(AXES))
    if not presets:
        raise UserError(f"workloads.{next(iter(given))} is of workloads, of which there are none; give workloads=[...]")
    for axis in given:
        if not any(axis in preset for preset in presets.values()):
            raise UserError(f"workloads.{axis}: {', '.join(presets)} have none; leave it out")


def refuse_mini_batches(cells: Sequence[Sequence[str]], whole: Collection[str]) -> None:
    """Raise where workloads would give mini-batches to optimizers that their study trains on whole batches.

    Args:
        cells: The overrides of each cell, as `crossed` yields them.
        whole: Names of those optimizers.

    Raises:
        UserError: They would.
    """
    small = set()
    for lines in cells:
        values = dict(line.lstrip("+").split("=", 1) for line in lines if "=" in line)
        if values.get("optimizer") in whole and values.get("data.batch_size", "full") != "full":
            small.add(values["optimizer"])
    if small:
        names = ",".join(sorted(small))
        raise UserError(
            f"workloads give mini-batches to {names}, which this study trains on whole batches; leave them out, as by "
            f"'optimizer=glob(*,exclude=[{names}])', or give workloads.batches=[full]"
        )


def _check_typed(name: str, preset: Mapping[str, Any], typed: set[str]) -> None:
    """Raise where overrides set what a workload is made of."""
    remedies = {"data": "leave it out", "model": "leave it out"}
    remedies |= {_key(preset[axis]["write"]): f"give workloads.{axis}=[...]" for axis in AXES if axis in preset}
    for key, remedy in remedies.items():
        if key in typed:
            raise UserError(f"{key} is what workloads={name} sets; {remedy}")


def _points(preset: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a value for each axis of a preset, in all combinations."""
    axes = [axis for axis in AXES if axis in preset]
    values = [_values(axis, given.get(axis, preset[axis]["values"])) for axis in axes]
    for point in product(*values):
        yield dict(zip(axes, point, strict=True))


def _values(axis: str, given: Any) -> list[Any]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise UserError(f"workloads.{axis}={given} is no list of values; give one, such as [{_first(given)}]")
    return list(dict.fromkeys(given))


def _first(given: Any) -> Any:
    return 100 if isinstance(given, Sequence) else given


def _key(line: str) -> str:
    return line.lstrip("+~").partition("=")[0]


def _written(line: str) -> str:
    """Return an override of a keyword that a config need not list."""
    return f"++{line}" if "." in line.partition("=")[0] else line


def _null(value: Any) -> Any:
    return "null" if value is None else value
