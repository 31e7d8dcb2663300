"""What some panels show beyond the paths: it takes steps or a problem's own numbers, so it is computed, not drawn."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from optbench.checks import UserError
from optbench.optimizers.newton import Newton
from optbench.optimizers.wrapper import Factory
from optbench.surfaces.descent import descend
from optbench.surfaces.network import losses_and_indices
from optbench.surfaces.problems import Factorization
from optbench.surfaces.scene import Track
from optbench.surfaces.setting import Setting
from optbench.surfaces.surface import Surface
from optbench.surfaces.terrain import gradients

PanelMeasure = Callable[[Setting, Surface, Sequence[Track]], list[Tensor]]

BELOW = -1.0  # a path has left a saddle at 0 where it is this low


def regret(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return, for each track, what its steps so far have lost on average by not being at the minimum, (steps,)."""
    step_loss = surface.stream(setting.batch or 1, setting.seed)
    best = torch.tensor(surface.minima[0], dtype=torch.float64)

    def mean(track: Track) -> Tensor:
        steps = range(1, len(track.points))
        lost = torch.stack([step_loss(track.points[t - 1], t) - step_loss(best, t) for t in steps])
        return lost.cumsum(0) / torch.arange(1, len(lost) + 1)

    return [mean(track) for track in tracks]


def escape(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return, for each track, the first step at which it has left the saddle, and the last step where it stays."""

    def first(track: Track) -> int:
        left = (track.values < BELOW).nonzero()
        return int(left[0]) if len(left) else setting.steps

    return [torch.tensor(first(track)) for track in tracks]


def variance(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return, for each track, beta and the variance of a step on level ground, (2,).

    Raises:
        UserError: An optimizer has no learning rate, in whose square the variance is counted.
    """
    for track in tracks:
        if not track.rates:
            raise UserError(f"panel variance: {track.optimizer} has no learning rate; leave one of the two out")
    return [torch.tensor(step_variance(track.factory), dtype=torch.float64) for track in tracks]


def step_variance(factory: Factory, steps: int = 300, size: int = 2000) -> tuple[float, float]:
    """Return beta, and the variance of a step over lr squared where the gradient is noise of variance 1.

    Args:
        factory: What makes the optimizer.
        steps: Number of steps, of which the last half is measured.
        size: Number of parameters.
    """
    start = torch.zeros(size, dtype=torch.float64)
    path = descend(lambda x: 0 * x.sum(), factory, start, steps, noise=1.0)
    group = factory([torch.nn.Parameter(start)]).param_groups[0]
    taken = path[steps // 2 :].diff(dim=0)
    return group.get("beta", 0.0), float(taken.var()) / group["lr"] ** 2


def matrices(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return a matrix, what is known of it, NaN elsewhere, and what each track ends with, (rows, columns) each."""
    problem = factorization(surface)
    known = torch.where(problem.known, problem.matrix, torch.nan)
    return [problem.matrix, known, *(problem.product(track.points[-1]) for track in tracks)]


def recovery(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return, for each track, the relative error where the matrix is not known, (steps + 1,)."""
    problem = factorization(surface)
    return [problem.error(track.points) for track in tracks]


def factorization(surface: Surface) -> Factorization:
    """Return the problem behind a surface.

    Raises:
        UserError: There is none: the surface is another one.
    """
    problem = Factorization.draw()
    if surface.name != problem.surface.name:
        raise UserError(f"panels matrices and recovery are for {problem.surface.name}, not {surface.name}")
    return problem


def index(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return loss and index of critical points, (m, 2), whatever the tracks.

    Raises:
        UserError: The surface has no more than two parameters, for which `optbench terrain` finds the points
            themselves, or none was found.
    """
    if surface.size <= 2:
        raise UserError(f"panel index is for more than 2 parameters; {surface.name}: optbench terrain names its points")
    pairs = losses_and_indices(surface.f, surface.size, seed=setting.seed)
    if not len(pairs):
        raise UserError(f"{surface.name}: no critical point was found; leave panel index out, or try another seed")
    return [pairs]


def roots(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return, for each track, the path (steps + 1, 1) of Newton and Raphson's method from its start to a root of f.

    Raises:
        UserError: The surface has more than one parameter.
    """
    line_only("roots", surface)
    found = []
    for track in tracks:
        path = [track.points[:1]]
        for _ in range(setting.steps):
            x = path[-1]
            value = surface.f(x)[:, None]
            path.append(torch.where(value == 0, x, x - value / gradients(surface.f, x)))
        found.append(torch.cat(path))
    return found


def slopes(setting: Setting, surface: Surface, tracks: Sequence[Track]) -> list[Tensor]:
    """Return x and f'(x) over the window, (m, 2), and then of each track's points, (steps + 1, 2).

    Raises:
        UserError: The surface has more than one parameter, or an optimizer does not step along tangents of f'.
    """
    line_only("slopes", surface)
    for track in tracks:
        if track.optimizer != Newton.__name__:
            raise UserError(f"panel slopes shows the tangents of Newton's method; leave {track.optimizer} out")
    points = [surface.grid(300)[0], *(track.points for track in tracks)]
    return [torch.cat([x, gradients(surface.f, x)], dim=-1) for x in points]


def line_only(panel: str, surface: Surface) -> None:
    """Refuse a panel that shows a function of one parameter for one of several."""
    if surface.size != 1:
        raise UserError(f"{surface.name}: panel {panel} is for 1 parameter, not {surface.size}")


MEASURED = (regret, escape, variance, matrices, recovery, index, roots, slopes)
MEASURES: dict[str, PanelMeasure] = {measure.__name__: measure for measure in MEASURED}
"""By the name of the panel that shows it."""
