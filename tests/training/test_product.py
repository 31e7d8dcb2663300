"""Large products are products, and the private part of torch that makes them fast is still what it was."""

import pytest
import torch
from stacks import Task, factory, weights

from optbench.training import product as module
from optbench.training.product import product


@pytest.fixture
def all_large(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)


@pytest.mark.parametrize("n", [1, 3])
def test_products_and_their_gradients(all_large, n):
    a, b = torch.randn(n, 5, 7), torch.randn(n, 7, 6).mT
    found, gradients = [], []
    for dtype, multiply in ((torch.float32, product), (torch.float64, lambda a, b: a @ b.mT)):
        left, right = (x.to(dtype).requires_grad_() for x in (a, b))
        found.append(multiply(left, right))
        gradients.append(torch.autograd.grad(found[-1].sin().sum(), [left, right]))
    assert "Product" in type(found[0].grad_fn).__name__
    torch.testing.assert_close(found[0], found[1].float(), rtol=1e-5, atol=1e-5)
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", ["plain", "compiled"])
def test_stacks_that_multiply_so_are_separate_runs(all_large, as_written, way):
    task = Task([factory("Adam", lr=lr) for lr in (0.01, 0.003)] * 2, 2, torch.float32)
    losses, models, optims = task.alone()
    replicas, own = task.make()
    stack = task.stack(way, replicas, own)
    rates = [[optim.param_groups[0]["lr"]] * len(task.x) for optim in optims]
    torch.testing.assert_close(stack.advance(task.x, task.y, rates).mT, losses.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weights(replicas), weights(models), rtol=1e-4, atol=1e-5)


def test_torch_still_has_its_call_of_onednn():
    arguments = "(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) -> Tensor Y"
    assert str(torch.ops.mkldnn._linear_pointwise.default._schema) == f"mkldnn::_linear_pointwise{arguments}"
