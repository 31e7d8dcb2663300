"""K-FAC."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from optbench.checks import Count, Decay, Index, Positive, Rate, UserError
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.objective import Closure, Objective

Layers = dict[nn.Linear, list[Tensor]]


class KFAC(Optimizer):
    """Natural gradient of the Linear layers, whose Fisher blocks are Kronecker products of two small matrices.

    A is the second moment of a layer's inputs, with a 1 for the bias; S that of the gradients at its outputs, for
    labels drawn from the model's own predictions: classes or, for `gaussian`, the outputs plus normal noise. Both are
    running means, renewed at every `interval`-th step at the cost of one more gradient. Other parameters take steps of
    gradient descent. The state of a layer from m to n, bias included in m, is 2 (m^2 + n^2) numbers.

    References:
        Martens & Grosse, Optimizing Neural Networks with Kronecker-factored Approximate Curvature, 2015,
        https://arxiv.org/abs/1503.05671
    """

    extends = {"Newton": "Fisher, layer by layer"}
    order = 2
    parts = ("model",)

    model: nn.Module
    lr: Rate = 0.01
    damping: Positive = 0.01
    beta: Decay = 0.95
    interval: Count = 10
    likelihood: Literal["categorical", "gaussian"] = "categorical"
    seed: Index = 0

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        objective = Objective.of(closure, self)
        with torch.enable_grad():
            loss = objective()
        groups = {p: group for group in self.param_groups for p in group["params"] if p.grad is not None}
        self._refuse_sparse(groups)
        linear = [m for m in self.model.modules() if isinstance(m, nn.Linear) and m.weight in groups]
        layers = {m: [p for p in (m.weight, m.bias) if p in groups] for m in linear}
        if not layers:
            raise UserError("KFAC: the model has no Linear layer whose weights are given to it; use another optimizer")
        h, t = groups[linear[0].weight], self._state[linear[0].weight].get("step", 0)
        if t % h["interval"] == 0:
            for layer, (a, s) in self._examples(objective, layers, t, h).items():
                self._state[layer.weight] = renewed(self._state[layer.weight], a, s, 1 + t // h["interval"], h)
        steps = {p: p.grad for p in groups}
        for layer, params in layers.items():
            state = self._state[layer.weight]
            state["step"] = t + 1
            if "A" in state:
                G = torch.cat([steps[p].reshape(len(p), -1) for p in params], 1)
                V = state["S_inverse"] @ G @ state["A_inverse"]
                steps |= {
                    p: V[:, i * layer.in_features :][:, : p[0].numel()].reshape(p.shape) for i, p in enumerate(params)
                }
        for p, step in steps.items():
            p.sub_(groups[p]["lr"] * step)
        return loss

    @torch.enable_grad()
    def _examples(
        self, objective: Objective, layers: Layers, t: int, h: Hyper
    ) -> dict[nn.Linear, tuple[Tensor, Tensor]]:
        """Return each layer's inputs and, for labels drawn from the predictions, the slopes at its outputs, as rows."""
        seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        hooks = [
            m.register_forward_hook(lambda m, x, y: seen.update({m: (x[0].detach(), y)})) for m in (*layers, self.model)
        ]
        try:
            objective.loss()
        finally:
            for hook in hooks:
                hook.remove()
        objective.grad_evals += 1
        prediction = seen[self.model][1].flatten(0, -2)
        draw = torch.Generator(prediction.device).manual_seed((1_000_003 * h["seed"] + t) % 2**32)
        noise = torch.empty_like(prediction).detach()
        if h["likelihood"] == "categorical":
            drawn = (prediction.detach() - noise.exponential_(generator=draw).log()).argmax(-1)
            loss = nn.functional.cross_entropy(prediction, drawn, reduction="sum")
        else:
            loss = (prediction * noise.normal_(generator=draw)).sum()
        used = [m for m in layers if m in seen]
        slopes = torch.autograd.grad(loss, [seen[m][1] for m in used], materialize_grads=True)
        inputs = [nn.functional.pad(seen[m][0].flatten(0, -2), (0, len(layers[m]) - 1), value=1) for m in used]
        return {m: (a, s.flatten(0, -2)) for m, a, s in zip(used, inputs, slopes, strict=True)}


def renewed(state: State, a: Tensor, s: Tensor, count: int, h: Hyper) -> State:
    """Return a layer's factors moved towards those of its examples, and their damped inverses."""
    A, S, share = a.mT @ a / len(a), s.mT @ s / len(s), max(1 / count, 1 - h["beta"])
    if "A" in state:
        A, S = state["A"].lerp(A, share), state["S"].lerp(S, share)
    tiny = torch.finfo(A.dtype).tiny
    pi = (A.trace() / len(A)).clamp(min=tiny).sqrt() / (S.trace() / len(S)).clamp(min=tiny).sqrt()
    root = h["damping"] ** 0.5
    return {**state, "A": A, "S": S, "A_inverse": inverse(A, pi * root), "S_inverse": inverse(S, root / pi)}


def inverse(x: Tensor, damping: Tensor) -> Tensor:
    """Return (x + damping I)^-1 of a symmetric matrix, not finite where x is not."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    damped = precise + damping.to(precise.dtype).expand(len(x)).diag()
    return torch.cholesky_inverse(torch.linalg.cholesky_ex(damped)[0]).to(x.dtype)
