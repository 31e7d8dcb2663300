"""Problems made of samples, problems with constraints, and one of many parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor

from optbench.surfaces.plane import rosenbrock
from optbench.surfaces.surface import Bounds, Point, Surface

REDDI = "Reddi, Kale & Kumar, On the Convergence of Adam and Beyond, 2018, https://openreview.net/forum?id=ryQu7f-RZ"
NOCEDAL = "Nocedal & Wright, Numerical Optimization, 2006, https://doi.org/10.1007/978-0-387-40065-5"


def least_squares(
    name: str,
    formula: str,
    features: Tensor,
    targets: Tensor,
    window: tuple[Bounds, ...],
    source: str,
    starts: tuple[Point, ...],
    labels: tuple[str, ...],
) -> Surface:
    """Return J(w) = mean (features w - targets)² / 2, whose samples are the rows.

    Args:
        name: The surface's name.
        formula: The surface's formula.
        features: (m, n).
        targets: (m,).
        window: The surface's window.
        source: The surface's source.
        starts: The surface's starts.
        labels: What the parameters are called.
    """
    minimum = torch.linalg.lstsq(features, targets[:, None]).solution[:, 0]
    basis, root = torch.linalg.qr(features)  # as many rows as parameters say the same as all samples
    aim = basis.mT @ targets
    rest = (targets - basis @ aim).square().sum()

    def f(w: Tensor) -> Tensor:
        loss: Tensor = ((w @ root.mT - aim).square().sum(-1) + rest) / (2 * len(features))
        return loss

    def parts(w: Tensor, index: Tensor) -> Tensor:
        return (w @ features[index].mT - targets[index]).square().mean(-1) / 2

    minima = (tuple(minimum.tolist()),)
    return Surface(name, formula, f, window, source, starts, minima, parts=parts, samples=len(features), labels=labels)


def line(points: int = 5, noise: float = 0.0, seed: int = 0) -> Surface:
    """Return the regression of y = 2x on a bias and a weight.

    Args:
        points: Number of samples: x = 1, 2, ... for up to 5 of them, else x is random in [0, 5].
        noise: Standard deviation of what is added to y.
        seed: Of what is random.
    """
    draw = torch.Generator().manual_seed(seed)
    x = 1.0 + torch.arange(points).double() if points <= 5 else 5 * torch.rand(points, generator=draw).double()
    y = 2 * x + noise * torch.randn(points, generator=draw).double()
    features = torch.stack([torch.ones_like(x), x], -1)
    formula = f"mean (b + w x - y)² / 2, y = 2x at {points} points"
    return least_squares(
        "linear_regression",
        formula,
        features,
        y,
        ((-2, 4), (-1, 4)),
        "textbook regression of y = 2x",
        ((1, 1),),
        ("b", "w"),
    )


def sparse_dense(samples: int = 400, every: int = 20, scale: float = 3.0, noise: float = 1.0, seed: int = 0) -> Surface:
    """Return a regression on a feature of every sample and on one that few samples have.

    Args:
        samples: Number of samples.
        every: One sample in this many has the second feature, with the value 1.
        scale: Standard deviation of the first feature.
        noise: Standard deviation of what is added to the targets.
        seed: Of what is random.
    """
    draw = torch.Generator().manual_seed(seed)
    dense = scale * torch.randn(samples, generator=draw).double()
    sparse = (torch.arange(samples) % every == 0).double()
    features = torch.stack([dense, sparse], -1)
    targets = features @ torch.tensor([1.0, 3.0]).double() + noise * torch.randn(samples, generator=draw).double()
    formula = f"mean (w₁ u + w₂ [1 in {every}] - y)² / 2"
    source = (
        "after Duchi, Hazan & Singer, Adaptive Subgradient Methods, 2011, https://jmlr.org/papers/v12/duchi11a.html"
    )
    return least_squares(
        "sparse_dense", formula, features, targets, ((-1.5, 2.5), (-1, 5)), source, ((-1, 0),), ("w₁", "w₂")
    )


def reddi(name: str, formula: str, slopes: Tensor, order: Tensor) -> Surface:
    """Return a sequence of linear losses on [-1, 1] whose mean falls towards -1.

    Args:
        name: The surface's name.
        formula: The surface's formula.
        slopes: Of the losses, (m,).
        order: Which of them each step sees.
    """

    def f(x: Tensor) -> Tensor:
        return slopes.mean() * x[..., 0]

    def parts(x: Tensor, index: Tensor) -> Tensor:
        return slopes[index].mean() * x[..., 0]

    return Surface(
        name,
        formula,
        f,
        ((-1, 1),),
        REDDI,
        ((0,),),
        ((-1,),),
        domain=((-1, 1),),
        parts=parts,
        samples=len(slopes),
        order=order,
    )


def disk(radius_squared: float, minimum: Point) -> Surface:
    """Return Rosenbrock's function inside a disk around the origin.

    Args:
        radius_squared: Of the disk.
        minimum: The lowest point of it.
    """

    def outside(x: Tensor) -> Tensor:
        return x.square().sum(-1) - radius_squared

    return Surface(
        "disk",
        f"(1 - x)² + 100 (y - x²)², x² + y² ≤ {radius_squared:g}",
        rosenbrock,
        ((-1.6, 1.6), (-1.3, 1.9)),
        NOCEDAL,
        ((-0.6, 0.9),),
        (minimum,),
        constraints=(outside,),
    )


@dataclass(frozen=True)
class Factorization:
    """A matrix of low rank, of which a part is known, to be found again as the product of two factors.

    Attributes:
        matrix: A, (rows, columns).
        known: Where A is observed, a mask of the same shape.
        rank: Of A, and columns of each factor.
        ridge: Weight of the factors' squared entries.
    """

    matrix: Tensor
    known: Tensor
    rank: int
    ridge: float

    @classmethod
    def draw(
        cls, rows: int = 20, columns: int = 15, rank: int = 3, observed: float = 0.6, ridge: float = 1e-6, seed: int = 0
    ) -> "Factorization":
        """Return a random one; `observed` is the share of the entries that are known."""
        draw = torch.Generator().manual_seed(seed)
        left = torch.randn(rows, rank, generator=draw)
        right = torch.randn(columns, rank, generator=draw)
        known = torch.rand(rows, columns, generator=draw) < observed
        return cls((left @ right.mT).double(), known, rank, ridge)

    def product(self, x: Tensor) -> Tensor:
        """Return U V', (..., rows, columns), of factors that lie flat in a vector (..., n)."""
        rows, columns = self.matrix.shape
        factors: Tensor = x.reshape(*x.shape[:-1], rows + columns, self.rank)
        return factors[..., :rows, :] @ factors[..., rows:, :].mT

    def loss(self, x: Tensor) -> Tensor:
        """Return the squared error where A is known, and the ridge."""
        error = torch.where(self.known, self.product(x) - self.matrix, 0.0)
        return error.square().sum((-1, -2)) + self.ridge * x.square().sum(-1)

    def error(self, x: Tensor) -> Tensor:
        """Return the distance of U V' from A where A is not known, relative to A there."""
        hidden = ~self.known
        miss = torch.where(hidden, self.product(x) - self.matrix, 0.0)
        size: Tensor = torch.where(hidden, self.matrix, 0.0).norm()
        return miss.square().sum((-1, -2)).sqrt() / size

    @property
    def surface(self) -> Surface:
        """The problem as a surface of all entries of both factors."""
        rows, columns = self.matrix.shape
        size = (rows + columns) * self.rank
        start = torch.randn(size, generator=torch.Generator().manual_seed(1)).double()
        return Surface(
            "matrix_factorization",
            f"‖mask (A - U V')‖² + ridge, A {rows} x {columns} of rank {self.rank}",
            self.loss,
            ((-4, 4),) * size,
            "Koren, Bell & Volinsky, Matrix Factorization Techniques for Recommender Systems, 2009, "
            "https://doi.org/10.1109/MC.2009.263",
            (tuple(start.tolist()),),
        )


PERIODIC_3 = torch.tensor([4.0, -1.0, -1.0]).double()
PERIODIC_101 = torch.tensor([1010.0] + [-10.0] * 100).double()
ONE_IN_100 = torch.tensor([1010.0] + [-10.0] * 99).double()

SURFACES = (
    line(),
    sparse_dense(),
    reddi("reddi", "4x at every third step, else -x", PERIODIC_3, torch.arange(3)),
    reddi("reddi_online", "1010x at every 101st step, else -10x", PERIODIC_101, torch.arange(101)),
    reddi(
        "reddi_stochastic",
        "1010x with probability 0.01, else -10x",
        ONE_IN_100,
        torch.randint(100, (100_000,), generator=torch.Generator().manual_seed(0)),
    ),
    disk(1.5, (0.907233960511089, 0.822755456314550)),
    Surface(
        "box",
        "(1 - x)² + 100 (y - x²)², x ≤ 0.8",
        rosenbrock,
        ((-1.5, 0.8), (-1, 2)),
        NOCEDAL,
        ((-1.2, 1),),
        ((0.8, 0.64),),
        domain=((-1.5, 0.8), (-1, 2)),
    ),
    Factorization.draw().surface,
)
