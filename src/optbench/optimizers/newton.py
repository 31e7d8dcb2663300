"""Newton's method."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from optbench.checks import Count, Positive, Rate, UserError
from optbench.optimizers.base import Hyper
from optbench.optimizers.flat import Flat, Function
from optbench.optimizers.objective import LOSS, Closure, Objective
from optbench.optimizers.shampoo import eigh


class Newton(Flat):
    """Step to the minimum of the quadratic model, H^-1 g.

    `plain` takes H as it is and refuses an indefinite one; `lm` adds `damping` and what makes H positive definite;
    `saddle_free` takes |H| + damping. Up to `exact_size` parameters H is exact; above, it is H on the Krylov space that
    `krylov` Hessian-vector products span: Newton-CG in its Lanczos form, which serves all three.

    References:
        Marquardt, An Algorithm for Least-Squares Estimation of Nonlinear Parameters, 1963,
        https://doi.org/10.1137/0111030
        Levenberg, A method for the solution of certain non-linear problems in least squares, 1944,
        https://doi.org/10.1090/qam/10666
        Nocedal & Wright, Numerical Optimization, 2006, chapters 3 and 7, https://doi.org/10.1007/978-0-387-40065-5
        Dauphin et al., Identifying and attacking the saddle point problem, 2014, https://arxiv.org/abs/1406.2572
    """

    extends = {"SGD": "divides by curvature"}
    order = 2
    shards = False
    only = {"damping": ("form", ("lm", "saddle_free"))}

    lr: Rate = 1.0
    damping: Positive = 1.0
    form: Literal["plain", "lm", "saddle_free"] = "plain"
    exact_size: Count = 2000
    krylov: Count = 20

    def step(self, closure: Closure | None = None) -> Any:
        if closure is None:
            return self._without_closure(LOSS)
        return super().step(Objective.of(closure, self))

    def _minimize(self, f: Function) -> None:
        h = self.param_groups[0]
        objective = Objective.of(f.closure, self)
        loss, gradients, hvp = objective.expand(f.params)
        g = f.join(gradients).to(torch.promote_types(f.x.dtype, torch.float32))
        if not (loss.isfinite() and g.any()):
            return  # a loss that is not finite is for the caller to see

        def product(v: Tensor) -> Tensor:
            return f.join(hvp([part.to(p.dtype) for part, p in zip(f.split(v), f.params, strict=True)])).to(g.dtype)

        if len(g) <= h["exact_size"]:
            V = torch.eye(len(g), dtype=g.dtype, device=g.device)
            HV = torch.stack([product(v) for v in V])
        else:
            V, HV = lanczos(product, g, h["krylov"])
        if not HV.isfinite().all():
            raise UserError(
                f"Newton: the Hessian is not finite where the loss is {loss:.4g}; start elsewhere or lower lr"
            )
        values, Q = eigh(HV @ V.mT)
        basis = Q.mT @ V
        step = (basis @ g / curvatures(values, h)) @ basis
        f.move(f.x - self._spread(f, "lr") * step)
        self._store(f)


def curvatures(values: Tensor, h: Hyper) -> Tensor:
    """Return what a form of the method puts in place of the Hessian's eigenvalues, ascending.

    Raises:
        UserError: They are of both signs or 0, and the form is `plain`.
    """
    low = values[0].item()
    high = values[-1].item()
    if h["form"] == "lm":
        return torch.add(values, h["damping"] - min(low, 0))
    if h["form"] == "saddle_free":
        return torch.add(values.abs(), h["damping"])
    if low * high <= 0:
        raise UserError(
            f"Newton: form='plain' met an indefinite Hessian, eigenvalues from {low:.4g} to {high:.4g}; use form=lm or "
            "form=saddle_free"
        )
    return values


def lanczos(product: Callable[[Tensor], Tensor], g: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis of the Krylov space of H and g, up to a size, and H times each; both as rows."""
    V = g.new_zeros(0, len(g))
    HV = g.new_zeros(0, len(g))
    v = g / torch.linalg.vector_norm(g)
    for _ in range(size):
        w = product(v)
        V = torch.cat([V, v[None]])
        HV = torch.cat([HV, w[None]])
        rest = w - V.mT @ (V @ w)
        rest = rest - V.mT @ (V @ rest)  # twice, or rounding makes the basis oblique
        length = torch.linalg.vector_norm(rest)
        if not length > torch.finfo(g.dtype).eps ** 0.5 * torch.linalg.vector_norm(w):
            break
        v = rest / length
    return V, HV
