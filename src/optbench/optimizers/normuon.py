"""NorMuon."""

import torch
from torch import Tensor

from optbench.checks import Decay, Rate
from optbench.optimizers.arithmetic import Direction, add_scaled
from optbench.optimizers.base import Hyper, State
from optbench.optimizers.muon import Muon, gain, momentum, orthogonal


class NorMuon(Muon):
    """Muon whose orthogonal step is divided, row by row, by the root of a running mean of the row's mean square.

    The whole step then gets its Frobenius norm back, so that neurons move alike and the matrix as far as before.
    `scale` is Muon's; the authors' code scales by sqrt(m / n) where a matrix is wider than tall, too.

    References:
        Li et al., NorMuon: Making Muon more efficient and scalable, 2025, https://arxiv.org/abs/2510.05491
    """

    extends = {"Muon": "rows of one size", "Adafactor": "one moment a row"}

    row_beta: Decay = 0.95
    lr: Rate = 0.02

    @staticmethod
    def init(p: Tensor) -> State:
        return Muon.init(p) if p.dim() < 2 else {**Muon.init(p), "rows": p.new_zeros(len(p), 1)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        if p.dim() < 2:
            return Muon.update(g, p, s, t, h)
        x, m = momentum(g, s["m"], h)
        x = orthogonal(x.flatten(1), h["ns_steps"])
        rows = s["rows"].lerp(x.square().mean(1, keepdim=True), 1 - h["row_beta"])
        even = x / (rows.sqrt() + h["eps"])
        even = even * (torch.linalg.vector_norm(x) / (torch.linalg.vector_norm(even) + h["eps"]))
        direction = gain(p, h["scale"]) * even.view_as(p)
        return add_scaled(direction, h["weight_decay"], p), {"m": m, "rows": rows}
