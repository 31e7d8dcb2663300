"""The state of a run on disk, from which it goes on bit by bit: when it is saved, what is in it, and what it fits."""

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from optbench.checks import UserError
from optbench.training.ending import Ending

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

NAME = "checkpoint.ckpt"
COST = 0.02
"""Share of the training's time that saving may take where minutes are counted; a slow disk saves less often."""
FIRST = 0.05
"""Seconds that the first save is taken to cost."""
PARTS = {"optimizer", "shapes", "steps", "seconds", "lr", "counts", "previous", "kept", "record", "generators"}
"""What a run has to know to go on, besides its weights and its optimizer's state."""


@dataclass(frozen=True)
class Every:
    """How often a state is saved.

    Attributes:
        epochs: After so many epochs, if not None.
        minutes: After so many minutes, if not None.
    """

    epochs: int | None = None
    minutes: float | None = None

    @classmethod
    def of(cls, text: Any) -> "Every":
        """Return what `checkpoint.every` says: a number of epochs, minutes such as `5min`, or null for never.

        Raises:
            UserError: It says something else.
        """
        if text is None:
            return cls()
        if type(text) is int and text >= 1:
            return cls(epochs=text)
        number = str(text).removesuffix("min")
        try:
            minutes = float(number)
        except ValueError:
            minutes = -1.0
        if number == str(text) or not 0 <= minutes < float("inf"):
            raise UserError(f"checkpoint: every={text!r} is no number of epochs; give 2 for epochs, 5min or null")
        return cls(minutes=minutes)


class Keeper:
    """Saves the state of a run, or of a stack, now and then and where it is to end.

    Args:
        every: How often.
        ending: Whether the run is to end.
        save: What writes the state.
        decided: What makes one decision of the wishes of several processes.
    """

    def __init__(
        self, every: Every, ending: Ending, save: Callable[[], None], decided: Callable[[bool], bool] = bool
    ) -> None:
        self.every = every
        self.ending = ending
        self.save = save
        self.decided = decided
        self.begun = self.saved = time.monotonic()
        self.spent = 0.0
        self.last = FIRST

    def due(self, epochs: int | None) -> bool:
        """Return whether the state is to be saved; `epochs` are those trained, None within one."""
        return self.decided(self._wanted(epochs))

    def _wanted(self, epochs: int | None) -> bool:
        if self.ending.reason:
            return True
        if self.every.epochs:
            return epochs is not None and epochs % self.every.epochs == 0
        now = time.monotonic()
        if self.every.minutes is None or now - self.saved < 60 * self.every.minutes:
            return False
        return self.spent + self.last <= COST * (now - self.begun)

    def tell(self, status: dict[str, Any], share: int = 1) -> None:
        """Write into the status of a run what saving took, and what all took since it began or went on, in seconds.

        Args:
            status: The status, as it will stand in status.json.
            share: Of how many runs the state is.
        """
        status["checkpoint_seconds"] = round(self.spent / share, 4)
        status["wall_seconds"] = round((time.monotonic() - self.begun) / share, 4)

    def keep(self) -> None:
        """Save the state, and raise `Cut` if the run is to end."""
        before = time.monotonic()
        self.save()
        self.saved = time.monotonic()
        self.last = self.saved - before
        self.spent += self.last
        self.ending.heed()


def write(trainer: "Trainer", path: Path) -> None:
    """Write Lightning's checkpoint beside its place and rename it, so that there is always a whole one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint of ours, in which nothing is executed, or None where there is none that can be read."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises whatever a damaged file makes it raise
        return None
    run = checkpoint.get("run") if isinstance(checkpoint, dict) else None
    return checkpoint if isinstance(run, dict) and run.keys() >= PARTS else None


def made_by(optimizer: Callable[..., Any], model: nn.Module) -> dict[str, Any]:
    """Return what a state belongs to: the name of the optimizer, and the shapes of the model's tensors."""
    while hasattr(optimizer, "func"):
        optimizer = optimizer.func
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return {"optimizer": getattr(optimizer, "__name__", str(optimizer)), "shapes": shapes}


def refuse_misfit(saved: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> None:
    """Raise a `UserError` where a checkpoint belongs to another optimizer or architecture."""
    if saved["optimizer"] != own["optimizer"]:
        raise UserError(
            f"{path} is a checkpoint of {saved['optimizer']}, and this run has {own['optimizer']}; give the same "
            "optimizer, or another directory"
        )
    names = [
        name for name in {**saved["shapes"], **own["shapes"]} if saved["shapes"].get(name) != own["shapes"].get(name)
    ]
    if names:
        there, here = (shapes.get(names[0], "none") for shapes in (saved["shapes"], own["shapes"]))
        raise UserError(
            f"{path} is a checkpoint of another architecture: {names[0]} has the shape {there} there and {here} here; "
            "give the same model, or another directory"
        )


def generators() -> dict[str, Any]:
    """Return the states of all generators of random numbers, as plain values and tensors."""
    kind, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
    version, state, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
        "python": [version, list(state), gauss],
    }


def set_generators(states: Mapping[str, Any]) -> None:
    """Bring all generators of random numbers to the states that `generators` returned."""
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    version, state, gauss = states["python"]
    random.setstate((version, tuple(state), gauss))
