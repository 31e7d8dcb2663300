"""What tells runs apart: every value that differs in their resolved configs and matters to training, nothing else."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from optbench.configs import at, flatten
from optbench.records import Run
from optbench.training.trainer import acting

GROUPS = ("data", "model", "optimizer", "schedule", "trainer")
"""What a config makes; within one kind of each (one class, one optimizer) a value that differs is a label."""

PLAIN = ("compile", "divergence", "threads")
"""Values at the top of a config that matter to training."""

WORKLOAD = "workload"
"""The label of a run's data set, size, width and batch, where a sweep crosses such."""

INDIFFERENT = {
    "data": {"seed", "chunk_size", "download"},
    "optimizer": {"search", "core"},
    "trainer": {"accelerator", "enable_checkpointing", "enable_model_summary", "enable_progress_bar", "profiler"},
}
"""Keys that change nothing of what is learned: for `data.seed` see `_orders`, and a status has the device."""

ABSENT = "–"
"""The value of a label in a run whose config has no such key."""


def settings(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the labels of each run: `optimizer` first, then each key that differs, by its shortest name.

    A hyperparameter is a label where it differs between runs of one optimizer: between optimizers the name stands for
    all of them. So are the keys of the data, the model and the schedule between those of one class; the class itself
    is a label where there are several.

    Args:
        runs: Each with the groups of a config, which may lack keys.
    """
    kinds = [{group: _kind(run, group) for group in GROUPS} for run in runs]
    values = _agreed([_values(run) for run in runs])
    groups = [group for group in GROUPS if group != "optimizer" and len({kind[group] for kind in kinds}) > 1]
    keys = _varying(kinds, values)
    workloads = [str(flat.get(WORKLOAD, ABSENT)) for flat in values]
    if len(set(workloads)) > 1:  # its name stands for all that goes with it
        groups = [group for group in groups if not _follows(workloads, [kind[group] for kind in kinds])]
        keys = [key for key in keys if not _of_workload(key, workloads, values)]
    if _orders(runs):
        keys.append("data.seed")
        values = [{**flat, "data.seed": at(run.config, "data.seed")} for flat, run in zip(values, runs, strict=True)]
    return _labels(groups, keys, kinds, _called(keys, values), _named(runs, kinds))


def _labels(
    groups: Sequence[str],
    keys: Sequence[str],
    kinds: Sequence[Mapping[str, str]],
    values: Sequence[Mapping[str, Any]],
    names: Sequence[Mapping[str, str]],
) -> list[dict[str, Any]]:
    """Return the labels of each run by their shortest names.

    Args:
        groups: Those whose class is a label.
        keys: Dotted keys that are labels.
        kinds: The class of each group, by run.
        values: Values by dotted key, by run.
        names: What readers call each group's class, by run.
    """
    short = _short([*groups, *keys])
    rows = []
    for kind, flat, name in zip(kinds, values, names, strict=True):
        row: dict[str, Any] = {"optimizer": name["optimizer"]}
        for group in groups:
            row[short[group]] = name[group] if kind[group] else ABSENT
        for key in keys:
            row[short[key]] = flat.get(key, ABSENT)
        rows.append(row)
    return rows


def written(value: Any) -> str:
    """Return a label's value for readers, such as `0.001`, `1e+09` or `full`."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def labelled(key: str, value: Any) -> str:
    """Return a label in words, such as `lr 0.001`."""
    if key == "setting":
        return str(value)
    if key == "trials":
        return str(value) if value == "defaults" else f"{value} trials"
    return f"{key} {written(value)}"


def details(row: Any, keys: Sequence[str]) -> list[str]:
    """Return some labels of a row in words, but for those that it does not have."""
    return [labelled(key, row[key]) for key in keys if row[key] != ABSENT]


def named(frame: pd.DataFrame, keys: Sequence[str]) -> "pd.Series[str]":
    """Return what each run of a frame is called: its optimizer, and what these other labels say of it."""
    told = frame["optimizer"].astype(str)
    for key in keys:
        told = told + (", " + frame[key].map(partial(labelled, key))).where(frame[key] != ABSENT, "")
    return told


def usual_values(frame: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    """Return the commonest value of each label that no optimizer has two of: only what differs from it needs a name."""
    settings = frame[["optimizer", *keys]].drop_duplicates()
    counts = settings.groupby("optimizer").nunique()
    common = {key: settings[key].astype(str).mode()[0] for key in keys if counts[key].max() == 1}
    return {key: settings.loc[settings[key].astype(str) == text, key].iloc[0] for key, text in common.items()}


def unusual(frame: pd.DataFrame, usual: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame without its usual values, so that `named` leaves them out."""
    return frame.assign(**{key: frame[key].mask(frame[key] == value, ABSENT) for key, value in usual.items()})


def of_data(labels: Sequence[str], runs: Iterable[Run]) -> list[str]:
    """Return the labels that are of the data or the model, rather than of the optimizer and how it is run."""
    known = {key for run in runs for group in ("data", "model") for key in _group(run, group)} | {"data", "model"}
    return [label for label in labels if label in known or label.startswith(("data.", "model."))]


def _kind(run: Run, group: str) -> str:
    """Return the class that a group names; an optimizer also has the name of its config, where that is the user's."""
    target = str(_group(run, group).get("_target_", ""))
    if group != "optimizer":
        return target
    name = target.rpartition(".")[2]
    typed = _typed(run, group)
    own = typed and typed.replace("_", "").lower() != name.lower()
    return f"{target} {typed}" if own else target


def _group(run: Run, group: str) -> Mapping[str, Any]:
    node = run.config.get(group)
    return node if isinstance(node, Mapping) else {}


def _typed(run: Run, group: str) -> str:
    """Return which config of a group was chosen on the command line, if one was and its class is what was made."""
    typed = [override.lstrip("+").partition("=") for override in run.status.get("overrides", [])]
    values = {key: value for key, _, value in typed}
    return "" if f"{group}._target_" in values else str(values.get(group, ""))


def _named(runs: Sequence[Run], kinds: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return what readers call each run's kinds: an optimizer by its class, all else as a config chose it."""
    chosen: dict[tuple[str, str], str] = {}
    for run, kind in zip(runs, kinds, strict=True):
        for group in GROUPS:
            typed = _typed(run, group)
            if typed and group != "optimizer":
                chosen.setdefault((group, kind[group]), typed)
    called = {
        group: _apart({kind[group]: chosen.get((group, kind[group])) or _class(kind[group]) for kind in kinds})
        for group in GROUPS
    }
    return [{group: called[group][name] for group, name in kind.items()} for kind in kinds]


def _class(kind: str) -> str:
    """Return the name of a kind's class without its module, or the name of the user's own config of an optimizer."""
    return kind.rpartition(" ")[2].rpartition(".")[2]


def _apart(names: Mapping[str, str]) -> dict[str, str]:
    """Return short names, each in full where two kinds would be called alike, but for a class of ours."""
    taken = list(names.values())
    return {
        kind: name if taken.count(name) == 1 or re.fullmatch(r"optbench\.\S+", kind) else kind
        for kind, name in names.items()
    }


def _called(keys: Sequence[str], values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return values in which the classes that some keys name are called by their last words, where these differ."""
    called = {
        key: _apart({flat[key]: _class(flat[key]) for flat in values if key in flat})
        for key in keys
        if key.endswith("_target_")
    }
    return [{**flat, **{key: names[flat[key]] for key, names in called.items() if key in flat}} for flat in values]


def _values(run: Run) -> dict[str, Any]:
    """Return what matters to training as dotted keys and plain values."""
    flat: dict[str, Any] = {}
    for group in GROUPS:
        left_out = {*INDIFFERENT.get(group, ()), "_target_", "_partial_"}
        given = acting(_group(run, group)) if group == "trainer" else _group(run, group)
        flat |= _flat({k: v for k, v in given.items() if k not in left_out}, f"{group}.")
    flat |= {name: run.config[name] or "off" for name in PLAIN if name in run.config}
    content = run.status.get("content")
    if isinstance(content, Mapping):
        flat |= {f"{group}.content": str(version) for group, version in content.items()}
    if isinstance(run.status.get("device"), str):
        flat["device"] = run.status["device"]
    workload = run.config.get("workload")
    if isinstance(workload, Mapping) and workload.get("name") is not None:
        flat[WORKLOAD] = str(workload["name"])
    return _as_tuned(run, flat)


def _agreed(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return values in which runs that have not begun have what only a begun one can tell, where all those agree."""
    told = dict.fromkeys(key for flat in values for key in flat if key == "device" or key.endswith(".content"))
    for key in told:
        known = {flat[key] for flat in values if key in flat}
        if len(known) == 1:
            values = [{key: next(iter(known)), **flat} for flat in values]
    return values


def _as_tuned(run: Run, flat: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a final of a tuned study with what was searched as one, and how many trials it won against.

    Every optimizer has a search space of its own: as labels these hyperparameters would be columns of dashes.
    """
    tuning = run.config.get("tuning")
    if not isinstance(tuning, Mapping) or tuning.get("stage") != "finals":
        return flat
    searched = {f"optimizer.{name}" for name in _searched(run)}
    found = {key.rpartition(".")[2]: value for key, value in flat.items() if key in searched}
    others = {key: value for key, value in flat.items() if key not in searched}
    text = ", ".join(f"{name}={written(value)}" for name, value in found.items())
    return others | {"tuning.trials": tuning.get("trials", ABSENT), "tuning.setting": text or ABSENT}


def _searched(run: Run) -> set[str]:
    """Return the dotted names of the hyperparameters that a config declares or was told to search."""
    declared = _group(run, "optimizer").get("search")
    told = run.config.get("search")
    ranges = {**declared} if isinstance(declared, Mapping) else {}
    ranges |= told if isinstance(told, Mapping) else {}
    return {re.sub(r"\.(low|high|log)$", "", name) for name in flatten(ranges)}


def _flat(node: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what is below a node as dotted keys and values that a column can hold."""
    flat = flatten(node, prefix)
    return {key: _plain(value) for key, value in flat.items() if not key.endswith("_partial_")}


def _plain(value: Any) -> Any:
    """Return a value that a column can hold."""
    if value is None:
        return "null"
    return value if isinstance(value, bool | int | float | str) else str(value)


def _varying(kinds: Sequence[Mapping[str, str]], values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys with more than one value among the runs of one kind, in the order of the configs."""
    seen: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    varying: dict[str, None] = {}
    known = dict.fromkeys(key for flat in values for key in flat)
    for kind, flat in zip(kinds, values, strict=True):
        for key in known:
            group = key.partition(".")[0]
            first = seen[key].setdefault(kind.get(group, ""), flat.get(key, ABSENT))
            if flat.get(key, ABSENT) != first:
                varying[key] = None
    return [key for key in known if key in varying]


def _of_workload(key: str, workloads: Sequence[str], values: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a key of what is trained says nothing that the workload does not say."""
    own = key.partition(".")[0] in ("data", "model", "trainer")
    return own and _follows(workloads, [flat.get(key, ABSENT) for flat in values])


def _follows(workloads: Sequence[str], values: Sequence[Any]) -> bool:
    """Return whether each workload has one value."""
    first: dict[str, Any] = {}
    return all(first.setdefault(name, value) == value for name, value in zip(workloads, values, strict=True))


def _orders(runs: Sequence[Run]) -> bool:
    """Return whether runs of one seed saw their mini-batches in different orders."""
    orders = defaultdict(set)
    for run in runs:
        if "seed" in _group(run, "data"):
            orders[run.config.get("seed")].add(run.config["data"]["seed"])
    return any(len(seeds) > 1 for seeds in orders.values())


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted key, or all of it where two would be the same, or where it is a content."""
    last = {key: key.removesuffix("._target_").rpartition(".")[2] for key in keys if not key.endswith(".content")}
    taken = [*last.values(), "optimizer", "seed"]
    return {key: last[key] if taken.count(last.get(key, key)) == 1 else key for key in keys}
