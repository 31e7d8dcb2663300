"""A run's training itself: its parts are built and trained, by one process or by several that share it."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from optbench import records
from optbench.configs import build_model, build_schedule, flatten, load, resolve
from optbench.optimizers.build import build_optimizer
from optbench.training import checkpoint, path
from optbench.training.checkpoint import Every, Keeper
from optbench.training.clip import clipping
from optbench.training.ending import Ending
from optbench.training.length import measure
from optbench.training.trainer import make_trainer, processes, quiet
from optbench.training.trajectory import Keeping

if TYPE_CHECKING:
    from optbench.training.module import Training
    from optbench.training.team import Team

    M = TypeVar("M", bound=Training)


def fit(
    config: DictConfig, record: records.Record, loaded: Mapping[str, Any] | None, ending: Ending
) -> tuple[str, str]:
    """Build everything that a config names and train it; return the status and the reason.

    Args:
        config: The composed config.
        record: The run's.
        loaded: Data modules that this process has already, see `configs.dataset`.
        ending: What asks the run to end.

    Raises:
        Cut: It was asked to end, or lost one of its processes.
    """
    start = record.directory / checkpoint.NAME if record.resumed else None
    if start and checkpoint.read(start) is None:
        record.begin()  # a state that cannot be read is none
        start = None
    size = processes(config.trainer)
    logger = make_logger(config)
    if size == 1:
        return perform(config, record, loaded, ending, start, logger)
    from optbench.training.team import Team, together

    record.status["processes"] = size
    plain = OmegaConf.to_container(config, resolve=True)

    def part(team: Team, store: str) -> Handover:
        return Handover(plain, record.directory, start, team, store)

    with together(size, follow, part, record.directory, ending) as team:
        return perform(config, record, loaded, ending, start, logger, team)


@dataclass(frozen=True)
class Handover:
    """What another process of a run has to know.

    Attributes:
        config: The resolved config, as plain values.
        directory: The run's.
        start: The checkpoint that it goes on from, if it does.
        team: Its place among the processes.
        store: The file that connects them.
    """

    config: Any
    directory: Path
    start: Path | None
    team: "Team"
    store: str


def follow(part: Handover) -> None:
    """Take part in a run that another process records, and that ends this one."""
    from lightning.pytorch.loggers.logger import DummyLogger

    for name in ("SIGTERM", "SIGINT"):  # a cluster sends them to all, and the run is to save its state first
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    quiet()
    config = OmegaConf.create(part.config)
    logger = DummyLogger() if config.get("logger") else None  # callbacks look whether there is one
    with part.team.connected(part.store):
        perform(config, records.Silent(part.directory), None, Ending(), part.start, logger, part.team)


def perform(
    config: DictConfig,
    record: records.Record,
    loaded: Mapping[str, Any] | None,
    ending: Ending,
    start: Path | None,
    logger: Any,
    team: "Team | None" = None,
) -> tuple[str, str]:
    """Build and train in this process, from a checkpoint if there is one to start with; see `fit`."""
    import torch

    from optbench.training.module import Diverged, Training

    torch.set_num_threads(config.threads)
    data = load(config.data, loaded)
    every = Every.of(config.checkpoint.every)
    if team is None:
        module = build(Training, config, data, record)
        module.keeper = Keeper(every, ending, module.save)
    else:
        from optbench.training.member import Member

        module = build(Member, config, data, record)
        module.keeper = Keeper(every, ending, module.save, team.decided)
        module.join(team)
    parameters = sum(p.numel() for p in module.model.parameters())
    steps = measure(config.trainer, data.batches_per_epoch).steps
    module.path, reason = path.choose(config, parameters, steps)
    path.tell(record.status, module.path, reason)
    leads = team is None or team.rank == 0
    bar = leads and HydraConfig.get().mode == RunMode.RUN and os.isatty(1)
    trainer = make_trainer(config.trainer, logger, bar, record.directory, team)
    record.status["device"] = trainer.strategy.root_device.type
    status = "done"
    reason = ""
    try:
        trainer.fit(module, data, ckpt_path=start, weights_only=True)
    except Diverged as error:
        status = "diverged"
        reason = str(error)
        module.end_session(status)
    module.keep_path()
    module.save()
    module.keeper.tell(record.status)
    if module.path == "update" and (obstacle := module.optimizer.uncompiled()):
        path.tell(record.status, "off", obstacle)
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
    model = build_model(config.model, data.features, data.outputs)
    length = measure(config.trainer, data.batches_per_epoch)
    data.limit = length.batches
    data.repeated = length.repeated
    optimizer = build_optimizer(config.optimizer, model, length.steps)
    schedule, unit = build_schedule(config.schedule, length.steps, length.epochs)
    clip = clipping(config.trainer)
    keeping = Keeping.of(config.trajectory)
    return kind(model, data, optimizer, schedule, unit, record, config.divergence, keeping, clip)


def make_logger(config: DictConfig) -> Any:
    """Return the configured logger, which knows the hyperparameters, or None."""
    logger = instantiate(config.logger) if config.get("logger") and not config.trainer.get("fast_dev_run") else None
    if logger:
        logger.log_hyperparams(flatten(resolve(config)))
    return logger
