"""The networks; each a function of the data's features and outputs."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from optbench.checks import Count, UserError, checked

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
Normalization = Literal["none", "batch", "layer"]
Init = Literal["default", "xavier", "kaiming", "orthogonal"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
INITS: dict[str, Callable[..., Any]] = {
    "xavier": nn.init.xavier_uniform_,
    "kaiming": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}


class Residual(nn.Sequential):
    """A row of layers whose input is added to its output.

    References:
        He, Zhang, Ren & Sun, Deep residual learning for image recognition, 2016, https://arxiv.org/abs/1512.03385
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs, of the shape of the inputs."""
        return x + super().forward(x)  # type: ignore[no-untyped-call,no-any-return]


@checked
def mlp(
    features: Count,
    outputs: Count,
    *,
    hidden: tuple[Count, ...] = (128,),
    activation: Activation = "relu",
    normalization: Normalization = "none",
    init: Init = "default",
    residual: bool = False,
) -> nn.Sequential:
    """Return a multilayer perceptron, from (batch, features) to (batch, outputs).

    Args:
        features: Inputs.
        outputs: Outputs.
        hidden: Widths of the hidden layers.
        activation: What follows each hidden layer.
        normalization: What stands between a hidden layer and its activation.
        init: `default` is PyTorch's; the others draw the weights as Glorot & Bengio (2010, uniform), He et al. (2015,
            normal) or Saxe et al. (2014, orthogonal) do, and set the biases to 0.
        residual: Whether a hidden layer's input is added to its output, where both are hidden and of one width.

    Raises:
        UserError: An argument is of a wrong type or out of range, or there is no layer that it could be of.
    """
    _refuse_idle(hidden, activation, normalization, residual)
    model = nn.Sequential()
    for i, (width_in, width) in enumerate(pairwise([features, *hidden])):
        layers: list[nn.Module] = [nn.Linear(width_in, width)]
        if normalization != "none":
            layers.append(NORMALIZATIONS[normalization](width))
        layers.append(ACTIVATIONS[activation]())
        if residual and i and width == width_in:
            model.append(Residual(*layers))
        else:
            model.extend(layers)
    model.append(nn.Linear([features, *hidden][-1], outputs))
    if init != "default":
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                INITS[init](layer.weight)
                nn.init.zeros_(layer.bias)
    return model


def _refuse_idle(hidden: tuple[int, ...], activation: str, normalization: str, residual: bool) -> None:
    """Raise where an argument is of layers that there are not."""
    idle = {"activation": activation != "relu", "normalization": normalization != "none"}
    for name, given in idle.items():
        if given and not hidden:
            raise UserError(f"mlp: {name} is of hidden layers, and there are none; give model.hidden=[<width>]")
    if residual and all(a != b for a, b in pairwise(hidden)):
        raise UserError(f"mlp: residual=True links nothing in hidden={hidden}; give neighbours of one width")


@checked
def linear(features: Count, outputs: Count, *, init: Init = "default") -> nn.Sequential:
    """Return one linear layer: linear regression, or softmax regression under cross-entropy.

    Args:
        features: Inputs.
        outputs: Outputs.
        init: As for `mlp`.

    Raises:
        UserError: An argument is of a wrong type or out of range.
    """
    return mlp(features, outputs, hidden=(), init=init)


class Factors(nn.Module):
    """A matrix as the product of two: entries of U V', each told by its row and its column, one-hot.

    Args:
        features: Rows and columns of the matrix, together.
        outputs: 1.
        rows: Of the matrix.
        rank: Columns of either factor.

    Raises:
        UserError: An argument is of a wrong type or out of range, or no column would be left.
    """

    @checked
    def __init__(self, features: Count, outputs: Count = 1, *, rows: Count, rank: Count = 3) -> None:
        super().__init__()
        if outputs != 1 or rows >= features:
            raise UserError(
                f"Factors: features={features}, {outputs=} and {rows=} are no entries of a matrix; give "
                "data=matrix_factorization"
            )
        self.rows = rows
        self.u = nn.Linear(rows, rank, bias=False)
        self.v = nn.Linear(features - rows, rank, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return entries (batch, 1)."""
        entries: Tensor = self.u(x[..., : self.rows]) * self.v(x[..., self.rows :])
        return entries.sum(-1, keepdim=True)
