"""Rprop."""

import math
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from optbench.checks import Interval, Positive, Rate, UserError
from optbench.optimizers.base import Hyper, Optimizer, State
from optbench.optimizers.objective import Closure, number


class Rprop(Optimizer):
    """Step sizes that grow while the gradient keeps its sign and shrink when it flips; its length is never used.

    `lr` is the first step size. After a flip `minus` moves on, `iminus` (torch) stays for one step, `plus` takes the
    last move back, and `iplus` does so only if the loss has risen: it needs a closure. Meant for full batches.

    References:
        Riedmiller & Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm, 1993,
        https://doi.org/10.1109/ICNN.1993.298623
        Igel & Huesken, Improving the Rprop Learning Algorithm, 2000,
        https://christian-igel.github.io/paper/ItRLA.pdf
    """

    extends = {"SGD": "step sizes from signs"}
    whole_step = True
    scheduled = False

    lr: Rate = 0.01
    eta_minus: Annotated[float, Interval("(0, 1)")] = 0.5
    eta_plus: Annotated[float, Interval("(1, inf)")] = 1.2
    step_min: Rate = 1e-6
    step_max: Positive = 50.0
    form: Literal["minus", "iminus", "plus", "iplus"] = "iminus"

    @staticmethod
    def init(p: Tensor) -> State:
        return {"sign": torch.zeros_like(p), "d": torch.zeros_like(p), "loss": math.inf}

    @staticmethod
    def update(g: Tensor, p: Tensor, s: State, t: int, h: Hyper) -> tuple[Tensor, State]:
        last = s["d"] + (t == 1) * h["lr"]
        sign = g.sign()
        turn = sign * s["sign"]
        d = torch.where(turn > 0, last * h["eta_plus"], torch.where(turn < 0, last * h["eta_minus"], last))
        d = d.clamp(h["step_min"], h["step_max"])
        if h["form"] == "minus":
            return sign * d, {"sign": sign, "d": d, "loss": s["loss"]}
        kept = torch.where(turn < 0, 0.0, sign)
        loss = h.get("loss", math.inf)
        step = kept * d
        if h["form"] in ("plus", "iplus"):
            back = h["form"] == "plus" or loss > s["loss"]
            step = step + (sign - kept) * last * back
        return step, {"sign": kept, "d": d, "loss": loss}

    @classmethod
    def stackable(cls, h: Hyper) -> bool:
        return bool(h["form"] != "iplus")

    def step(self, closure: Closure | None = None) -> Any:
        """Move; see `Optimizer.step`.

        Raises:
            UserError: The form is `iplus` and there is no closure to give the loss.
        """
        groups = [group for group in self.param_groups if group["form"] == "iplus"]
        if not groups:
            return super().step(closure)
        if closure is None:
            raise UserError("Rprop: form='iplus' compares losses; call step(closure)")

        def observed() -> Any:
            loss = closure()
            for group in groups:
                group["loss"] = number(loss)
            return loss

        return super().step(observed)

    def validate(self, group: Hyper) -> None:
        if group["step_min"] > group["step_max"]:
            raise UserError(f"Rprop: step_min={group['step_min']} is above step_max={group['step_max']}; swap them")
