"""Lightning's Trainer around our loop: each of its keywords is honoured, or refused before anything is written."""

import functools
import inspect
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from optbench.checks import UserError, check, nearest, one_line
from optbench.configs import located, values
from optbench.training import length
from optbench.training.callbacks import make_callbacks
from optbench.training.private import leave_signals

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from optbench.training.team import Team

EVALUATION = "all of every split is measured before training and after every epoch"
ONE_MACHINE = (
    "the devices of a run are those of one machine; give trainer.devices, and hydra/launcher=slurm for more runs"
)
SHARED = "every process of a run draws the same mini-batches, and takes its share of each"

REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "accumulate_grad_batches": ((1,), "give data.batch_size, as many times as large"),
    "barebones": ((False,), "it would silence what is recorded"),
    "check_val_every_n_epoch": ((1,), EVALUATION),
    "default_root_dir": ((None,), "all is written to the run's directory; give hydra.run.dir or hydra.sweep.dir"),
    "enable_autolog_hparams": ((None, True), "hyperparameters are logged where there is a logger; give logger=none"),
    "inference_mode": ((True,), EVALUATION),
    "limit_predict_batches": ((None, 1.0), "nothing is predicted"),
    "limit_test_batches": ((None, 1.0), f"{EVALUATION}; give data.test_size"),
    "limit_val_batches": ((None, 1.0), f"{EVALUATION}; give data.val_fraction"),
    "log_every_n_steps": ((None,), "callbacks log after every chunk of mini-batches; give data.chunk_size"),
    "logger": ((None,), "give logger=tensorboard or logger=none"),
    "model_registry": ((None,), "nothing is registered"),
    "num_nodes": ((1,), ONE_MACHINE),
    "num_sanity_val_steps": ((None, 0), EVALUATION),
    "plugins": ((None,), "give trainer.precision or trainer.accelerator"),
    "reload_dataloaders_every_n_epochs": ((0,), "the data lie in memory; every epoch has an order of its own"),
    "sync_batchnorm": ((False,), "batch normalization is of one device; give model.normalization=layer"),
    "use_distributed_sampler": ((True,), SHARED),
    "val_check_interval": ((None, 1.0), EVALUATION),
}
"""What has no effect in our loop, with the values that ask for what is done anyway, and the reason."""

NOT_HANDED_ON = (
    "_target_",
    *REFUSED,
    "gradient_clip_algorithm",
    "gradient_clip_val",
    "limit_train_batches",
    "overfit_batches",
)
"""What of a config Lightning's Trainer is not given: our loop honours it, or it has no effect."""

KINDS: dict[str, Any] = {
    "accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps"],
    "benchmark": bool | None,
    "detect_anomaly": bool,
    "deterministic": bool | Literal["warn"] | None,
    "enable_checkpointing": bool | None,
    "enable_model_summary": bool | None,
    "enable_progress_bar": bool | None,
}
"""The values of keywords that Lightning takes as they come, or looks at only when it trains."""

PRECISIONS: dict[Any, str] = {
    **dict.fromkeys((None, 32, "32", "32-true"), "32-true"),
    **dict.fromkeys((64, "64", "64-true"), "64-true"),
    **dict.fromkeys(("bf16", "bf16-mixed"), "bf16-mixed"),
    "bf16-true": "bf16-true",
}
"""The precisions that are honoured, by all their names."""

STRATEGIES = ("auto", "ddp")
"""The ways of many devices: a process for each, which share the mini-batches."""

PROFILERS = {"simple": "SimpleProfiler", "advanced": "AdvancedProfiler", "pytorch": "PyTorchProfiler"}


USUAL = {
    **dict.fromkeys(("accelerator", "devices", "strategy"), "auto"),
    "gradient_clip_algorithm": "norm",
    "limit_train_batches": 1.0,
    "precision": "32-true",
    **length.DEFAULTS,
}
"""What keywords are where a config does not say, or says null; others are off."""


def acting(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a trainer's config that make runs differ, written alike where they do the same."""
    found = {str(name): value for name, value in config.items() if name not in REFUSED}
    if "precision" in found:
        known = {str(name): precision for name, precision in PRECISIONS.items()}
        found["precision"] = known.get(str(found["precision"]), found["precision"])
    return {name: value for name, value in found.items() if value not in (None, False, USUAL.get(name))}


def refuse(config: Mapping[str, Any]) -> None:
    """Raise where a trainer's config has a keyword that is not honoured.

    Raises:
        UserError: A keyword is unknown, or has no effect here, or a precision is none of ours.
    """
    for name, value in config.items():
        if name != "_target_":
            _refuse_keyword(str(name), value)
    if config.get("accelerator") in ("gpu", "cuda") and not has_gpu():
        raise UserError(f"trainer: accelerator={config['accelerator']}, but there is no GPU here; give trainer=default")
    length.checked(config)
    check_devices(config)
    if config.get("strategy", "auto") not in STRATEGIES:
        raise UserError(f"trainer: strategy={config['strategy']} is none of {', '.join(STRATEGIES)}; give trainer=ddp")
    if config.get("precision") not in PRECISIONS:
        told = f"trainer: precision={config['precision']} is none of {', '.join(dict.fromkeys(PRECISIONS.values()))}"
        why = "; float16 needs a scaled loss" if "16" in str(config["precision"]) else ""
        raise UserError(told + why)


def _refuse_keyword(name: str, value: Any) -> None:
    import lightning.pytorch as lightning

    known = inspect.signature(lightning.Trainer).parameters
    if name not in known:
        raise nearest("keyword of trainer", name, known, "Lightning's Trainer")
    if name in REFUSED:
        same, reason = REFUSED[name]
        if not any(type(value) is type(other) and value == other for other in same):
            raise UserError(f"trainer: {name}={value} has no effect here: {reason}")
    if name in KINDS:
        check("trainer", name, value, KINDS[name])


def has_gpu() -> bool:
    """Return whether this machine has a GPU."""
    from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

    return CUDAAccelerator.is_available() or MPSAccelerator.is_available()


def check_devices(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` where a run would have more processes than there are cores; two there may be always."""
    devices = config.get("devices")
    cores = len(os.sched_getaffinity(0))
    if type(devices) is int and devices > max(2, cores) and not has_gpu():
        raise UserError(f"trainer: devices={devices} are more than the {cores} cores; give trainer.devices={cores}")


def alone(config: Mapping[str, Any]) -> str | None:
    """Return why runs with such a trainer have to train one by one, or None where they may share a stack."""
    precision: str = PRECISIONS[config.get("precision")]
    if precision.startswith("bf16"):
        return precision
    names = ("callbacks", "enable_checkpointing", "enable_model_summary", "max_time", "profiler")
    found = next((f"trainer.{name}" for name in names if config.get(name)), None)
    return found or (f"trainer.devices={config['devices']}" if processes(config) > 1 else None)


def processes(config: Mapping[str, Any]) -> int:
    """Return how many processes share a run with such a trainer: one for each device."""
    if config.get("devices", "auto") in (1, "1"):
        return 1
    import lightning.pytorch as lightning

    from optbench.training.ranks import Here

    given = {name: values(config[name]) for name in ("accelerator", "devices") if name in config}
    return lightning.Trainer(**given, plugins=[Here()], logger=False, enable_checkpointing=False).world_size


def make_trainer(
    config: DictConfig,
    logger: Any = None,
    bar: bool = False,
    directory: Path | None = None,
    team: "Team | None" = None,
) -> "Trainer":
    """Return Lightning's Trainer without what our records replace.

    Args:
        config: Keywords of the Trainer.
        logger: What logs.
        bar: Whether to show a progress bar where the config does not say.
        directory: Where callbacks and profilers write.
        team: The process's place among those of the run, if there are several.

    Raises:
        UserError: It does not know a keyword, or refuses a value.
    """
    import lightning.pytorch as lightning

    from optbench.training.ranks import Here, Ranks

    refuse(config)
    cls: Any = located("trainer", config)
    if not (isinstance(cls, type) and issubclass(cls, lightning.Trainer)):
        raise UserError(f"trainer: {config['_target_']} is no Lightning Trainer; give one, or trainer=default")
    given = {str(name): values(value) for name, value in config.items() if name not in NOT_HANDED_ON}
    if given.get("enable_progress_bar") is None:
        given["enable_progress_bar"] = bar
    with as_lightning_says():
        callbacks = make_callbacks(given.get("callbacks"))
        kinds = lightning.callbacks
        made: dict[str, Any] = {
            "strategy": Ranks(cluster_environment=Here(team.rank)) if team else "auto",
            "plugins": [] if team else [Here()],
            "logger": logger or False,
            "callbacks": callbacks,
            "profiler": make_profiler(config.get("profiler"), directory),
            "default_root_dir": directory,
            "enable_progress_bar": given["enable_progress_bar"] or any_of(callbacks, kinds.ProgressBar),
            "enable_model_summary": bool(given.get("enable_model_summary")),
            "enable_checkpointing": bool(given.get("enable_checkpointing")) or any_of(callbacks, kinds.Checkpoint),
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1 if callbacks else None,
        }
        trainer: Any = cls(**{**given, **made})
    leave_signals(trainer)
    # The optimizer steps inside of training_step, and has no use for a precision that is the model's.
    trainer.precision_plugin.train_step_context = nullcontext
    return trainer  # type: ignore[no-any-return]


def any_of(callbacks: Sequence[Any], kind: type) -> bool:
    """Return whether one of some callbacks is of a kind."""
    return any(isinstance(callback, kind) for callback in callbacks)


@contextmanager
def as_lightning_says() -> Iterator[None]:
    """Turn an error of Lightning's, or of the constructor of a callback or a profiler, into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) else None
        raise UserError(f"trainer: {one_line(cause or error)}") from None


@functools.lru_cache(8)
def example(config: str) -> "Trainer":
    """Return a Trainer to look at, which trains nothing; the cells of a sweep share it.

    Args:
        config: Its keywords in JSON.

    Raises:
        UserError: As `make_trainer`.
    """
    return make_trainer(OmegaConf.create(json.loads(config)))


def make_profiler(config: Any, directory: Path | None) -> Any:
    """Return the profiler that a config names; it writes `profile.txt`, or what it names so, to the directory."""
    import lightning.pytorch as lightning

    if config in PROFILERS and directory is not None:
        return getattr(lightning.profilers, PROFILERS[config])(dirpath=directory, filename="profile")
    if config is not None and config not in PROFILERS and not isinstance(config, Mapping):
        raise UserError(f"trainer: profiler={config} is none of {', '.join(PROFILERS)}; or give profiler._target_")
    return instantiate(config) if OmegaConf.is_config(config) else config


def check_logger(config: Mapping[str, Any] | None) -> None:
    """Raise where a logger could not be made; some write as soon as they are.

    Raises:
        UserError: There is no such class, or it knows a keyword not.
    """
    if not config:
        return
    from lightning.pytorch.loggers import TensorBoardLogger
    from torch.utils.tensorboard import SummaryWriter

    cls = located("logger", config)
    takers = [cls, SummaryWriter] if cls is TensorBoardLogger else [cls]  # which hands on what it does not know
    parameters = {name: p for taker in takers for name, p in inspect.signature(taker).parameters.items()}
    kinds = [p.kind for p in inspect.signature(takers[-1]).parameters.values()]
    for key in config.keys() - parameters.keys() - {"_target_"}:
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            raise nearest(f"keyword of {cls.__name__}", str(key), parameters, ", ".join(parameters))


def quiet() -> None:
    """Silence Lightning's notices, which are wrong on our data and our loop, or known, and Hydra's."""
    import lightning.pytorch  # noqa: F401  (its import sets the level anew)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # what it logs it raises too
    warnings.filterwarnings("ignore", module="lightning.*")
