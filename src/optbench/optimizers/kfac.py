"""K-FAC."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from optbench.checks import Count, Decay, Index, Positive, Rate, UserError
from optbench.optimizers.arithmetic import subtract_, working
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.objective import LOSS, Closure, Objective

Layers = dict[nn.Linear, list[Tensor]]
"""Linear layers, each with those of its weights and bias that move."""


UNSEEN = "KFAC: the loss calls no layer of the model; give the model that it calls, and call that without torch.compile"


class KFAC(Optimizer):
    """Natural gradient of the Linear layers, whose Fisher blocks are Kronecker products of two small matrices.

    A is the second moment of a layer's inputs, with a 1 for the bias; S that of the gradients at its outputs, for
    labels drawn from the model's own predictions: classes or, for `gaussian`, the outputs plus normal noise. Both are
    running means, renewed at every `interval`-th step at the cost of one more gradient. Other parameters take steps of
    gradient descent, and so do those of a Linear layer that the model never calls as a module, which it says. The state
    of a layer from m to n, bias included in m, is 2 (m^2 + n^2) numbers. The model has to return one tensor, shape
    (batch, ..., outputs). A layer that is called more than once counts every call as examples of its own.

    This is the paper without its momentum (section 7), its rescaling by the exact Fisher (6.4) and the adaptation of
    the damping (6.5, 6.6): `lr` and `damping` are as given.

    References:
        Martens & Grosse, Optimizing Neural Networks with Kronecker-factored Approximate Curvature, 2015,
        https://arxiv.org/abs/1503.05671
    """

    extends = {"Newton": "Fisher, layer by layer"}
    order = 2
    shards = False
    parts = ("model",)
    shares = False
    common = ("damping", "beta", "interval", "likelihood", "seed")
    keeps = ("A", "S", "A_inverse", "S_inverse")

    model: nn.Module
    lr: Rate = 0.01
    damping: Positive = 0.01
    beta: Decay = 0.95
    interval: Count = 10
    likelihood: Literal["categorical", "gaussian"] = "categorical"
    seed: Index = 0

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            return self._without_closure(LOSS)
        objective = Objective.of(closure, self)
        with torch.enable_grad():
            loss = objective()
        moving = self._moving()
        self._refuse_autocast(moving)
        groups = {p: h for p, _, _, h in moving}
        layers = self._layers(groups)
        first = next(iter(layers)).weight
        t = self.state[first]["step"]
        h = groups[first]
        if t % h["interval"] == 0:
            self._renew(objective, layers, t, h)
        steps = {p: g for p, g, _, _ in moving}
        for layer, params in layers.items():
            state = self.state[layer.weight]
            if "A" in state:
                steps.update(zip(params, natural(state, [steps[p] for p in params]), strict=True))
        for p, step in steps.items():
            subtract_(p, groups[p]["lr"], step)
            self.state[p]["step"] += 1
        return loss

    def _after(self, p: Tensor, like: Tensor, h: Hyper) -> State:
        for m in self.model.modules():
            if isinstance(m, nn.Linear) and m.weight is p:
                sides = {"A": p.shape[1] + (m.bias is not None and m.bias.requires_grad), "S": p.shape[0]}
                return {f"{k}{end}": like.new_zeros(n, n) for k, n in sides.items() for end in ("", "_inverse")}
        return {}

    def validate(self, group: Hyper) -> None:
        if isinstance(self.model, nn.DataParallel):
            raise UserError("KFAC: model is a DataParallel, whose copies hide their layers; give its module")

    def _layers(self, groups: Mapping[Tensor, Hyper]) -> Layers:
        linear = [m for m in self.model.modules() if isinstance(m, nn.Linear) and m.weight in groups]
        if not linear:
            raise UserError("KFAC: the model has no Linear layer whose weights are given to it; use another optimizer")
        if len({m.weight for m in linear}) < len(linear):
            raise UserError("KFAC: two Linear layers have one weight, and so one pair of factors; give each its own")
        return {m: [p for p in (m.weight, m.bias) if p in groups] for m in linear}

    def _renew(self, objective: Objective, layers: Layers, t: int, h: Hyper) -> None:
        """Move the factors of all layers towards those of the examples of one mini-batch."""
        examples = self._examples(objective, layers, t, h)
        for layer, (inputs, slopes) in examples.items():
            state = self.state[layer.weight]
            state.update(renewed(state, working(inputs), working(slopes), 1 + t // h["interval"], h))
        said = vars(self).setdefault("_said", set())
        for name, module in self.model.named_modules():
            if module in layers.keys() - examples.keys() and name not in said:
                said.add(name)
                warnings.warn(f"KFAC: '{name}' takes steps of gradient descent: the model never calls it", stacklevel=4)

    @torch.enable_grad()
    def _examples(
        self, objective: Objective, layers: Layers, t: int, h: Hyper
    ) -> dict[nn.Linear, tuple[Tensor, Tensor]]:
        """Return each layer's inputs and, for labels drawn from the predictions, the slopes at its outputs.

        They are rows, one for each example, of shapes (examples, inputs + 1) and (examples, outputs); the 1 stands for
        the bias, where there is one that moves. A layer that the model does not call is left out.
        """
        inputs, outputs = self._watched(objective, layers)
        objective.grad_evals += 1
        draw = torch.Generator(next(iter(layers)).weight.device).manual_seed((1_000_003 * h["seed"] + t) % 2**32)
        loss = sampled_loss(prediction(outputs.get(self.model, [None])[-1]), h["likelihood"], draw)
        called = [m for m in layers if m in inputs]
        if not called:
            raise UserError(UNSEEN)
        calls = [y for m in called for y in outputs[m]]
        slopes = iter(torch.autograd.grad(loss, calls, materialize_grads=True))
        examples = {}
        for m in called:
            bias = len(layers[m]) - 1
            x = [nn.functional.pad(given.flatten(0, -2), (0, bias), value=1) for given in inputs[m]]
            y = [next(slopes).flatten(0, -2) for _ in outputs[m]]
            examples[m] = (torch.cat(x), torch.cat(y))
        return examples

    def _watched(
        self, objective: Objective, layers: Layers
    ) -> tuple[dict[nn.Module, list[Tensor]], dict[nn.Module, list[Any]]]:
        """Evaluate the loss, and return the inputs of the layers and the outputs of layers and model, call by call."""
        inputs: dict[nn.Module, list[Tensor]] = {}
        outputs: dict[nn.Module, list[Any]] = {}

        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            outputs.setdefault(module, []).append(output)
            if module in layers:
                given = args[0] if args else kwargs["input"]
                inputs.setdefault(module, []).append(given.detach())

        hooks = [m.register_forward_hook(note, with_kwargs=True) for m in {*layers, self.model}]
        try:
            objective.loss()
        finally:
            for hook in hooks:
                hook.remove()
        return inputs, outputs


def prediction(output: Any) -> Tensor:
    """Return what the model returned as rows, shape (examples, outputs).

    Raises:
        UserError: It is not one tensor of at least two dimensions.
    """
    if output is None:
        raise UserError(UNSEEN)
    if not isinstance(output, Tensor):
        raise UserError(f"KFAC: the model returns a {type(output).__name__}; let it return a tensor (batch, outputs)")
    if output.dim() < 2:
        raise UserError(f"KFAC: the model returns shape {tuple(output.shape)}; let it return a tensor (batch, outputs)")
    return output.flatten(0, -2)


def sampled_loss(prediction: Tensor, likelihood: str, draw: torch.Generator) -> Tensor:
    """Return the summed negative log-likelihood of labels drawn from predictions, shape (examples, outputs)."""
    noise = prediction.detach().new_empty(prediction.shape)
    if likelihood == "gaussian":
        return (prediction * noise.normal_(generator=draw)).sum()
    drawn = (prediction.detach() - noise.exponential_(generator=draw).log()).argmax(-1)
    return nn.functional.cross_entropy(prediction, drawn, reduction="sum")


def natural(state: State, gradients: list[Tensor]) -> list[Tensor]:
    """Return the natural gradient S^-1 G A^-1 of a layer.

    Args:
        state: Its factors.
        gradients: Of the weights, shape (outputs, inputs), and of the bias, shape (outputs,), if that moves.
    """
    G = torch.cat([g.reshape(len(g), -1) for g in gradients], 1)
    V = state["S_inverse"] @ G @ state["A_inverse"]
    parts = V.split([g[0].numel() for g in gradients], 1)
    return [part.reshape(g.shape) for part, g in zip(parts, gradients, strict=True)]


def renewed(state: State, inputs: Tensor, slopes: Tensor, count: int, h: Hyper) -> State:
    """Return a layer's factors moved towards those of its examples, and their damped inverses.

    Args:
        state: The factors so far, if there are any.
        inputs: As rows, shape (examples, inputs + 1).
        slopes: As rows, shape (examples, outputs).
        count: How many times the factors have been renewed, this one included.
        h: Hyperparameters.
    """
    A = inputs.mT @ inputs / len(inputs)
    S = slopes.mT @ slopes / len(slopes)
    if "A" in state:
        share = max(1 / count, 1 - h["beta"])
        A = state["A"].lerp(A, share)
        S = state["S"].lerp(S, share)
    tiny = torch.finfo(A.dtype).tiny
    pi = (A.trace() / len(A)).clamp(min=tiny).sqrt() / (S.trace() / len(S)).clamp(min=tiny).sqrt()
    root = h["damping"] ** 0.5
    return {"A": A, "S": S, "A_inverse": inverse(A, pi * root), "S_inverse": inverse(S, root / pi)}


def inverse(x: Tensor, damping: Tensor) -> Tensor:
    """Return (x + damping I)^-1 of a symmetric matrix, not finite where x is not."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    damped = precise + damping.to(precise.dtype).expand(len(x)).diag()
    return torch.cholesky_inverse(torch.linalg.cholesky_ex(damped)[0]).to(x.dtype)
