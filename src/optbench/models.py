"""The networks; each a function of the data's features and outputs."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

from torch import nn

from optbench.checks import Count, checked

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


@checked
def mlp(
    features: Count,
    outputs: Count,
    *,
    hidden: tuple[Count, ...] = (128,),
    activation: Activation = "relu",
    normalization: Normalization = "none",
    init: Init = "default",
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

    Raises:
        UserError: An argument is of a wrong type or out of range.
    """
    model = nn.Sequential()
    for width_in, width in pairwise([features, *hidden]):
        model.append(nn.Linear(width_in, width))
        if normalization != "none":
            model.append(NORMALIZATIONS[normalization](width))
        model.append(ACTIVATIONS[activation]())
    model.append(nn.Linear([features, *hidden][-1], outputs))
    if init != "default":
        for layer in model:
            if isinstance(layer, nn.Linear):
                INITS[init](layer.weight)
                nn.init.zeros_(layer.bias)
    return model


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
