"""The private parts of Lightning and Hydra that are used, in one place; tests/training/test_private.py watches each."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname as hydras_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from optbench.checks import UserError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def set_global_step(trainer: "Trainer", steps: int) -> None:
    """Tell Lightning how many steps were taken; it counts those of its own wrapper only.

    Checkpoints and loggers read this.
    """
    loop = trainer.fit_loop.epoch_loop
    loop.manual_optimization.optim_step_progress.total.completed = steps
    loop._batches_that_stepped = steps - 1  # it adds one after the batch


def leave_signals(trainer: "Trainer") -> None:
    """Keep Lightning from taking signals: they are the run's own, and its way would hang several processes."""

    def leave() -> None:
        pass

    trainer._signal_connector.register_signal_handlers = leave  # type: ignore[method-assign]


def hydra_flags(arguments: Sequence[str]) -> Namespace:
    """Return a command line as Hydra reads it: its flags by name, and the rest as `overrides`.

    Raises:
        UserError: Hydra would refuse it by printing how it is used.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"optbench train: {message}; see optbench train --hydra-help")

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(arguments)


def set_values(overrides: Sequence[Override], config: DictConfig) -> None:
    """Set values in a composed config as Hydra's own composition does."""
    ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)


def overrides_dirname(overrides: Sequence[Override], settings: Mapping[str, Any]) -> str:
    """Return what Hydra calls `hydra.job.override_dirname`."""
    return hydras_dirname(list(overrides), **settings)


def grid(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the cells of a grid as Hydra's basic sweeper makes them, each as its overrides."""
    return [list(cell) for batch in BasicSweeper.split_arguments(list(overrides), None) for cell in batch]
