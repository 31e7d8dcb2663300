"""Lightning's callbacks in our loop: each does what it promises, or is refused before anything is written."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from optbench.checks import UserError, nearest
from optbench.configs import located, values
from optbench.records import METRICS

if TYPE_CHECKING:
    from lightning.pytorch import Callback, Trainer

FIXED = "the parameters of a run stay those of its model; give model._target_=<a class of your own>"
ITERATE = "what is measured and kept are the optimizer's own weights; give optimizer=averaged"

REFUSED = {
    "BaseFinetuning": FIXED,
    "BasePredictionWriter": "nothing is predicted",
    "BatchSizeFinder": "give data.batch_size, or sweep over it",
    "GradientAccumulationScheduler": "give data.batch_size, as many times as large",
    "LearningRateFinder": "give study=tuned, or sweep over optimizer.lr",
    "ModelPruning": FIXED,
    "StochasticWeightAveraging": ITERATE,
    "WeightAveraging": ITERATE,
}
"""Lightning's callbacks that would change a run behind its record's back, and what to give instead."""

LATER = ("_check_on_train_epoch_end", "_save_on_train_epoch_end")
"""Where callbacks keep that they act after Lightning's validation, rather than after an epoch."""

UNHEARD = re.compile(
    r"on_(validation|test|predict|sanity_check)_\w+|on_(before|after)_backward|on_before_(optimizer_step|zero_grad)"
)
"""The hooks that our loop does not call: all splits are measured, and many steps are taken, without Lightning's."""

REMEDY = "let it act on_train_epoch_end, when all splits are measured, or on_train_batch_end"


def make_callbacks(config: Any) -> list["Callback"]:
    """Return the callbacks that a config names: one, a list of them, or a mapping of names to them.

    Raises:
        UserError: One of them is no callback.
    """
    import lightning.pytorch as lightning

    if config is None:
        return []
    given = values(config)
    if isinstance(given, Mapping):
        given = [given] if "_target_" in given else list(given.values())
    for callback in given:
        if not isinstance(callback, Mapping):
            raise UserError(
                f"trainer: callbacks has {callback!r}; give trainer.callbacks.<any name>._target_=<a class>"
            )
        located("trainer.callbacks", callback)
    made = [instantiate(callback) for callback in given]
    for callback in made:
        if not isinstance(callback, lightning.Callback):
            raise UserError(f"trainer: {type(callback).__name__} is no Lightning Callback; build on that class")
        refuse(callback)
    return made


def refuse(callback: "Callback") -> None:
    """Raise a `UserError` where a callback would do something else here than it promises."""
    name = type(callback).__name__
    kinds = [cls.__name__ for cls in type(callback).__mro__ if cls.__module__.startswith("lightning.")]
    if kind := next((kind for kind in kinds if kind in REFUSED), None):
        raise UserError(f"trainer: {name} has no place here: {REFUSED[kind]}")
    for setting in LATER:
        if getattr(callback, setting, None) is False:
            raise UserError(f"trainer: {name} waits for a validation that is none of Lightning's; {REMEDY}")
    own = [cls for cls in type(callback).__mro__ if not cls.__module__.startswith(("lightning.", "builtins"))]
    heard = {hook for holder in (callback, *own) for hook in vars(holder)}
    if unheard := sorted(hook for hook in heard if UNHEARD.fullmatch(hook)):
        raise UserError(f"trainer: {name} has {unheard[0]}, which is never called here; {REMEDY}")


def check_callbacks(trainer: "Trainer", measures: set[str], logged: bool, rate: bool) -> None:
    """Raise a `UserError` where a callback monitors what is not measured, or lacks a logger or a learning rate.

    Args:
        trainer: The trainer that has them.
        measures: What a run measures and logs.
        logged: Whether there is a logger.
        rate: Whether the optimizer has a learning rate.
    """
    from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor, ThroughputMonitor

    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    own = [callback for callback in callbacks if not type(callback).__module__.startswith("lightning.")]
    for callback in callbacks:
        name = type(callback).__name__
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in measures:
            if str(monitor).startswith("val_") and "val_loss" not in measures:
                remedy = "give data.val_fraction=0.1"
                raise UserError(f"trainer: {name} monitors {monitor} without validation samples; {remedy}")
            if not own:  # what callbacks of the user's log is not known
                raise nearest(f"measure for {name} to monitor", str(monitor), measures, ", ".join(sorted(measures)))
        if isinstance(callback, LearningRateMonitor | DeviceStatsMonitor | ThroughputMonitor) and not logged:
            raise UserError(f"trainer: {name} has nothing to log to; give logger=tensorboard")
        if isinstance(callback, LearningRateMonitor) and not rate:
            raise UserError(f"trainer: {name} has no learning rate to log with this optimizer; leave it out")


def measures(splits: set[str], classes: bool) -> set[str]:
    """Return the names of what a run logs.

    Args:
        splits: Names of the splits.
        classes: Whether there are classes.
    """
    what = ("loss", "accuracy") if classes else ("loss",)
    return {f"{split}_{name}" for split in splits for name in what} | {
        name for name in METRICS if name.endswith("_norm") or name in ("lr", "train_seconds", "step")
    }
