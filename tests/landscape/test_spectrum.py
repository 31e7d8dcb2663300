"""The Hessian of a network, by products with vectors alone."""

from pathlib import Path

import pytest
import torch
from small import SMALL
from torch.func import functional_call

from optbench import records
from optbench.landscape.curvature import extremes
from optbench.landscape.spectrum import along_run
from optbench.landscape.task import task as problem


@pytest.mark.parametrize("size", [1, 2, 200])
def test_lanczos_finds_both_ends_of_a_spectrum(size):
    draw = torch.Generator().manual_seed(size)
    square = torch.randn(size, size, generator=draw, dtype=torch.float64)
    matrix = square + square.mT
    true = torch.linalg.eigvalsh(matrix)
    low, high = extremes(matrix.matmul, torch.randn(size, generator=draw, dtype=torch.float64))
    assert (low, high) == pytest.approx((true[0].item(), true[-1].item()), rel=1e-3)


def test_the_ground_under_a_run(optbench, capsys):
    optbench("train", *SMALL, "model.hidden=[2]", "trainer.max_epochs=1", "hydra.run.dir=run")
    run = records.read(Path("run"))
    first, last = along_run(run, points=2, examples=40)
    assert (first.step, last.step) == (0, 10)

    task = problem(run.config, 40)
    names, shapes = zip(*((name, p.shape) for name, p in task.model.named_parameters()), strict=True)
    sizes = [shape.numel() for shape in shapes]

    def loss(flat):
        parts = (part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True))
        return task.loss(functional_call(task.model, dict(zip(names, parts, strict=True)), task.x), task.y)

    weights = torch.from_numpy(run.trajectory[1][-1])
    gradient = torch.autograd.functional.jacobian(loss, weights)
    hessian = torch.autograd.functional.hessian(loss, weights, vectorize=True)
    true = torch.linalg.eigvalsh(hessian.double())
    assert last.loss == pytest.approx(loss(weights).item(), rel=1e-5)
    assert last.gradient_norm == pytest.approx(gradient.norm().item(), rel=1e-4)
    assert (last.lowest, last.highest) == pytest.approx((true[0].item(), true[-1].item()), rel=5e-3)
    assert last.lowest < 0 < last.highest

    capsys.readouterr()
    optbench("terrain", "run=run")
    said = capsys.readouterr().out
    assert "gradient norm" in said and last.name in said
    assert Path("run/terrain.png").stat().st_size > 10_000
