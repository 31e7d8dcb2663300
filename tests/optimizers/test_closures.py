"""What a step asks of its closure, alone and under Lightning, and what it leaves behind when that fails."""

import warnings
from functools import partial

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from tasks import Task, run
from test_state import trainer

from optbench.checks import UserError
from optbench.optimizers import CLASSES, KFAC, SAM, SGD, Objective

LOSS = ["KFAC", "Newton", "Sophia"]


@pytest.mark.parametrize("name", LOSS)
def test_a_plain_closure_that_returns_the_loss_will_do(name):
    task, other = Task(), Task()
    hyper = {"form": "lm"} if name == "Newton" else {}
    end = run(task, task.make(name, **hyper), 3)
    optimizer = other.make(name, **hyper)
    for closure in (other.loss, partial(other.objective), lambda: other.loss()):
        optimizer.step(closure=closure)
    torch.testing.assert_close(other.weights(), end, rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSS)
def test_names_the_remedy_for_a_closure_without_the_loss(name):
    task = Task()
    optimizer = task.make(name)
    for closure in (task.objective, lambda: None, lambda: 1.0, lambda: task.loss().detach()):
        with pytest.raises(UserError) as error:
            optimizer.step(lambda closure=closure: closure())
        assert str(error.value).startswith(f"{name}: step() has a closure without its loss; call step(Objective(loss")
        assert "automatic_optimization = False" in str(error.value) and "\n" not in str(error.value)


class Automatic(lightning.LightningModule):
    """Lightning differentiates by itself, and hands on a loss without its graph."""

    def __init__(self, name):
        super().__init__()
        self.task, self.name = Task(torch.float32), name
        self.model = self.task.model

    def configure_optimizers(self):
        return self.task.make(self.name)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(2))

    def training_step(self, batch, index):
        return self.task.loss()


@pytest.mark.parametrize("name", CLASSES)
def test_trains_under_automatic_optimization_or_names_the_remedy(name):
    module = Automatic(name)
    before = module.task.weights()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in LOSS:
            with pytest.raises(UserError, match=r"automatic_optimization = False"):
                trainer().fit(module)
            return
        trainer().fit(module)
    assert any(not torch.equal(a, b) for a, b in zip(before, module.task.weights(), strict=True))


def network(*, norm=False):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4) if norm else torch.nn.Tanh(), torch.nn.Linear(4, 2)]
    return torch.nn.Sequential(*layers), torch.randn(8, 3), torch.arange(8) % 2


def test_sam_puts_the_weights_back_when_the_second_pass_fails():
    model, x, y = network()
    optimizer = SAM(model.parameters(), base=SGD)
    before = [p.detach().clone() for p in model.parameters()]
    calls = []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return Objective(lambda: torch.nn.functional.cross_entropy(model(x), y), model.parameters())()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_sam_keeps_the_statistics_of_the_first_pass():
    ends = []
    for base in (SGD, lambda params: SAM(params, base=SGD)):
        model, x, y = network(norm=True)
        objective = Objective(lambda m=model, x=x, y=y: torch.nn.functional.cross_entropy(m(x), y), model.parameters())
        base(model.parameters()).step(objective)
        ends.append(dict(model[1].named_buffers()))
    torch.testing.assert_close(*ends, rtol=0, atol=0)
    assert ends[0]["num_batches_tracked"] == 1


class Odd(torch.nn.Module):
    """A network that returns something else than rows of outputs, or calls its layer by keyword."""

    def __init__(self, form):
        super().__init__()
        self.layer, self.form = torch.nn.Linear(3, 2), form

    def forward(self, x):
        out = self.layer(input=x)
        return {"tuple": (out, x), "dict": {"out": out}, "one": out.sum(1), "rows": out}[self.form]


def loss_of(out):
    out = out[0] if isinstance(out, tuple) else out["out"] if isinstance(out, dict) else out
    return out.square().mean()


@pytest.mark.parametrize("form", ["tuple", "dict", "one"])
def test_kfac_says_what_the_model_has_to_return(form):
    model, x = Odd(form), torch.randn(5, 3)
    optimizer = KFAC(model.parameters(), model=model)
    with pytest.raises(UserError, match=r"^KFAC: the model returns .*; let it return a tensor \(batch, outputs\)$"):
        optimizer.step(Objective(lambda: loss_of(model(x)), model.parameters()))


def test_kfac_sees_what_a_layer_is_given_by_keyword():
    model, x = Odd("rows"), torch.randn(5, 3)
    optimizer = KFAC(model.parameters(), model=model, likelihood="gaussian")
    optimizer.step(Objective(lambda: loss_of(model(x)), model.parameters()))
    assert optimizer.state[model.layer.weight]["A"].shape == (4, 4)


def test_kfac_says_that_it_cannot_see_through_torch_compile():
    model, x, y = network()
    compiled = torch.compile(model, backend="eager")
    objective = Objective(lambda: torch.nn.functional.cross_entropy(compiled(x), y), model.parameters())
    for given in (model, compiled):
        with pytest.raises(UserError, match="^KFAC: the loss calls no layer of the model; .* without torch.compile$"):
            KFAC(given.parameters(), model=given).step(objective)


def test_kfac_refuses_layers_that_share_a_weight():
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)), torch.randn(5, 3)
    model[2].weight = model[0].weight
    objective = Objective(lambda: model(x).square().mean(), model.parameters())
    with pytest.raises(UserError, match="^KFAC: two Linear layers have one weight, .*; give each its own$"):
        KFAC(model.parameters(), model=model).step(objective)


def test_kfac_refuses_data_parallel():
    model = torch.nn.DataParallel(torch.nn.Linear(2, 2))
    with pytest.raises(UserError, match="^KFAC: model is a DataParallel, .*; give its module$"):
        KFAC(model.parameters(), model=model)


def test_kfac_says_once_which_layer_the_model_never_calls():
    torch.manual_seed(0)
    attention, x = torch.nn.MultiheadAttention(4, 2), torch.randn(3, 2, 4)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = attention, torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.attention(x, x, x)[0])

    model = Model()
    optimizer = KFAC(model.parameters(), model=model, interval=1, likelihood="gaussian")
    objective = Objective(lambda: model(x).square().mean(), model.parameters())
    with pytest.warns(UserWarning, match="^KFAC: 'attention.out_proj' takes steps of gradient descent") as caught:
        for _ in range(3):
            optimizer.step(objective)
    assert len(caught) == 1
    KFAC(model.parameters(), model=model).load_state_dict(optimizer.state_dict())  # though that layer has no factors


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in LOSS])
def test_moves_by_whatever_a_closure_returns_or_says_that_it_needs_the_loss(name):
    for answer in (None, "much", (1.0,), torch.ones(2), 1.0, np.float32(1), torch.ones(1), np.ones(())):
        task = Task()

        def closure(task=task, answer=answer):
            task.objective()
            return answer

        try:
            assert task.make(name).step(closure) is answer
        except UserError as error:
            assert str(error).endswith("let it return the loss, one number")


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_loss_that_fails_leaves_weights_and_state(name, call):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 2)
    before = task.weights(), optimizer.state_dict()["state"]
    calls, loss = [], task.objective.loss

    def failing():
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return loss()

    task.objective.loss = failing
    try:
        optimizer.step(task.objective)
    except KeyboardInterrupt:
        torch.testing.assert_close((task.weights(), optimizer.state_dict()["state"]), before, rtol=0, atol=0)
    task.objective.loss = loss
    run(task, optimizer, 1)
