"""Networks of one architecture as one, with a leading dimension for the replicas."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optbench.models import ACTIVATIONS, Factors
from optbench.training.product import product

PACK = 2**14  # parameters of up to this many elements share one vector: a kernel's launch costs more than its work

NAMES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("weight", "bias"),
    nn.LayerNorm: ("weight", "bias"),
    nn.BatchNorm1d: ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
    Factors: ("u.weight", "v.weight"),
}
"""What each kind of layer has in memory."""


class Pack:
    """Some of the parameters of all replicas, in one memory.

    Args:
        models: The parameters of each replica by name; they become views of the pack.
        names: Those to take.

    Attributes:
        flat: The memory, shape (replicas, elements).
        leaves: The parameters in it, shape (replicas, ...), to differentiate with respect to.
    """

    def __init__(self, models: Sequence[Mapping[str, nn.Parameter]], names: Sequence[str]) -> None:
        self.names = names
        self.shapes = [models[0][name].shape for name in names]
        self.flat = torch.stack([torch.cat([params[name].detach().flatten() for name in names]) for params in models])
        self.leaves = [leaf.requires_grad_() for leaf in self.unpack(self.flat)]
        for name, leaf in zip(names, self.leaves, strict=True):
            for params, row in zip(models, leaf.detach(), strict=True):
                params[name].data = row

    def unpack(self, flat: Tensor) -> list[Tensor]:
        """Return the parameters, or what belongs to them, out of a tensor (..., elements)."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes], dim=-1)
        return [part.view(*flat.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def pack(self, parts: Sequence[Tensor]) -> Tensor:
        """Return tensors (replicas, ...) as one (replicas, elements)."""
        return torch.cat([part.flatten(1) for part in parts], 1) if len(parts) > 1 else parts[0].flatten(1)


class Network:
    """Networks of one architecture as one: every parameter has a leading dimension for the replicas.

    A mini-batch is a matrix of columns, so that the replicas which share one multiply it by a single tall matrix, and
    no gradient has to be transposed: with `torch.func.vmap` a step takes two to three times as long.

    Args:
        models: The networks; their parameters and buffers become views of the stack.
        apart: Whether each parameter has a pack of its own; otherwise the small ones share one.

    Attributes:
        leaves: The parameters by name, shape (replicas, ...).
    """

    def __init__(self, models: Sequence[nn.Module], apart: bool) -> None:
        self.layers = layers(models[0])
        params = [dict(model.named_parameters()) for model in models]
        small = [name for name, p in params[0].items() if p.numel() <= PACK and not apart]
        groups = [[name] for name in params[0] if name not in small]
        if small:
            groups.append(small)
        self.packs = [Pack(params, group) for group in groups]
        self.leaves = {name: leaf for pack in self.packs for name, leaf in zip(pack.names, pack.leaves, strict=True)}
        self.tensors = dict(self.leaves)
        buffers = [dict(model.named_buffers()) for model in models]
        for name in buffers[0]:
            self.tensors[name] = torch.stack([own[name] for own in buffers])
            for own, row in zip(buffers, self.tensors[name], strict=True):
                own[name].data = row

    @staticmethod
    def takes(model: nn.Module) -> bool:
        """Return whether a network can be stacked: a row of known layers, the first one linear, or two factors."""
        known = (*NAMES, *ACTIVATIONS.values())
        row = list(layers(model).values())
        if type(row[0]) not in (nn.Linear, Factors):
            return False
        return all(type(layer) in known and whole(layer) for layer in row)

    def __call__(self, x: Tensor, training: bool = True) -> Tensor:
        """Return what `forward` does with the stack's own tensors."""
        return forward(self.layers, self.tensors, x, training)

    def distinct(self) -> tuple[Callable[[Tensor, bool], Tensor], list[int]]:
        """Return the replicas that differ as a network of their own, and for each replica which of these it is."""
        tensors = {name: tensor.detach() for name, tensor in self.tensors.items()}
        contents = zip(*([row.cpu().numpy().tobytes() for row in tensor] for tensor in tensors.values()), strict=True)
        places: dict[tuple[bytes, ...], int] = {}
        which = [places.setdefault(content, len(places)) for content in contents]
        firsts = [which.index(place) for place in range(len(places))]
        return partial(forward, self.layers, {name: tensor[firsts] for name, tensor in tensors.items()}), which


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a network, by what stands before the names of their tensors; itself if it is no row."""
    if isinstance(model, nn.Sequential):
        return {f"{name}.": layer for name, layer in model.named_children()}
    return {"": model}


def forward(layers: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], x: Tensor, training: bool = True) -> Tensor:
    """Return the outputs of stacked networks, shape (replicas, outputs, batch).

    Args:
        layers: Those of one of the networks by the start of their names, which tell what to do.
        tensors: Parameters and buffers by name, shape (replicas, ...).
        x: Inputs (groups, batch, features); each group is for as many replicas, one after another.
        training: Whether batch normalization uses the mini-batch.
    """
    h = x.mT
    for start, layer in layers.items():
        own = {name: tensors[start + name] for name in NAMES.get(type(layer), ())}
        match layer:
            case nn.Linear():
                h = linear(own["weight"], own["bias"], h)
            case nn.LayerNorm():
                normal = F.layer_norm(h.mT, layer.normalized_shape, eps=layer.eps).mT
                h = normal * own["weight"].unsqueeze(2) + own["bias"].unsqueeze(2)
            case nn.BatchNorm1d():
                h = batch_norm(layer, own, h, training)
            case Factors():
                left = tall_product(own["u.weight"], h[:, : layer.rows])
                right = tall_product(own["v.weight"], h[:, layer.rows :])
                h = (left * right).sum(1, keepdim=True)
            case _:
                h = layer(h)
    return h


def whole(layer: nn.Module) -> bool:
    """Return whether a layer has all that its kind may have: one without a bias, say, is another kind."""
    return layer.state_dict().keys() == set(NAMES.get(type(layer), ()))


def tall_product(w: Tensor, h: Tensor) -> Tensor:
    """Return `w h`, as `linear`."""
    return product(w.reshape(len(h), -1, w.shape[2]), h.mT).view(*w.shape[:2], -1)


def linear(w: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Return `w h + b`: replicas that share their columns multiply them by a single tall matrix."""
    groups = len(h)
    tall = w.reshape(groups, -1, w.shape[2])
    return (product(tall, h.mT) + b.reshape(groups, -1, 1)).view(*b.shape, -1)


def batch_norm(layer: nn.BatchNorm1d, own: Mapping[str, Tensor], h: Tensor, training: bool) -> Tensor:
    """Return columns normalized over the mini-batch, or by the running statistics, which training moves."""
    mean, var, w, b = (own[name].reshape(-1) for name in ("running_mean", "running_var", "weight", "bias"))
    channels = h.reshape(1, -1, h.shape[2])
    normal = F.batch_norm(channels, mean, var, w, b, training, layer.momentum or 0, layer.eps)
    own["num_batches_tracked"] += training
    return normal.view(h.shape)


def losses(
    network: Callable[[Tensor, bool], Tensor], loss: Callable[..., Tensor], x: Tensor, y: Tensor, training: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each replica, and outputs and targets (replicas, ..., batch).

    Args:
        network: What returns outputs as `forward` does, from inputs and whether it trains.
        loss: Function of outputs, targets and `reduction`.
        x: Inputs (groups, batch, features).
        y: Targets (groups, batch, ...).
        training: As for `forward`.
    """
    output = network(x, training)
    target = y.movedim(1, -1).unsqueeze(1)
    target = target.expand(-1, len(output) // len(y), *target.shape[2:]).flatten(0, 1)
    return loss(output, target, reduction="none").flatten(1).mean(1), output, target
