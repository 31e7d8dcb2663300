"""From a setting to a scene: a surface, with the paths of several optimizers on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from optbench import surfaces
from optbench.checks import Count, Rate, UserError, check, nearest
from optbench.configs import build_schedule
from optbench.optimizers.base import Optimizer
from optbench.optimizers.build import build_optimizer
from optbench.optimizers.flat import Flat
from optbench.surfaces.descent import Factory, Schedule, descend, elementwise
from optbench.surfaces.population import migrate
from optbench.surfaces.setting import Setting, bounds, point, rate
from optbench.surfaces.surface import Interval, Point, Surface

RATES = tuple(10 ** (k / 4) for k in range(-16, 5))  # where `lr=best` looks: four to a decade, from 1e-4 to 10
OWN = ("label", "start", "schedule", "noise", "batch")


@dataclass(frozen=True)
class Track:
    """The path of one optimizer from one start.

    Attributes:
        optimizer: Name of its class.
        label: What a legend calls it.
        variant: Which one of this optimizer's in the scene, from 0.
        points: (k, n), NaN from where it diverged.
        values: The surface at each point, (k,).
        rates: Learning rate of each step, (k - 1,); empty where the optimizer has none.
        sweep: Rates that were tried and the loss that each ended with, where the rate is the best of a grid.
        factory: What made the optimizer.
    """

    optimizer: str
    label: str
    variant: int
    points: Tensor
    values: Tensor
    rates: tuple[float, ...]
    sweep: tuple[tuple[float, ...], tuple[float, ...]] | None
    factory: Factory

    @property
    def diverged(self) -> int | None:
        """The first step that is not finite."""
        lost = ~self.values.isfinite()
        return int(lost.int().argmax()) if lost.any() else None

    def leaves(self, window: tuple[Interval, ...]) -> int | None:
        """Return the first step outside a window."""
        low, high = torch.tensor(window, dtype=self.points.dtype).unbind(-1)
        out = ((self.points < low) | (self.points > high)).any(-1)
        return int(out.int().argmax()) if out.any() else None


@dataclass(frozen=True)
class Scene:
    """A surface and the tracks on it, ready to be drawn."""

    setting: Setting
    surface: Surface
    tracks: tuple[Track, ...]

    @property
    def name(self) -> str:
        """What the scene's files are called."""
        return self.setting.name or self.surface.name

    @property
    def title(self) -> str:
        """What stands above the figure."""
        return self.setting.title or f"{self.surface.name}: {self.surface.formula}"

    @property
    def notes(self) -> list[str]:
        """What stands below the figure: the caption, and what became of paths that are not wholly shown."""
        notes = [self.setting.caption] if self.setting.caption else []
        for track in self.tracks:
            if track.diverged is not None:
                notes.append(f"{track.label} diverged at step {track.diverged}.")
            if any(bool(c(track.points[-1]) > 1e-6) for c in self.surface.constraints):
                notes.append(f"{track.label} ends where the constraints are broken.")
            step = track.leaves(self.surface.window) if self.surface.size <= 2 else None
            if step is not None and step != track.diverged:
                notes.append(f"{track.label} leaves the window at step {step}; its path is cut there.")
        return notes


def compute(setting: Setting, folders: Sequence[Path]) -> Scene:
    """Return the scene of a setting.

    Args:
        setting: The setting.
        folders: Where the configs of optimizers and schedules are.

    Raises:
        UserError: It names what does not exist, or what does not fit together.
    """
    surface = surfaces.get(setting.surface)
    if setting.window is not None:
        surface = replace(surface, window=bounds(surface, setting.window))
    starts = tuple(point(surface, start) for start in setting.starts or surface.starts[:1])
    tracks: list[Track] = []
    for entry in expand(setting.optimizers, surface, folders):
        for track in run(setting, surface, {"name": entry} if isinstance(entry, str) else dict(entry), starts, folders):
            same = sum(track.optimizer == other.optimizer for other in tracks)
            tracks.append(replace(track, variant=same))
    return Scene(setting, surface, tuple(tracks))


def expand(entries: Sequence[Any], surface: Surface, folders: Sequence[Path]) -> list[Any]:
    """Return the entries of `optimizers`, `all` replaced by every optimizer that can be at home on the surface."""
    foreign = {"model"} if surface.constraints else {"model", "constraints"}
    found: list[Any] = []
    for entry in entries:
        if entry != "all":
            found.append(entry)
            continue
        names = sorted({file.stem for folder in folders for file in (folder / "optimizer").glob("*.yaml")})
        found += [name for name in names if not foreign & kind(config("optimizer", name, folders)).hyper.keys()]
    return found


def run(
    setting: Setting, surface: Surface, entry: dict[str, Any], starts: tuple[Point, ...], folders: Sequence[Path]
) -> list[Track]:
    """Return the tracks of one entry of `optimizers`, one for each start."""
    own = {key: entry.pop(key) for key in OWN if key in entry}
    name = entry.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"optimizers: {entry} has no name; write {{name: adam, lr: 0.1}}")
    cls, factory = optimizer(config("optimizer", name, folders), entry, surface, setting.steps)
    batch, noise = own.get("batch", setting.batch), check(name, "noise", own.get("noise", setting.noise), Rate)
    if own.get("start") is not None:
        starts = (point(surface, own["start"]),)
    x = torch.tensor(starts, dtype=torch.float64)
    schedule = decay(own.get("schedule", setting.schedule), setting.steps, folders)
    go = partial(
        descend,
        surface.f if batch is None else surface.stream(batch, setting.seed),
        steps=setting.steps,
        schedule=schedule,
        noise=noise,
        seed=setting.seed,
        project=surface.clamp if surface.domain else None,
        online=batch is not None,
    )
    lr, sweep = rate(setting.lr, name), None
    own_scale = issubclass(cls, Flat)  # second-order rules know how long a step is
    if "lr" in cls.hyper and "lr" not in entry and lr != "default" and not (own_scale and lr == "best"):
        if lr == "best":
            losses = sweep_rates(factory, go, surface, x[0])
            sweep, lr = (RATES, losses), RATES[losses.index(min(losses))]
        factory = partial(factory, lr=lr)
    if setting.population is None:
        paths = go(factory=factory, start=x, batched=True) if len(x) > 1 else go(factory=factory, start=x[0])[:, None]
    else:
        paths = populate(setting, surface, factory, x[0], noise)[:, None]
    eta = factory([torch.nn.Parameter(x[0])]).param_groups[0].get("lr")
    shown = ([f"lr {eta:.3g}"] if eta is not None else []) + [f"{k} {v}" for k, v in entry.items() if k != "lr"]
    label = own.get("label") or ", ".join([cls.__name__, *shown])
    return [
        Track(
            cls.__name__,
            label if len(starts) == 1 else f"{label}, from ({', '.join(f'{v:g}' for v in start)})",
            0,
            points,
            surface.f(points),
            () if eta is None else tuple(schedule(t, eta) for t in range(len(points) - 1)),
            sweep,
            factory,
        )
        for start, points in zip(starts, paths.unbind(1), strict=True)
    ]


def populate(setting: Setting, surface: Surface, factory: Factory, center: Tensor, noise: float) -> Tensor:
    """Return the path of the mean of the setting's population."""
    given = dict(setting.population)
    for key in given.keys() - {"points", "batch", "epochs", "spread"}:
        raise nearest("field of population", key, ("points", "batch", "epochs", "spread"), "see conf/surface")
    points, batch, epochs = (
        check("population", k, given.get(k, v), Count) for k, v in (("points", 100), ("batch", 10), ("epochs", 10))
    )
    spread = check("population", "spread", given.get("spread", 0.5), Rate)
    draw = torch.Generator().manual_seed(setting.seed)
    cloud = center + spread * torch.randn(points, surface.size, generator=draw, dtype=torch.float64)
    return migrate(surface.f, factory, cloud, epochs, batch, noise, setting.seed)


def sweep_rates(factory: Factory, go: Any, surface: Surface, start: Tensor) -> tuple[float, ...]:
    """Return the mean loss of the last tenth of the path at each of `RATES`, infinite where it is not finite.

    An element-wise rule runs all of them as one tensor.
    """
    if elementwise(factory([torch.nn.Parameter(start)])):
        rates = torch.tensor(RATES, dtype=torch.float64)[:, None]
        paths = go(factory=partial(factory, lr=rates), start=start.expand(len(RATES), -1), batched=True)
    else:
        paths = torch.stack([go(factory=partial(factory, lr=lr), start=start) for lr in RATES], dim=1)
    losses = surface.f(paths)[-max(1, len(paths) // 10) :].mean(0)
    return tuple(losses.nan_to_num(nan=math.inf, posinf=math.inf).tolist())


def optimizer(
    base: DictConfig, hyper: Mapping[str, Any], surface: Surface, steps: int
) -> tuple[type[Optimizer], Factory]:
    """Return a configured optimizer's class, and what makes it from parameters.

    Raises:
        UserError: There is no such optimizer, it refuses a value, or it cannot work on a surface.
    """
    merged = cast(DictConfig, OmegaConf.merge(base, hyper))
    cls = kind(merged)
    given = {k: v for k, v in limits(surface).items() if k in cls.hyper and k not in hyper}
    if "model" in cls.hyper:
        raise UserError(f"{cls.__name__} needs a network, and {surface.name} is none; use it with optbench train")
    factory = partial(build_optimizer(merged, torch.nn.Identity(), steps), **given)
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
        known["constraints"] = lambda p: -torch.stack([constraint(p) for constraint in surface.constraints])
    return known


def step_variance(factory: Factory, steps: int = 300, size: int = 2000) -> tuple[float, float]:
    """Return beta, and the variance of a step over lr squared where the gradient is noise of variance 1.

    Args:
        factory: What makes the optimizer.
        steps: Number of steps, of which the last half is measured.
        size: Number of parameters.
    """
    level, start = (lambda x: 0 * x.sum()), torch.zeros(size, dtype=torch.float64)
    path = descend(level, factory, start, steps, noise=1.0)
    group = factory([torch.nn.Parameter(start)]).param_groups[0]
    return group.get("beta", 0.0), float(path[steps // 2 :].diff(dim=0).var()) / group["lr"] ** 2


def decay(given: Any, steps: int, folders: Sequence[Path]) -> Schedule:
    """Return a schedule by its name, or by a mapping of its name and its arguments."""
    arguments = {"name": given} if isinstance(given, str) else dict(given)
    base = config("schedule", arguments.pop("name", "constant"), folders)
    made = cast(partial[float], build_schedule(cast(DictConfig, OmegaConf.merge(base, arguments)), steps, steps)[0])
    return partial(made.func, *made.args, **made.keywords)  # Hydra's own partial takes longer than a step


def config(kind: str, name: str, folders: Sequence[Path]) -> DictConfig:
    """Return the first `kind/name.yaml` in the folders.

    Raises:
        UserError: There is none; the message has the nearest.
    """
    files = {file.stem: file for folder in reversed(folders) for file in (folder / kind).glob("*.yaml")}
    if name not in files:
        raise nearest(kind, name, files, f"optbench list {kind}s")
    return cast(DictConfig, OmegaConf.load(files[name]))
