"""The problems on which our optimizers are stepped beside a reference; all in float64."""

import torch
from torch import Tensor

START = torch.tensor([-2.0, -2.0], dtype=torch.float64)
X = torch.tensor([0.5, 2.5], dtype=torch.float64)
Y = torch.tensor([0.2, 0.9], dtype=torch.float64)


def elongated_bowl(p: Tensor) -> Tensor:
    return 0.7 * p[0] ** 2 + 0.1 * p[1] ** 2


def sigmoid_pair(p: Tensor) -> Tensor:
    return (0.5 * (torch.sigmoid(p[0] * X + p[1]) - Y) ** 2).sum()


def coupled(p: Tensor) -> Tensor:
    return 0.5 * (1 - p[0]) ** 2 + 0.3 * (p[1] - p[0] ** 2) ** 2


class Surface:
    """A function of two parameters, from (-2, -2)."""

    def __init__(self, f):
        self.f = f
        self.params = [torch.nn.Parameter(START.clone())]

    def loss(self, t: int) -> Tensor:
        return self.f(self.params[0])


class Network:
    """A 6-8-3 network with tanh units, a new mini-batch of 5 at each step."""

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(64, 5, 6, generator=draw, dtype=torch.float64)
        self.y = torch.randint(3, (64, 5), generator=draw)
        shapes = (8, 6), (8,), (3, 8), (3,)
        self.params = [
            torch.nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64) / 3) for shape in shapes
        ]

    def loss(self, t: int) -> Tensor:
        w1, b1, w2, b2 = self.params
        return torch.nn.functional.cross_entropy((self.x[t] @ w1.T + b1).tanh() @ w2.T + b2, self.y[t])


PROBLEMS = {
    "elongated_bowl": lambda: Surface(elongated_bowl),
    "sigmoid_pair": lambda: Surface(sigmoid_pair),
    "coupled": lambda: Surface(coupled),
    "network": Network,
}
