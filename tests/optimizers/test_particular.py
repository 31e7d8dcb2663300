"""What single rules promise beyond the contract of all."""

from functools import partial
from typing import get_args

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from optbench.checks import UserError
from optbench.optimizers import (
    FTRL,
    KFAC,
    SOAP,
    Adam,
    Hyperball,
    Objective,
    PSGDKron,
    ScheduleFreeSGD,
    Scion,
    Shampoo,
    base,
)
from optbench.optimizers.build import build_optimizer
from optbench.surfaces.descent import descend, with_rates


@pytest.mark.parametrize("hyper", [{}, dict(l1=0.3, l2=0.2), dict(warm_start=False, initial_accumulator=0.1)])
def test_no_rate_moves_a_weight_of_ftrl_without_a_gradient(hyper):
    p = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    optimizer = FTRL([p], lr=0.5, **hyper)
    for g in ([1.0, -3.0, 0.1], [0.5, 2.0, 0.1]):
        p.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    known = p.detach().clone()
    p.grad = torch.zeros_like(p)
    for lr in (0.1, 0.0, 3.0, 0.5):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        torch.testing.assert_close(p.detach(), known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [Shampoo, SOAP])
@pytest.mark.parametrize("shape", [(6, 2), (2, 6), (6, 7)])
def test_a_side_above_the_limit_has_no_statistic(cls, shape):
    p = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    optimizer = cls([p], max_precondition_dim=3, interval=2)
    before = p.detach().square().sum()
    for _ in range(5):
        p.grad = p.detach().clone()
        optimizer.step()
    assert p.detach().square().sum() < before
    kept = [k for k in shape if k <= 3]
    statistics = [optimizer.state[p][side] for side in "LR"]
    assert [len(x) for x in statistics if x.numel()] == kept


@pytest.mark.parametrize("cls", [Shampoo, SOAP])
def test_statistics_beyond_the_memory_are_refused_by_name(cls):
    huge = nn.Parameter(torch.empty(10**7, 2))  # never touched, so it takes none
    limit = 10**7
    with pytest.raises(UserError, match=rf"{cls.__name__}: table.weight of shape \[10000000, 2\] asks for .* GB"):
        cls([("table.weight", huge)], max_precondition_dim=limit)
    with pytest.raises(UserError, match="parameter 0 of shape .*; give max_precondition_dim=9999999 or less"):
        cls([huge], max_precondition_dim=limit)
    cls([huge])


def test_a_layer_that_is_called_twice_counts_every_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3, dtype=torch.float64)

        def forward(self, x):
            return self.layer(self.layer(x).tanh())

    torch.manual_seed(0)
    model, x = Twice(), torch.randn(5, 3, dtype=torch.float64)
    inner = model.layer(x).detach().tanh()
    optimizer = KFAC(model.parameters(), model=model)
    optimizer.step(Objective(lambda: nn.functional.cross_entropy(model(x), torch.arange(5) % 3), model.parameters()))
    rows = nn.functional.pad(torch.cat([x, inner]), (0, 1), value=1)
    torch.testing.assert_close(optimizer.state[model.layer.weight]["A"], rows.mT @ rows / 10)


def test_a_warm_up_counts_little_in_a_schedule_free_mean():
    p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = ScheduleFreeSGD([p], beta=0.9)
    z, rates = [], [0.0, 0.1, 0.2, 1.0, 0.5]
    for lr in rates:
        optimizer.param_groups[0]["lr"] = lr
        p.grad = torch.ones_like(p)
        optimizer.step()
        z.append(float(optimizer.state[p]["z"]))
    weights = [max(rates[: i + 1]) ** 2 for i in range(len(rates))]
    optimizer.eval()
    mean = sum(w * x for w, x in zip(weights, z, strict=True)) / sum(weights)
    assert float(p.detach()) == pytest.approx(mean, rel=1e-12)


def test_hyperball_keeps_the_norms_of_matrices_and_no_others():
    matrix, vector = (nn.Parameter(torch.rand(shape, dtype=torch.float64)) for shape in ((3, 2), (4,)))
    before = [torch.linalg.vector_norm(p.detach()) for p in (matrix, vector)]
    optimizer = Hyperball([matrix, vector], base=lambda params: FTRL(params, lr=0.1))
    for _ in range(3):
        matrix.grad, vector.grad = torch.rand_like(matrix), torch.rand_like(vector)
        optimizer.step()
    after = [torch.linalg.vector_norm(p.detach()) for p in (matrix, vector)]
    torch.testing.assert_close(after[0], before[0])
    assert after[1] != before[1]


def test_rows_of_a_large_parameter_keep_rates_of_their_own(monkeypatch):
    monkeypatch.setattr(base, "SLICE", 8)
    rows = torch.randn(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rates = torch.tensor([[0.1], [0.0], [1.0]], dtype=torch.float64)
    paths = descend(lambda w: w.square().sum(1), with_rates(Adam, rates), rows, 4, batched=True)
    for i, lr in enumerate(rates.flatten().tolist()):
        alone = descend(lambda w: w.square().sum(), partial(Adam, lr=lr), rows[i], 4)
        torch.testing.assert_close(paths[:, i], alone)


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_balanced_factors_have_one_size_and_the_same_product(balance):
    draw = torch.Generator().manual_seed(0)
    p = nn.Parameter(torch.randn(4, 3, generator=draw, dtype=torch.float64))
    twin = nn.Parameter(p.detach().clone())
    optimizer, other = PSGDKron([p], balance=balance), PSGDKron([twin], balance=0.0)
    for _ in range(3):
        p.grad = torch.randn(4, 3, generator=draw, dtype=torch.float64)
        twin.grad = p.grad.clone()
        optimizer.step()
        other.step()
        optimizer.state[p]["QL"] *= 10
        optimizer.state[p]["QR"] /= 10
    torch.testing.assert_close(p, twin, rtol=1e-9, atol=1e-9)
    left, right = (float(optimizer.state[p][side].abs().max()) for side in ("QL", "QR"))
    assert 50 < left / right < 200 if balance else left / right > 1e4


@pytest.mark.parametrize("scale", [1.0, 1e-9])
@pytest.mark.parametrize("norm", get_args(Scion.kinds["norm"]))
def test_scion_steps_to_the_edge_of_its_ball_for_filters_too(norm, scale):
    g = scale * torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = nn.Parameter(torch.zeros_like(g))
    p.grad = g
    Scion([p], lr=1.0, beta=0.0, radius=2.0, norm=norm, constrained=False).step()
    step = -p.detach()
    assert (step * g).sum() > 0
    lengths, edge = {
        "spectral": (torch.linalg.matrix_norm(step.flatten(1), 2), 2 * (4 / 3) ** 0.5 / 4),
        "sign": (step.abs().max(), 2 / 12),
        "column": (step.square().mean(0).sqrt().max(), 2.0),
        "row": (step.flatten(1).norm(dim=1).max(), 2 / 12**0.5),
    }[norm]
    assert lengths < 1.3 * edge
    assert scale < 1 or lengths > 0.7 * edge


@pytest.mark.parametrize("outer", ["Lookahead", "SAM", "Cautious", "Hyperball", "Averaged"])
@pytest.mark.parametrize("inner", ["KFAC", "DemonAdam", "Newton", "ScheduleFreeSGD", "MoMo", "Lookahead", "Averaged"])
def test_wrappers_compose_from_a_config(outer, inner):
    if outer == inner:
        pytest.skip("a wrapper around its own kind")
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double(), torch.randn(16, 4).double()
    objective = Objective(lambda: nn.functional.cross_entropy(model(x), torch.arange(16) % 3), model.parameters())
    base = {"_target_": f"optbench.optimizers.{inner}", "_partial_": True, "search": {"lr": {"low": 0.1, "high": 1.0}}}
    base |= {"form": "saddle_free", "damping": 1.0} if inner == "Newton" else {}
    if inner in ("Lookahead", "Averaged"):
        base["base"] = {"_target_": "optbench.optimizers.KFAC", "_partial_": True}
    config = OmegaConf.create({"_target_": f"optbench.optimizers.{outer}", "_partial_": True, "base": base})
    optimizer = build_optimizer(config, model, 20)(model.parameters())
    first = float(objective.loss().detach())
    for _ in range(10):
        optimizer.step(objective)
    optimizer.eval()
    assert float(objective.loss().detach()) < first
