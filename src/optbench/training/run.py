"""From a composed config to a finished run: check it, build it, train it, record how it ended."""

import itertools
import json
import shlex
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from optbench import records
from optbench.checks import Count, Interval, Positive, Rate, UserError, check, nearest, one_line
from optbench.configs import (
    FIGURES,
    GROUPS,
    build_model,
    build_schedule,
    construct,
    dataset,
    enter,
    explain,
    key,
    resolve,
    values,
)
from optbench.optimizers.build import build_optimizer
from optbench.training import callbacks, checkpoint, foreign, path
from optbench.training import trainer as trainers
from optbench.training.checkpoint import Every
from optbench.training.clip import clipping
from optbench.training.ending import Cut, Ending
from optbench.training.fit import fit
from optbench.training.length import measure
from optbench.training.trainer import quiet
from optbench.training.trajectory import Keeping

Seed = Annotated[int, Interval("[0, 4294967295]")]
"""What Lightning takes."""


def train(config: DictConfig, loaded: Mapping[str, Any] | None = None, ending: Ending | None = None) -> None:
    """Train one composed config in Hydra's output directory; how it ended is in the record, and nothing is raised.

    Args:
        config: The composed config.
        loaded: Data modules that this process has already, see `configs.dataset`.
        ending: What asks the run to end; a single run has its own.

    Raises:
        UserError: The directory holds another run, or cannot be written.
        SystemExit: A single run failed.
    """
    quiet()
    single = _is_single()
    ending = ending or Ending()
    place = Path(HydraConfig.get().runtime.output_dir)
    if single and records.anew(place, config.get("rerun")):
        records.restart(place)
    try:
        record = open_record(config, "longer" if single and config.get("resume") else None)
    except records.Finished as there:
        if not single:
            raise
        print(there)
        return
    if single:
        ending.after(config.get("timeout"))
    with ending.listening(("SIGTERM", "SIGINT") if single else ("SIGTERM",)), failing([record]):
        ending.records = [record]
        record.finish(*fit(config, record, loaded, ending))
    if single:
        announce(record)


def _is_single() -> bool:
    """Return whether Hydra runs one job, rather than a sweep."""
    mode: RunMode | None = HydraConfig.get().mode
    return mode == RunMode.RUN


def open_record(config: DictConfig, resume: records.Resume | None = None) -> records.Record:
    """Return the record of a run that begins or goes on, in Hydra's output directory.

    Args:
        config: The composed config.
        resume: As for `records.Record`.

    Raises:
        UserError: The directory holds another run, or this one at its end, or cannot be written.
    """
    hydra = HydraConfig.get()
    typed = [override.removeprefix("++") for override in hydra.overrides.task]
    typed = [override for override in typed if not override.startswith("resume=")]
    return records.Record(Path(hydra.runtime.output_dir), resolve(config), typed, resume, flags(hydra))


def flags(hydra: Any) -> list[str]:
    """Return the flags that Hydra composed with, `--config-dir` and `-cn`, from its own config."""
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    found = [word for folder in folders for word in ("--config-dir", str(folder))]
    name = hydra.job.config_name
    return found if name in (None, "train") else [*found, "-cn", str(name)]


@contextmanager
def failing(unfinished: Iterable[records.Record]) -> Iterator[None]:
    """Close the records that are unfinished as failed where an error ends their run, and let other runs go on."""
    try:
        yield
    except Cut as error:
        for record in unfinished:
            record.finish(error.status, error.reason, cut=True)
    except (KeyboardInterrupt, SystemExit) as error:
        code = getattr(error, "code", None)
        interrupted = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
        reason = "interrupted" if interrupted else f"sys.exit({'' if code is None else ascii(code)})"
        for record in unfinished:
            record.finish("failed", reason, cut=interrupted)
        raise
    except Exception as error:
        for record in unfinished:
            record.finish("failed", f"{type(error).__name__}: {one_line(error)}")
            records.write(record.directory / "error.txt", traceback.format_exc())


def announce(record: records.Record) -> None:
    """Print how a single run ended, where it lies and what to type next.

    Raises:
        SystemExit: The run failed; Hydra would keep any other error to itself.
    """
    status = record.status["status"]
    reason = record.status["reason"]
    if record.status["cut"]:
        print(f"optbench: {reason}; the same command goes on from {record.directory}", file=sys.stderr)
        raise SystemExit(130 if reason == "interrupted" else 1)
    if status == "failed":
        raise SystemExit(f"optbench: the run failed: {reason}; see {record.directory / 'error.txt'}")
    last = record.rows[-1]
    names = [name for name in ("test_accuracy", "test_loss", "train_loss") if last[name] != ""]
    values = ", ".join(f"{name.replace('_', ' ')} {last[name]:.4g}" for name in names)
    why = f": {reason}" if reason else ""
    if asked := record.status.get("path_reason"):
        print(f"compile: it steps as it is written ({asked})")
    print(f"{status}{why}; {values} after {last['epoch']:.4g} epochs, {last['train_seconds']:.1f} s of training")
    print(f"{record.directory}\n\nnext: {shlex.join(['optbench', 'report', str(record.directory)])}")


def validate(config: Mapping[str, Any], directory: Path | None = None) -> None:
    """Build all parts of a run, without training it, so that whatever is wrong shows before anything is written.

    Args:
        config: The composed config of one run, or its plain values.
        directory: Where the run would be recorded; None leaves that to the caller.

    Raises:
        UserError: A part does not exist or refuses its values, or the directory will not do.
    """
    _check_values(config)
    _check_kind(config)
    quiet()
    trainers.check_logger(config.get("logger"))
    trainer = trainers.example(json.dumps(values(config["trainer"])))
    clipping(config["trainer"])
    with blaming("data"):
        data = dataset(config["data"])
    target = config["workload"].get("target")
    if target is not None and target > 1 and data.task == "classification":
        raise UserError(f"workload: target={target} is no accuracy; give one from 0 to 1")
    length = measure(config["trainer"], data.batches_per_epoch)
    try:
        optimizer = rehearsed(config, trainer, length.steps)
        schedule, _ = build_schedule(config["schedule"], length.steps, length.epochs)
        rate = optimizer.param_groups[0].get("lr")
        first = schedule(0, rate or 0.0)
        check("schedule", "its first rate", first, Rate)
        check_scheduled(config, optimizer)
    except TypeError as error:
        raise UserError(one_line(error)) from None
    logged = bool(config.get("logger")) and not config["trainer"].get("fast_dev_run")
    names = callbacks.measures(set(data.splits), data.task == "classification")
    callbacks.check_callbacks(trainer, names, logged, rate is not None)
    if directory:
        records.vacant(directory, records.identity(resolve(config)))


def _check_values(config: Mapping[str, Any]) -> None:
    """Raise where a value at the top of a config is none, or a group is missing."""
    check("train", "seed", config["seed"], Seed)
    check("train", "threads", config["threads"], Count)
    check("train", "replicas", config["replicas"], Literal["auto", "off", False] | Count)
    check("train", "compile", config["compile"], path.Asked)
    check("train", "divergence", config["divergence"], Positive)
    Keeping.of(config["trajectory"])
    check("train", "timeout", config["timeout"], Positive | None)
    check("train", "rerun", config["rerun"], records.Rerun | None)
    check("train", "fail_fast", config["fail_fast"], bool)
    _check_part(config, "checkpoint", {"every": Any})
    Every.of(config["checkpoint"]["every"])
    _check_part(config, "workload", {"name": str | None, "target": Rate | None})
    check("train", "figures", config["figures"], tuple[str, ...] | None)
    for group in (*GROUPS, "trainer"):
        if not config.get(group):
            raise UserError(f"a run needs a {group}; give {group}=<name>")
    for name in config["figures"] or ():
        if name not in FIGURES:
            raise nearest("figure", str(name), FIGURES, ", ".join(FIGURES))


def _check_kind(config: Mapping[str, Any]) -> None:
    """Raise where a config holds what is of a sweep or a tuned study alone, or what is not of a sweep."""
    for name in ("budget", "search"):
        if config.get(name) and "tuning" not in config:
            raise UserError(f"{name} is of a tuned study, which this is not; give study=tuned, or leave {name} out")
    typed = HydraConfig.get().overrides.task
    if "tuning" not in config and any(line.lstrip("+").startswith("optimizer.search") for line in typed):
        raise UserError("optimizer.search is of a tuned study, which this is not; give study=tuned, or leave it out")
    if config.get("workloads") and _is_single():
        names = ", ".join(config["workloads"])
        raise UserError(f"workloads: {names}: many runs, and this is one; give optbench train -m")
    if config["trainer"].get("enable_progress_bar") and not _is_single():
        raise UserError("trainer: enable_progress_bar=true: a sweep shows a bar of its own; leave it out")


def _check_part(config: Mapping[str, Any], name: str, kinds: Mapping[str, Any]) -> None:
    """Raise where a part of a config that is no group has another field than those that are read, or a wrong value.

    Raises:
        UserError: It has.
    """
    part = config.get(name)
    if not isinstance(part, Mapping):
        raise UserError(f"train: {name}={part} is no mapping; give {name}.{next(iter(kinds))}=<value>")
    for field in part:
        if field not in kinds:
            raise nearest(f"field of {name}", str(field), kinds, ", ".join(kinds))
    for field, kind in kinds.items():
        check(name, field, part.get(field), kind)


def unmade(error: Exception) -> str:
    """Return what is to be looked at where an object lacks what its base class makes."""
    return "; does its __init__ begin with super().__init__()?" * isinstance(error, AttributeError)


@contextmanager
def blaming(group: str) -> Iterator[None]:
    """Turn any error of a class that the user named into a `UserError` that says which group of the config it is."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{group}: {type(error).__name__}: {one_line(error)}{unmade(error)}") from None


def check_scheduled(config: Mapping[str, Any], optimizer: Any) -> None:
    """Raise where a schedule would change nothing; a tuned study has one for all of its optimizers.

    Raises:
        UserError: The optimizer heeds its learning rate at the first step alone.
    """
    rule = type(getattr(optimizer, "inner", optimizer))
    changes = config["schedule"]["_target_"] != "optbench.schedules.constant"
    if changes and not getattr(rule, "scheduled", True) and "tuning" not in config:
        raise UserError(
            f"schedule: {rule.__name__} heeds its learning rate at the first step alone, so that no schedule changes "
            "anything; give schedule=constant"
        )


REHEARSED: set[str] = set()
"""What was tried together already: data, model, precision and optimizer, but for its numbers."""


def rehearsed(config: Mapping[str, Any], trainer: Any, steps: int | None) -> Any:
    """Return the optimizer of a run, whose parts have taken a step together, in this run or one like it."""
    from optbench.training.rehearsal import rehearse

    data = dataset(config["data"])
    make = partial(build_model, config["model"], data.features, data.outputs)
    with blaming("model"):
        model = make()
        foreign.check_trainable(model, config["model"]["_target_"])
    with blaming("optimizer"):
        optimizer = build_optimizer(config["optimizer"], model, steps)(model.parameters())
    rule = {name: value for name, value in config["optimizer"].items() if type(value) not in (int, float)}
    shared = trainer.world_size > 1
    parts = (config["trainer"].get("precision"), shared, key(config["data"]), dict(config["model"]), rule)
    if str(parts) not in REHEARSED:
        if foreign.foreign(config["model"]):
            foreign.check_seeded(make, config["model"]["_target_"])
        if foreign.foreign(config["data"]):
            other = construct("data", config["data"])()
            other.setup()
            foreign.check_repeats(data, other)
        plain = OmegaConf.create({**config["optimizer"], **({"compile": False} if rule.get("compile") else {})})
        rehearse(model, data, build_optimizer(plain, model, steps), trainer.precision_plugin, shared)
        REHEARSED.add(str(parts))
    return optimizer


class Guard(Callback):
    """Refuses a single run before Hydra has touched its directory; a sweep is checked by its sweeper."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run; Hydra swallows errors of callbacks, but not an exit."""
        enter(config)
        directory = Path(config.hydra.run.dir)
        named = any("hydra.run.dir=" in typed for typed in config.hydra.overrides.hydra)
        place = directory if named else directory.parent  # another one may begin in the same second
        try:
            validate(config, None if config.resume else place)
            if config.resume and config.rerun:
                raise UserError(f"rerun={config.rerun} begins a run anew and resume goes on with it; give one of them")
            if config.resume:
                check_longer(config, directory)
        except UserError as error:
            raise SystemExit(f"optbench: {error}") from None
        except (HydraException, OmegaConfBaseException) as error:
            raise SystemExit(f"optbench: {explain(error)}") from None
        if not config.resume and not named:
            with read_write(config.hydra):
                config.hydra.run.dir = str(claim(directory))


def claim(directory: Path) -> Path:
    """Make a directory that was not there, by this name or the next one that is free, and return it."""
    for name in itertools.chain([directory.name], (f"{directory.name}_{i}" for i in itertools.count(2))):
        path = directory.with_name(name)
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:  # another one began in the same second
            continue
    raise AssertionError("there is always a next name")


def check_longer(config: DictConfig, directory: Path) -> None:
    """Raise where a run cannot go on from the checkpoint of a directory.

    Raises:
        UserError: There is none, it is of another optimizer or architecture, or there is nothing left to train.
    """
    path = directory / checkpoint.NAME
    saved = checkpoint.read(path)
    status = records.read(directory).status
    if status["status"] == "diverged":
        raise UserError(f"resume={directory}: the run diverged, and there is nothing to go on from; train it anew")
    if saved is None:
        raise UserError(f"resume={directory}: {path.name} is missing or cannot be read; train it anew")
    data = dataset(config["data"])
    model = build_model(config["model"], data.features, data.outputs)
    optimizer = build_optimizer(config["optimizer"], model, 1)
    checkpoint.refuse_misfit(saved["run"], checkpoint.made_by(optimizer, model), path)
    epochs = config["trainer"].get("max_epochs")
    if status["status"] == "done" and epochs is not None and epochs <= saved["epoch"]:
        raise UserError(
            f"resume={directory}: {saved['epoch']} epochs are trained already; give trainer.max_epochs=<more than that>"
        )
