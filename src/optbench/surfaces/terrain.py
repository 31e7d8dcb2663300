"""What the ground looks like: critical points named by the Hessian, and the terrain along a path."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from optbench.surfaces.surface import Surface

F = Callable[[Tensor], Tensor]

FLAT = 1e-6  # an eigenvalue counts as zero below this share of the usual curvature in the window
REACH = 0.1  # of the window's side, over which a plateau is level
LEVEL = 0.4  # on a plateau f changes over that reach by less than this share of its height above the lowest point,
GENTLE = 1 / 6  # its slope is less than this share of the steepest in the window,
STRAIGHT = 1 / 16  # and its largest eigenvalue less than this share of the window's largest
SAME = 1e-9  # two values are the same within this share of the range in the window
RAVINE = 10.0  # a valley is a ravine from this condition number on: that of x² + 10 y², the textbook's
CANAL = torch.pi  # a path is in a canal where the steepest axis would turn by this much over the window's width


@dataclass(frozen=True)
class CriticalPoint:
    """A point without a slope.

    Attributes:
        kind: minimum, maximum, saddle, degenerate (an eigenvalue of the Hessian is zero) or cusp (it does not exist).
        point: Where, (n,).
        value: The function there.
        eigenvalues: Of the Hessian, ascending, (n,).
        scope: Of a minimum or a maximum: `global` where nothing in the window is lower or higher, else `local`.
    """

    kind: str
    point: Tensor
    value: float
    eigenvalues: Tensor
    scope: str = ""

    @property
    def name(self) -> str:
        """The kind with its scope, such as `local minimum`."""
        return f"{self.scope} {self.kind}".strip()


@dataclass(frozen=True)
class Terrain:
    """The ground along a path of k points.

    Attributes:
        gradient_norm: (k,).
        eigenvalues: Of the Hessian, ascending, (k, n).
        condition: Largest over smallest absolute eigenvalue, (k,).
        turn: Angle from the steepest axis of the point before, in radians, (k,).
        names: plateau, valley, ravine, canal, saddle (curved both ways), ridge (curved down), slope (not curved), or
            lost where the path is not finite.
    """

    gradient_norm: Tensor
    eigenvalues: Tensor
    condition: Tensor
    turn: Tensor
    names: tuple[str, ...]


def gradients(f: F, x: Tensor) -> Tensor:
    """Return the gradient at each of the points (k, n), in the same shape."""
    slopes: Tensor = vmap(grad(f))(x)
    return slopes


def hessians(f: F, x: Tensor) -> Tensor:
    """Return the Hessian at each of the points (k, n), shape (k, n, n)."""
    curvatures: Tensor = vmap(jacrev(grad(f)))(x)
    return curvatures


def critical_points(surface: Surface, resolution: int = 41, iterations: int = 60) -> list[CriticalPoint]:
    """Return the critical points in the window, lowest first.

    Newton's method for the gradient starts at every point of a grid. Where whole sets are critical, or where wells
    are narrower than the grid, some are missed.

    Args:
        surface: The surface.
        resolution: Points of the grid along each axis.
        iterations: Steps of Newton's method at most, each no longer than a tenth of the window.
    """
    points, around = surface.grid(resolution)
    low, high = torch.tensor(surface.window, dtype=torch.float64).unbind(-1)
    width = float((high - low).norm())
    x = points.reshape(-1, surface.size)
    curvature = usual_curvature(surface)
    for _ in range(iterations):
        g = gradients(surface.f, x)
        eigenvalues, axes = torch.linalg.eigh(hessians(surface.f, x))
        step = (axes @ ((axes.mT @ g[..., None]) / eigenvalues[..., None]))[..., 0]
        slope = (g != 0).any(-1, keepdim=True)  # without one there is no step, even where the Hessian does not exist
        step = step.where(slope, 0.0)
        length = step.norm(dim=-1)
        x = x - step * (width / 10 / length.clamp(min=1e-300)).clamp(max=1)[:, None]
        moving = length > 1e-9 * width
        x, moving = (kept[((low - width / 10 < x) & (x < high + width / 10)).all(-1)] for kept in (x, moving))
        if not moving.any():
            break
    x = first_of_each(x[~moving & ((low <= x) & (x <= high)).all(-1)], 1e-5 * width)
    if not len(x):
        return []
    values = surface.f(x)
    eigenvalues = torch.linalg.eigvalsh(hessians(surface.f, x))
    kinds = [name_point(each, curvature) for each in eigenvalues]
    every = torch.cat([around.reshape(-1), values])
    scopes = [scope(kind, float(value), every) for kind, value in zip(kinds, values, strict=True)]
    order = values.argsort().tolist()
    return [CriticalPoint(kinds[i], x[i], float(values[i]), eigenvalues[i], scopes[i]) for i in order]


def scope(kind: str, value: float, every: Tensor) -> str:
    """Return whether a minimum or a maximum is a global or a local one among all values; nothing for other kinds."""
    extremes = {"minimum": float(every.min()), "maximum": float(every.max())}
    if kind not in extremes:
        return ""
    slack = SAME * float(every.max() - every.min())
    return "global" if abs(value - extremes[kind]) <= slack else "local"


def first_of_each(points: Tensor, distance: float) -> Tensor:
    """Return the first point of every cluster of points (k, n) that lie within a distance."""
    kept = points[:0]
    while len(points):
        kept = torch.cat([kept, points[:1]])
        points = points[(points - points[0]).norm(dim=-1) > distance]
    return kept


def usual_curvature(surface: Surface) -> float:
    """Return the mean absolute eigenvalue of the Hessian over the window."""
    points, _ = surface.grid(31)
    return float(torch.linalg.eigvalsh(hessians(surface.f, points.reshape(-1, surface.size))).abs().nanmean())


def name_point(eigenvalues: Tensor, curvature: float = 1.0) -> str:
    """Return what a critical point is by the eigenvalues of its Hessian.

    Args:
        eigenvalues: All of them, or the extreme ones.
        curvature: A usual eigenvalue, by which a small one is known.
    """
    if not eigenvalues.isfinite().all():
        return "cusp"
    if (eigenvalues.abs() <= FLAT * curvature).any():
        return "degenerate"
    if (eigenvalues > 0).all():
        return "minimum"
    return "maximum" if (eigenvalues < 0).all() else "saddle"


def along(surface: Surface, path: Tensor) -> Terrain:
    """Return the terrain at every point of a path (k, n)."""
    width = float(torch.tensor(surface.window, dtype=torch.float64).diff(dim=-1).norm())
    slope = gradients(surface.f, path).norm(dim=-1)
    H = hessians(surface.f, path)
    known = path.isfinite().all(-1) & H.isfinite().all(-1).all(-1)
    eigenvalues, axes = torch.linalg.eigh(H.where(known[:, None, None], 0.0))
    size = eigenvalues.abs()
    condition = size.amax(-1) / size.amin(-1)
    steepest = axes.take_along_dim(size.argmax(-1)[:, None, None], -1)[..., 0]
    turn = torch.zeros_like(slope)
    moved = torch.zeros_like(slope)
    turn[1:] = (steepest[1:] * steepest[:-1]).sum(-1).abs().clamp(max=1).acos()
    moved[1:] = path.diff(dim=0).norm(dim=-1)
    turning = (turn * width > CANAL * moved) & (moved > 1e-6 * width) & (condition > 2)  # a round bowl has any axes
    level = levels(surface, surface.f(path), slope, size.amax(-1))
    names = ["canal" if winding else name_ground(*rest) for winding, *rest in zip(turning, eigenvalues, strict=True)]
    names = ["plateau" if flat else name for flat, name in zip(level, names, strict=True)]
    names = [name if here else "lost" for here, name in zip(known, names, strict=True)]
    return Terrain(slope, eigenvalues, condition, turn, tuple(names))


def levels(surface: Surface, values: Tensor, slopes: Tensor, bends: Tensor) -> Tensor:
    """Return which points of a path lie on a plateau, (k,): little slope and little bend, far above the lowest point.

    Near a minimum slope and bend are small too, but not beside what is left to descend.

    Args:
        surface: The surface, whose steepest and most bent points say what is little.
        values: The function at each point, (k,).
        slopes: Norms of the gradient, (k,).
        bends: Largest absolute eigenvalues of the Hessian, (k,).
    """
    grid, around = surface.grid(31)
    points = grid.reshape(-1, surface.size)
    steepest = gradients(surface.f, points).norm(dim=-1).nanquantile(0.99)  # few points may be out of all proportion
    most_bent = torch.linalg.eigvalsh(hessians(surface.f, points)).abs().amax(-1).nanquantile(0.99)
    reach = REACH * float(torch.tensor(surface.window, dtype=torch.float64).diff(dim=-1).mean())
    change = slopes * reach + bends * reach**2 / 2
    high = change < LEVEL * (values - around.min())
    plateau: Tensor = high & (slopes < GENTLE * steepest) & (bends < STRAIGHT * most_bent)
    return plateau


def name_ground(eigenvalues: Tensor) -> str:
    """Return what the ground is at a point by the eigenvalues of its Hessian, ascending."""
    lowest = float(eigenvalues[0])
    highest = float(eigenvalues[-1])
    if lowest == highest == 0:
        return "slope"
    if lowest < 0:
        return "saddle" if highest > 0 else "ridge"
    return "ravine" if highest >= RAVINE * lowest else "valley"
