"""The problems on which an optimizer is stepped beside its references, all in float64."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector as vector, vector_to_parameters

from optbench import surfaces

Batch = tuple[Tensor, Tensor]


@dataclass
class Problem:
    """A loss that may change from step to step.

    Attributes:
        name: What it is called.
        model: What holds the parameters.
        loss: The loss of step t, from 0, where the parameters are.
        batches: Inputs and classes of every step, if the model is a network.
    """

    name: str
    model: nn.Module
    loss: Callable[[int], Tensor]
    batches: list[Batch] = field(default_factory=list)

    @property
    def params(self) -> list[nn.Parameter]:
        """The parameters."""
        return list(self.model.parameters())

    def flat(self) -> Tensor:
        """Return a copy of all parameters as one vector."""
        return vector(self.params).detach().clone()

    def at(self, x: Tensor, t: int) -> Tensor:
        """Move to x, all parameters as one vector; return the loss of step t there."""
        vector_to_parameters(x, self.params)
        return self.loss(t)

    def gradient(self, x: Tensor, t: int) -> tuple[float, Tensor]:
        """Move to x; return the loss of step t and its gradient there."""
        loss = self.at(x, t)
        return float(loss.detach()), vector(torch.autograd.grad(loss, self.params))

    def hessian(self, x: Tensor, t: int) -> Tensor:
        """Move to x; return the Hessian of step t there, row by row."""
        slopes = vector(torch.autograd.grad(self.at(x, t), self.params, create_graph=True))
        rows = (torch.autograd.grad(g, self.params, retain_graph=True, materialize_grads=True) for g in slopes)
        return torch.stack([vector(row) for row in rows])


def coupled(p: Tensor) -> Tensor:
    """Return a mild form of Rosenbrock's function, in which each coordinate's slope depends on the other."""
    return 0.5 * (1 - p[0]) ** 2 + 0.3 * (p[1] - p[0] ** 2) ** 2


FUNCTIONS = {name: surfaces.get(name).f for name in ("elongated_bowl", "sigmoid_pair")} | {"coupled": coupled}
"""Of two parameters; the Hessian of the second is indefinite at (-2, -2)."""


def surface(name: str) -> Problem:
    """Return a function of two parameters as a problem, from (-2, -2)."""
    p = nn.Parameter(torch.tensor([-2.0, -2.0], dtype=torch.float64))
    return Problem(name, nn.ParameterList([p]), lambda t: FUNCTIONS[name](p))


def quadratic() -> Problem:
    """Return a coupled quadratic of six parameters, whose Hessian's condition number is 30."""
    draw = torch.Generator().manual_seed(0)
    Q = torch.linalg.qr(torch.randn(6, 6, generator=draw, dtype=torch.float64))[0]
    A = Q * torch.linspace(0.1, 3, 6, dtype=torch.float64) @ Q.T
    b = torch.randn(6, generator=draw, dtype=torch.float64)
    p = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    return Problem("quadratic", nn.ParameterList([p]), lambda t: p @ A @ p / 2 - b @ p)


def network(name: str = "network", batches: int = 64, examples: int = 5, ridge: float = 0.0) -> Problem:
    """Return a 6-8-3 network with tanh units, and another mini-batch at each step."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(batches, examples, 6, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (batches, examples), generator=draw)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    size = sum(p.numel() for p in model.parameters())
    vector_to_parameters(torch.randn(size, generator=draw, dtype=torch.float64) / 3, model.parameters())

    def loss(t: int) -> Tensor:
        penalty = ridge * vector(model.parameters()).square().sum()
        return nn.functional.cross_entropy(model(x[t % batches]), y[t % batches]) + penalty

    return Problem(name, model, loss, list(zip(x, y, strict=True)))


def matrices(scale: float = 1.0) -> Problem:
    """Return a product of a 4 x 3 and a 3 x 4 matrix that is to be near to another target at each step."""
    draw = torch.Generator().manual_seed(0)
    targets = scale * torch.randn(64, 4, 4, generator=draw, dtype=torch.float64)
    parts = [nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64)) for shape in ((4, 3), (3, 4))]
    name = "matrices" if scale == 1 else "steep_matrices"
    return Problem(name, nn.ParameterList(parts), lambda t: (parts[0] @ parts[1] - targets[t]).square().sum() / 2)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    **{name: partial(surface, name) for name in FUNCTIONS},
    "network": network,
    "quadratic": quadratic,
    "matrices": matrices,
    "steep_matrices": lambda: matrices(1e5),
    "full_batch": lambda: network("full_batch", 1, 40, 0.02),
}
ANY = ("elongated_bowl", "sigmoid_pair", "coupled", "network")
SMOOTH = ("elongated_bowl", "sigmoid_pair", "coupled", "full_batch")
"""The problems whose loss is the same at every step."""
