"""Networks at several points at once, a column an example: what makes grids fast.

With the examples last, the classes and features of all points are long runs in memory, which every operation takes at
full width. Over rows, as a network has them, `torch.func.vmap` is ten times slower, and compiled three times.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optbench.landscape.task import Loss, accuracy
from optbench.models import ACTIVATIONS, Residual

Weights = Mapping[str, Tensor]
Layer = Callable[[nn.Module, Weights, Tensor], Tensor]


def leaves(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of nested rows of layers, with their names; what is no row of layers is a layer itself."""
    if type(model) is not nn.Sequential:
        yield prefix.removesuffix("."), model
        return
    for name, layer in model.named_children():
        yield from leaves(layer, f"{prefix}{name}.")


def takes(layer: nn.Module) -> bool:
    """Return whether a layer is known here."""
    if type(layer) is Residual:
        return all(takes(inner) for inner in layer)
    return type(layer) in LAYERS or type(layer) in ELEMENTWISE


def forward(layers: Iterator[tuple[str, nn.Module]], weights: Weights, h: Tensor) -> Tensor:
    """Return the outputs (points, features, examples) of a row of known layers.

    Args:
        layers: The layers and their names.
        weights: The parameters by name, shape (points, ...).
        h: Inputs (points, features, examples).
    """
    for name, layer in layers:
        if type(layer) is Residual:
            inner = ((f"{name}.{key}", child) for key, child in layer.named_children())
            h = h + forward(inner, weights, h)
        elif type(layer) in ELEMENTWISE:
            h = layer(h)
        else:
            own = {key: weights[f"{name}.{key}"] for key, _ in layer.named_parameters()}
            h = LAYERS[type(layer)](layer, own, h)
    return h


def _linear(layer: nn.Module, own: Weights, h: Tensor) -> Tensor:
    weight = own["weight"]
    tall = h.expand(len(weight), *h.shape[1:])
    return torch.baddbmm(own["bias"].unsqueeze(2), weight, tall) if "bias" in own else weight @ tall


def _layer_norm(layer: nn.Module, own: Weights, h: Tensor) -> Tensor:
    assert isinstance(layer, nn.LayerNorm)
    variance, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
    return _stretched((h - mean) * torch.rsqrt(variance + layer.eps), own)


def _batch_norm(layer: nn.Module, own: Weights, h: Tensor) -> Tensor:
    assert isinstance(layer, nn.BatchNorm1d)
    if layer.running_mean is not None and layer.running_var is not None:
        mean = layer.running_mean[:, None]
        variance = layer.running_var[:, None]
    else:
        variance, mean = torch.var_mean(h, 2, correction=0, keepdim=True)
    return _stretched((h - mean) * torch.rsqrt(variance + layer.eps), own)


def _stretched(h: Tensor, own: Weights) -> Tensor:
    if "weight" in own:
        h = h * own["weight"].unsqueeze(2)
    return h + own["bias"].unsqueeze(2) if "bias" in own else h


LAYERS: dict[type[nn.Module], Layer] = {
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    nn.BatchNorm1d: _batch_norm,
}
ELEMENTWISE = {*ACTIVATIONS.values(), nn.Identity, nn.Dropout}


def scores(loss: Loss, output: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss (points,) of outputs (points, features, examples) and targets (examples, ...)."""
    if loss is F.cross_entropy and not y.is_floating_point():
        return F.cross_entropy(output, y.expand(len(output), *y.shape), reduction="none").mean(1)
    if loss is F.mse_loss and y.dim() == 2:
        return (output - y.mT).square().flatten(1).mean(1)
    if loss is accuracy:
        return (output.argmax(1) == y).to(output.dtype).mean(1)
    return torch.stack([loss(own, y) for own in output.mT])
