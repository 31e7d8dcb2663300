"""From a composed config to a finished run: check it, build it, train it, record how it ended."""

import inspect
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from optbench import records
from optbench.checks import Count, Index, Positive, UserError, check, nearest
from optbench.configs import build_optimizer, build_schedule, construct, dataset, enter, flatten, load, resolve
from optbench.training.ending import Cut, Ending

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from optbench.training.module import Training

    M = TypeVar("M", bound=Training)


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
    single = HydraConfig.get().mode == RunMode.RUN
    ending = ending or Ending()
    try:
        record = open_record(config)
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


def open_record(config: DictConfig) -> records.Record:
    """Return the record of a run that begins or goes on, in Hydra's output directory.

    Raises:
        UserError: The directory holds another run, or this one at its end, or cannot be written.
    """
    hydra = HydraConfig.get()
    typed = [override.removeprefix("++") for override in hydra.overrides.task]
    return records.Record(Path(hydra.runtime.output_dir), resolve(config), typed)


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
            record.finish("failed", f"{type(error).__name__}: {' '.join(str(error).split())}")
            records.write(record.directory / "error.txt", traceback.format_exc())


def announce(record: records.Record) -> None:
    """Print how a single run ended, where it lies and what to type next.

    Raises:
        SystemExit: The run failed; Hydra would keep any other error to itself.
    """
    status, reason = record.status["status"], record.status["reason"]
    if record.status["cut"]:
        print(f"optbench: {reason}; the same command goes on from {record.directory}", file=sys.stderr)
        raise SystemExit(130 if reason == "interrupted" else 1)
    if status == "failed":
        raise SystemExit(f"optbench: the run failed: {reason}; see {record.directory / 'error.txt'}")
    last = record.rows[-1]
    names = [name for name in ("test_accuracy", "test_loss", "train_loss") if last[name] != ""]
    values = ", ".join(f"{name.replace('_', ' ')} {last[name]:.4g}" for name in names)
    why = f": {reason}" if reason else ""
    print(f"{status}{why}; {values} after {last['epoch']} epochs, {last['train_seconds']:.1f} s of training")
    print(f"{record.directory}\n\nnext: optbench report {record.directory}")


def fit(
    config: DictConfig, record: records.Record, loaded: Mapping[str, Any] | None, ending: Ending
) -> tuple[str, str]:
    """Build everything that a config names and train it; return the status and the reason.

    Raises:
        Cut: It was asked to end.
    """
    import torch

    from optbench.training.module import Diverged, Training

    torch.set_num_threads(config.threads)
    data = load(config.data, loaded)
    module = build(Training, config, data, record)
    module.ending = ending
    trainer = make_trainer(config.trainer, make_logger(config), HydraConfig.get().mode == RunMode.RUN and os.isatty(1))
    status, reason = "done", ""
    try:
        trainer.fit(module, data)
    except Diverged as error:
        status, reason = "diverged", str(error)
    module.keep_path()
    module.save()
    return status, reason


def build(kind: "type[M]", config: DictConfig, data: Any, record: records.Record) -> "M":
    """Return the module of a run.

    The seed is set before the model is built and the mini-batches draw from a generator of their own, so every
    optimizer of the same seed starts from the same weights and sees the same batches.

    Args:
        kind: `Training`, or what builds on it.
        config: The composed config.
        data: The data module that it names, set up.
        record: Where the module is to write.
    """
    import lightning.pytorch as lightning

    lightning.seed_everything(config.seed, verbose=False)
    model = instantiate(config.model)(data.features, data.outputs)
    optimizer = build_optimizer(config.optimizer, model, data.batches_per_epoch * config.trainer.max_epochs)
    schedule, unit = build_schedule(config.schedule, data.batches_per_epoch, config.trainer.max_epochs)
    return kind(model, data, optimizer, schedule, unit, record, config.divergence, config.trajectory)


def make_logger(config: DictConfig) -> Any:
    """Return the configured logger, which knows the hyperparameters, or None."""
    logger = instantiate(config.logger) if config.logger else None
    if logger:
        logger.log_hyperparams(flatten(resolve(config)))
    return logger


def validate(config: DictConfig, directory: Path | None = None) -> None:
    """Build all parts of a run, without training it, so that whatever is wrong shows before anything is written.

    Args:
        config: The composed config of one run.
        directory: Where the run would be recorded; None leaves that to the caller.

    Raises:
        UserError: A part does not exist or refuses its values, or the directory will not do.
    """
    check("train", "seed", config.seed, Index)
    check("train", "threads", config.threads, Count)
    check("train", "replicas", config.replicas, Literal["auto", "off", False] | Count)
    check("train", "divergence", config.divergence, Positive)
    check("trainer", "max_epochs", config.trainer.get("max_epochs"), Count)
    quiet()
    make_trainer(config.trainer)
    data = dataset(config.data)
    try:
        model = construct("model", config.model, ("features", "outputs"))(data.features, data.outputs)
        steps = data.batches_per_epoch * config.trainer.max_epochs
        optimizer = build_optimizer(config.optimizer, model, steps)(model.parameters())
        schedule, _ = build_schedule(config.schedule, data.batches_per_epoch, config.trainer.max_epochs)
        schedule(0, optimizer.param_groups[0].get("lr", 0.0))
    except TypeError as error:
        raise UserError(" ".join(str(error).split())) from None
    if directory:
        records.vacant(directory, records.identity(resolve(config)))


class Guard(Callback):
    """Refuses a single run before Hydra has touched its directory; a sweep is checked by its sweeper."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run; Hydra swallows errors of callbacks, but not an exit."""
        enter(config)
        try:
            validate(config, Path(config.hydra.run.dir))
        except UserError as error:
            raise SystemExit(f"optbench: {error}") from None


def quiet() -> None:
    """Silence Lightning's notices: on our data, our loop and single processes they are either wrong or known."""
    import lightning.pytorch  # noqa: F401  (its import sets the level anew)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")


def make_trainer(config: DictConfig, logger: Any = None, bar: bool = False) -> "Trainer":
    """Return Lightning's Trainer without what our records replace.

    Raises:
        UserError: It does not know a keyword, or refuses a value.
    """
    import lightning.pytorch as lightning

    names = inspect.signature(lightning.Trainer).parameters
    for name in config.keys() - names - {"_target_"}:
        raise nearest("keyword of trainer", str(name), names, "Lightning's Trainer")
    try:
        return instantiate(  # type: ignore[no-any-return]
            config,
            logger=logger or False,
            callbacks=[lightning.callbacks.RichProgressBar()] if bar else [],
            enable_progress_bar=bar,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
        )
    except InstantiationException as error:
        raise UserError(f"trainer: {' '.join(str(error.__cause__ or error).split())}") from None
