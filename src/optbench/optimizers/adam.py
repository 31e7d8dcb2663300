"""Adam."""

from typing import Literal

import torch
from torch import Tensor

from optbench.checks import Decay, Positive, Rate
from optbench.optimizers.arithmetic import Direction, Quotient, add_scaled, mean_square_
from optbench.optimizers.base import Hyper, Optimizer, State


class Adam(Optimizer):
    """First moment of the gradient over the root of the second, both corrected for their start at zero.

    `eps_form` says where eps stands: outside the root (the paper), inside it, or beside the uncorrected root (`hat`,
    the paper's section 2, Keras). Without `bias_correction` both moments are taken as they are, small at first, and
    the first steps are the longer for it. Decay is L2: it joins the gradient, and so both moments.

    References:
        Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """

    extends = {"RMSprop": "corrects for the start", "Momentum": "of scaled gradients"}

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: Rate = 0.0
    eps_form: Literal["outside", "inside", "hat"] = "outside"
    bias_correction: bool = True

    @staticmethod
    def init(p: Tensor) -> State:
        return {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Direction, State]:
        g = add_scaled(g, h["weight_decay"], p)
        v = mean_square_(s, "v", g, h["beta2"])
        corrects = h.get("bias_correction", True)
        c1, c2 = (1 - h[beta] ** t if corrects else 1.0 for beta in ("beta1", "beta2"))
        match h["eps_form"]:
            case "outside":
                root = v.sqrt().add_(h["eps"] * c2**0.5)
            case "inside":
                root = (v + h["eps"] * c2).sqrt_()
            case "hat":
                root = v.sqrt().add_(h["eps"])
        m = s["m"].lerp(g, 1 - h["beta1"])
        return Quotient(m, root, c2**0.5 / c1), {"m": m, "v": v}
