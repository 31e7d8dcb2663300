"""An entry of a scene's `optimizers`: which optimizer, and what it has of its own in place of the scene's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from optbench.checks import Count, Index, Rate, UserError, check, nearest
from optbench.configs import build_schedule
from optbench.optimizers.base import Optimizer
from optbench.optimizers.build import build_optimizer
from optbench.optimizers.wrapper import Factory
from optbench.schedules import Schedule
from optbench.surfaces.setting import Setting, point
from optbench.surfaces.surface import Point, Surface

OWN = ("label", "start", "schedule", "noise", "batch")
"""What an entry may have of its own; all else in it is a hyperparameter."""


@dataclass(frozen=True)
class Entry:
    """One entry of `optimizers`.

    Attributes:
        name: Of the optimizer's config.
        hyper: The hyperparameters that are given here.
        starts: Points to start from.
        noise: Standard deviation of what is added to every coordinate of the gradient.
        batch: Samples that a step sees; None for all.
        schedule: Name of a schedule, or a mapping of `name` and its arguments.
        label: What a legend calls it; None for the class and the hyperparameters.
    """

    name: str
    hyper: dict[str, Any]
    starts: tuple[Point, ...]
    noise: float
    batch: int | None
    schedule: Any
    label: str | None

    @classmethod
    def of(cls, given: Any, setting: Setting, surface: Surface, starts: tuple[Point, ...]) -> "Entry":
        """Return an entry, checked: a name, or a mapping that has one; what it has not is the scene's.

        Raises:
            UserError: It has no name, or a value is of the wrong type or out of range.
        """
        hyper = {"name": given} if isinstance(given, str) else dict(given)
        own = {key: hyper.pop(key) for key in OWN if key in hyper}
        name = hyper.pop("name", None)
        if not isinstance(name, str):
            raise UserError(f"optimizers: {hyper} has no name; write {{name: adam, lr: 0.1}}")
        if own.get("start") is not None:
            starts = (point(surface, own["start"]),)
        return cls(
            name=name,
            hyper=hyper,
            starts=starts,
            noise=check(name, "noise", own.get("noise", setting.noise), Rate),
            batch=check(name, "batch", own.get("batch", setting.batch), Count | None),
            schedule=own.get("schedule", setting.schedule),
            label=own.get("label"),
        )


FOREIGN = {"model": "a network", "constraints": "constraints"}
"""What a surface cannot give, by the hyperparameter that asks for it."""


def expand(entries: Sequence[Any], surface: Surface, folders: Sequence[Path]) -> list[Any]:
    """Return the entries of `optimizers`, `all` replaced by every optimizer that can be at home on the surface."""
    found: list[Any] = []
    for entry in entries:
        found += [name for name, lacks in homes(surface, folders) if not lacks] if entry == "all" else [entry]
    return found


def homes(surface: Surface, folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Return the name of every optimizer, and what it needs that the surface has not, or nothing."""
    absent = {"model"} if surface.constraints else set(FOREIGN)
    names = sorted({file.stem for folder in folders for file in (folder / "optimizer").glob("*.yaml")})
    needs = {name: absent & kind(config("optimizer", name, folders)).hyper.keys() for name in names}
    return [(name, " and ".join(FOREIGN[need] for need in sorted(needs[name]))) for name in names]


def optimizer(
    base: DictConfig, hyper: Mapping[str, Any], surface: Surface, steps: int
) -> tuple[type[Optimizer], Factory]:
    """Return a configured optimizer's class, and what makes it from parameters.

    Raises:
        UserError: There is no such optimizer, it refuses a value, or it cannot work on a surface.
    """
    merged = cast(DictConfig, OmegaConf.merge(base, hyper))
    cls = kind(merged)
    if "model" in cls.needs:
        raise UserError(f"{cls.__name__} needs a network, and {surface.name} is none; use it with optbench train")
    heeded = {k: v for k, v in limits(surface).items() if k in cls.hyper and k not in hyper}
    factory = partial(build_optimizer(merged, torch.nn.Identity(), steps), **heeded)
    factory([torch.nn.Parameter(torch.zeros(surface.size, dtype=torch.float64))])  # refuses what is wrong
    return cls, factory


def kind(config: DictConfig) -> type[Optimizer]:
    """Return the class of a config."""
    return cast(type[Optimizer], get_class(config._target_))


def limits(surface: Surface) -> dict[str, Any]:
    """Return a surface's domain and constraints as the optimizers that heed them take them."""
    known: dict[str, Any] = {}
    if surface.domain is not None:
        known["bounds"] = tuple(zip(*surface.domain, strict=True))
    if surface.constraints:

        def margins(p: Tensor) -> Tensor:
            return -torch.stack([constraint(p) for constraint in surface.constraints])

        known["constraints"] = margins
    return known


def schedule(given: Any, steps: int, folders: Sequence[Path]) -> Schedule:
    """Return a schedule by its name, or by a mapping of its name, its arguments, and `first`, its t at the first step.

    Raises:
        UserError: There is no such schedule, or an argument will not do.
    """
    arguments = {"name": given} if isinstance(given, str) else dict(given)
    first = check("schedule", "first", arguments.pop("first", 0), Index)
    base = config("schedule", arguments.pop("name", "constant"), folders)
    merged = cast(DictConfig, OmegaConf.merge(base, arguments))
    made = cast(partial[float], build_schedule(merged, steps, steps)[0])
    bare = partial(made.func, *made.args, **made.keywords)  # Hydra's own partial takes longer than a step
    return (lambda t, initial: bare(t + first, initial)) if first else bare


def config(group: str, name: str, folders: Sequence[Path]) -> DictConfig:
    """Return the first `group/name.yaml` in the folders.

    Raises:
        UserError: There is none; the message has the nearest.
    """
    files = {file.stem: file for folder in reversed(folders) for file in (folder / group).glob("*.yaml")}
    if name not in files:
        raise nearest(group, name, files, f"optbench list {group}s")
    return cast(DictConfig, OmegaConf.load(files[name]))
