"""One run: from a composed config to a finished record of how it ended."""

import itertools
import re
import shlex
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from optbench import records
from optbench.checks import UserError, said
from optbench.configs import build_model, build_schedule, content, dataset, enter, explain, resolve
from optbench.optimizers.build import build_optimizer
from optbench.training import checkpoint
from optbench.training.checking import is_single, validate
from optbench.training.ending import Cut, Ending
from optbench.training.fit import fit
from optbench.training.length import Length, measure
from optbench.training.trainer import quiet


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
    single = is_single()
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
    own = resolve(config)
    return records.Record(Path(hydra.runtime.output_dir), own, typed, resume, flags(hydra), content(own))


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
            record.finish("failed", said(error))
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


class Guard(Callback):
    """Refuses a single run before Hydra has touched its directory; a sweep is checked by its sweeper."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run; Hydra swallows errors of callbacks, but not an exit."""
        enter(config)
        typed: Any = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
        named = any("hydra.run.dir=" in override for override in typed)
        try:
            refuse_sweeps(typed)
            directory = Path(config.hydra.run.dir)
            place = directory if named else directory.parent  # another one may begin in the same second
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


def refuse_sweeps(typed: Iterable[str]) -> None:
    """Raise a `UserError` where one run is given what is of a sweep, such as its directory or its launcher."""
    for override in typed:
        if of_sweeps := re.match(r"\+*(hydra[./](?:launcher|sweeper|sweep)\b[^=]*)=", override):
            raise UserError(
                f"{of_sweeps[1]} is of a sweep, and this is one run; give optbench train -m, or leave it out"
            )


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
    """Raise where a run cannot go on from the checkpoint of a directory, and say where its schedule will break.

    Raises:
        UserError: There is none, it is of another optimizer or architecture, or there is nothing left to train.
    """
    path = directory / checkpoint.NAME
    saved = checkpoint.read(path)
    run = records.read(directory)
    if run.status["status"] == "diverged":
        raise UserError(f"resume={directory}: the run diverged, and there is nothing to go on from; train it anew")
    if saved is None:
        raise UserError(f"resume={directory}: {path.name} is missing or cannot be read; train it anew")
    data = dataset(config["data"])
    model = build_model(config["model"], data.features, data.outputs)
    optimizer = build_optimizer(config["optimizer"], model, 1)
    checkpoint.refuse_misfit(saved["run"], checkpoint.made_by(optimizer, model), path)
    epochs = config["trainer"].get("max_epochs")
    if run.status["status"] == "done" and epochs is not None and epochs <= saved["epoch"]:
        raise UserError(
            f"resume={directory}: {saved['epoch']} epochs are trained already; give trainer.max_epochs=<more than that>"
        )
    before = measure(run.config["trainer"], data.batches_per_epoch)
    after = measure(config["trainer"], data.batches_per_epoch)
    steps = saved["run"]["steps"]
    if rates(config, before, steps) != rates(config, after, steps):
        print(
            f"schedule: it spans the run, which has {after.steps} steps now; the {steps} so far keep the rates of a "
            "shorter one; for one schedule throughout, train anew"
        )


def rates(config: DictConfig, length: Length, steps: int) -> list[float]:
    """Return the learning rates of the first steps of a run, some 100 of them, as shares of its own.

    Args:
        config: The composed config.
        length: Of the run.
        steps: How many.
    """
    schedule, unit = build_schedule(config["schedule"], length.steps, length.epochs)
    times = range(steps if unit == "step" else steps // length.batches)
    return [schedule(t, 1.0) for t in times[:: max(1, len(times) // 100)]]
