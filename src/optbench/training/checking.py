"""A look at a run before it begins: whatever is wrong with its config shows before anything is written."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from optbench import records
from optbench.checks import UNMADE, Count, Interval, Positive, Rate, UserError, blaming, check, nearest
from optbench.configs import FIGURES, GROUPS, build_schedule, dataset, resolve, values
from optbench.training import callbacks, path, trainer
from optbench.training.checkpoint import Every
from optbench.training.clip import clipping
from optbench.training.length import Length, measure
from optbench.training.trajectory import Keeping

Seed = Annotated[int, Interval("[0, 4294967295]")]
"""What Lightning takes."""

VALUES: dict[str, Any] = {
    "seed": Seed,
    "threads": Count,
    "replicas": Literal["auto", "off", False] | Count,
    "compile": path.Asked,
    "divergence": Positive,
    "timeout": Positive | None,
    "rerun": records.Rerun | None,
    "fail_fast": bool,
    "figures": tuple[str, ...] | None,
}
"""What may stand at the top of a config."""

PARTS: dict[str, dict[str, Any]] = {
    "checkpoint": {"every": Any},
    "workload": {"name": str | None, "target": Rate | None},
}
"""Fields of the parts of a config that are no groups."""


def validate(config: Mapping[str, Any], directory: Path | None = None) -> None:
    """Build all parts of a run, without training it, so that whatever is wrong shows before anything is written.

    Args:
        config: The composed config of one run, or its plain values.
        directory: Where the run would be recorded; None leaves that to the caller.

    Raises:
        UserError: A part does not exist or refuses its values, or the directory will not do.
    """
    from optbench.training.rehearsal import rehearsed

    _check_values(config)
    _check_kind(config)
    trainer.quiet()
    trainer.check_logger(config.get("logger"))
    example = trainer.example(json.dumps(values(config["trainer"])))
    clipping(config["trainer"])
    with blaming("data", UNMADE):
        data = dataset(config["data"])
    target = config["workload"].get("target")
    if target is not None and target > 1 and data.task == "classification":
        raise UserError(f"workload: target={target} is no accuracy; give one from 0 to 1")
    length = measure(config["trainer"], data.batches_per_epoch)
    optimizer = rehearsed(config, example, length.steps)
    rate = optimizer.param_groups[0].get("lr")
    with blaming("schedule"):
        _check_first_rate(config["schedule"], length, rate or 0.0)
    _check_scheduled(config, optimizer)
    logged = bool(config.get("logger")) and not config["trainer"].get("fast_dev_run")
    names = callbacks.measures(set(data.splits), data.task == "classification")
    callbacks.check_callbacks(example, names, logged, rate is not None)
    if directory:
        records.vacant(directory, records.identity(resolve(config)))


def is_single() -> bool:
    """Return whether Hydra runs one job, rather than a sweep."""
    mode: RunMode | None = HydraConfig.get().mode
    return mode == RunMode.RUN


def _check_values(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` where a value at the top of a config is none, or a group is missing."""
    for name, kind in VALUES.items():
        check("train", name, config[name], kind)
    for part, fields in PARTS.items():
        _check_part(config, part, fields)
    Keeping.of(config["trajectory"])
    Every.of(config["checkpoint"]["every"])
    for group in (*GROUPS, "trainer"):
        if not config.get(group):
            raise UserError(f"a run needs a {group}; give {group}=<name>")
    for name in config["figures"] or ():
        if name not in FIGURES:
            raise nearest("figure", str(name), FIGURES, ", ".join(FIGURES))


def _check_part(config: Mapping[str, Any], name: str, kinds: Mapping[str, Any]) -> None:
    """Raise a `UserError` where a part has another field than those that are read, or a wrong value."""
    part = config.get(name)
    if not isinstance(part, Mapping):
        raise UserError(f"train: {name}={part} is no mapping; give {name}.{next(iter(kinds))}=<value>")
    for field in part:
        if field not in kinds:
            raise nearest(f"field of {name}", str(field), kinds, ", ".join(kinds))
    for field, kind in kinds.items():
        check(name, field, part.get(field), kind)


def _check_kind(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` where a config holds what is of a sweep or a tuned study alone, or not of a sweep."""
    if "tuning" not in config:
        typed = [override.lstrip("+") for override in HydraConfig.get().overrides.task]
        asked = [name for name in ("budget", "search") if config.get(name)]
        if any(override.startswith("optimizer.search") for override in typed):
            asked.append("optimizer.search")
        for name in asked:
            raise UserError(f"{name} is of a tuned study, which this is not; give study=tuned, or leave {name} out")
    if config.get("workloads") and is_single():
        names = ", ".join(config["workloads"])
        raise UserError(f"workloads: {names}: many runs, and this is one; give optbench train -m")
    if config["trainer"].get("enable_progress_bar") and not is_single():
        raise UserError("trainer: enable_progress_bar=true: a sweep shows a bar of its own; leave it out")


def _check_first_rate(config: Any, length: Length, rate: float) -> None:
    """Raise a `UserError` where a schedule takes its arguments otherwise, or gives no learning rate at first."""
    schedule, _ = build_schedule(config, length.steps, length.epochs)
    if list(inspect.signature(schedule).parameters)[:2] == ["eta0", "t"]:
        raise UserError("schedule: it takes eta0 and t; it is given t and eta0, in this order")
    check("schedule", "its first rate", schedule(0, rate), Rate)


def _check_scheduled(config: Mapping[str, Any], optimizer: Any) -> None:
    """Raise a `UserError` where a schedule would change nothing."""
    rule = type(getattr(optimizer, "inner", optimizer))
    changes = config["schedule"]["_target_"] != "optbench.schedules.constant"
    if changes and not getattr(rule, "scheduled", True):
        raise UserError(
            f"schedule: {rule.__name__} heeds its learning rate at the first step alone, so that no schedule changes "
            "anything; give schedule=constant"
        )
