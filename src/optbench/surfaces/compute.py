"""From a setting to a scene: every optimizer of it is run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from optbench import surfaces
from optbench.checks import Count, Rate, UserError, check, nearest, refuse_idle
from optbench.optimizers.base import Optimizer
from optbench.optimizers.flat import Flat
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.descent import descend, with_rates
from optbench.surfaces.entry import Entry, config, expand, homes, optimizer, schedule
from optbench.surfaces.measures import MEASURES
from optbench.surfaces.population import migrate
from optbench.surfaces.scene import Scene, Sweep, Track
from optbench.surfaces.setting import Setting, bounds, learning_rate, point
from optbench.surfaces.surface import Surface

Go = Callable[..., Tensor]
"""`descend` on a scene's surface: it takes the factory, the start and whether it is batched."""

RATES = tuple(10 ** (k / 4) for k in range(-16, 5))  # where `lr=best` looks: four to a decade, from 1e-4 to 10
POPULATION = {"points": 100, "batch": 10, "epochs": 10}


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
    for given in expand(setting.optimizers, surface, folders):
        entry = Entry.of(given, setting, surface, starts)
        for track in run(setting, surface, entry, folders):
            alike = sum(track.optimizer == other.optimizer for other in tracks)
            tracks.append(replace(track, variant=alike))
    measures = [name for name in setting.panels or () if name in MEASURES]
    measured = {name: MEASURES[name](setting, surface, tracks) for name in measures}
    others = homes(surface, folders) if "all" in setting.optimizers else []
    left_out = tuple(f"{name}, which needs {lacks}" for name, lacks in others if lacks)
    return Scene(setting, surface, tuple(tracks), measured, left_out)


def run(setting: Setting, surface: Surface, entry: Entry, folders: Sequence[Path]) -> list[Track]:
    """Return the tracks of one entry of `optimizers`, one for each start."""
    if setting.population is not None:
        own = {"schedule": entry.schedule != "constant", "batch": entry.batch, "starts": len(entry.starts) > 1}
        given = [name for name, value in own.items() if value]
        refuse_idle(given, dict.fromkeys(own, "says nothing of a population"), f"{entry.name}: ")
    cls, factory = optimizer(config("optimizer", entry.name, folders), entry.hyper, surface, setting.steps)
    rates = schedule(entry.schedule, setting.steps, folders)
    go = partial(
        descend,
        surface.f if entry.batch is None else surface.stream(entry.batch, setting.seed),
        steps=setting.steps,
        schedule=rates,
        noise=entry.noise,
        seed=setting.seed,
        project=surface.clamp if surface.domain else None,
        online=entry.batch is not None,
    )
    starts = torch.tensor(entry.starts, dtype=torch.float64)
    factory, sweep = at_rate(cls, factory, setting, entry, partial(sweep_rates, factory, go, surface, starts[0]))
    if setting.population is not None:
        paths = populate(setting, surface, factory, starts[0], entry.noise)[:, None]
    elif len(starts) > 1:
        paths = go(factory=factory, start=starts, batched=True)
    else:
        paths = go(factory=factory, start=starts[0])[:, None]
    initial = factory([torch.nn.Parameter(starts[0])]).param_groups[0].get("lr")
    of_steps = () if initial is None else tuple(rates(t, initial) for t in range(len(paths) - 1))
    label = entry.label or described(cls, entry, initial)
    return [
        Track(
            optimizer=cls.__name__,
            label=label if len(entry.starts) == 1 else f"{label}, from ({', '.join(f'{v:g}' for v in start)})",
            variant=0,
            points=points,
            values=surface.f(points),
            rates=of_steps,
            sweep=sweep,
            factory=factory,
        )
        for start, points in zip(entry.starts, paths.unbind(1), strict=True)
    ]


def described(cls: type[Optimizer], entry: Entry, initial: float | None) -> str:
    """Return what a legend calls an entry without a label: the class, its learning rate, and what is set of it."""
    rate = [] if initial is None else [f"lr {initial:.3g}"]
    others = [f"{name} {value}" for name, value in entry.hyper.items() if name != "lr"]
    return ", ".join([cls.__name__, *rate, *others])


def at_rate(
    cls: type[Optimizer], factory: Factory, setting: Setting, entry: Entry, losses: Callable[[], tuple[float, ...]]
) -> tuple[Factory, Sweep | None]:
    """Return what makes the optimizer at the learning rate that the scene asks for, and the sweep that found it.

    Args:
        cls: The optimizer's class.
        factory: What makes it at its default rate, or at its entry's own.
        setting: The scene's setting.
        entry: The entry.
        losses: What sweeps `RATES` and returns the loss at each, called only where the best is asked for.
    """
    wanted = learning_rate(setting.lr, entry.name)
    settable = "lr" in cls.hyper and "lr" not in entry.hyper
    if not settable or wanted == "default":
        return factory, None
    if wanted != "best":
        return partial(factory, lr=wanted), None
    if issubclass(cls, Flat):  # second-order rules know how long a step is
        return factory, None
    found = losses()
    best = RATES[found.index(min(found))]
    return partial(factory, lr=best), (RATES, found)


def sweep_rates(factory: Factory, go: Go, surface: Surface, start: Tensor) -> tuple[float, ...]:
    """Return the mean loss of the last tenth of the path at each of `RATES`, infinite where it is not finite.

    An element-wise rule runs all of them as one tensor.
    """
    if factory([torch.nn.Parameter(start)]).elementwise():
        rates = torch.tensor(RATES, dtype=torch.float64)[:, None]
        paths = go(factory=with_rates(factory, rates), start=start.expand(len(RATES), -1), batched=True)
    else:
        paths = torch.stack([go(factory=partial(factory, lr=lr), start=start) for lr in RATES], dim=1)
    last = max(1, len(paths) // 10)
    losses = surface.f(paths)[-last:].mean(0)
    return tuple(losses.nan_to_num(nan=math.inf, posinf=math.inf).tolist())


def populate(setting: Setting, surface: Surface, factory: Factory, center: Tensor, noise: float) -> Tensor:
    """Return the path of the mean of the setting's population, (steps + 1, n)."""
    if not isinstance(setting.population, Mapping):
        raise UserError(f"population={setting.population} is no mapping; give {{points: 100, epochs: 10}}")
    given = dict(setting.population)
    known = (*POPULATION, "spread")
    for key in given.keys() - set(known):
        raise nearest("field of population", key, known, "see conf/surface")
    counts = {key: check("population", key, given.get(key, usual), Count) for key, usual in POPULATION.items()}
    spread = check("population", "spread", given.get("spread", 0.5), Rate)
    draw = torch.Generator().manual_seed(setting.seed)
    cloud = center + spread * torch.randn(counts["points"], surface.size, generator=draw, dtype=torch.float64)
    return migrate(surface.f, factory, cloud, counts["epochs"], counts["batch"], noise, setting.seed)
