"""A step that is compiled whole takes the steps of a run alone."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from small import SMALL
from stacks import STACKABLE, Task, factory, weights
from torch.nn.functional import cross_entropy

from optbench import records
from optbench.models import mlp
from optbench.optimizers import CLASSES
from optbench.training.path import choose
from optbench.training.whole import Compiled, together


def stacked(task, schedule=lambda t, lr: lr):
    """Return the losses (replicas, steps), the models and the compiled stack of a task."""
    models, optims = task.make()
    stack = task.stack("compiled", models, optims)
    lrs = [[schedule(t, optim.param_groups[0]["lr"]) for t in range(len(task.x))] for optim in optims]
    return stack.advance(task.x, task.y, lrs).mT.double(), models, stack


@pytest.mark.slow
@pytest.mark.parametrize("name", STACKABLE)
def test_both_halves_of_a_rule_are_the_rule(name, as_written):
    lr = min(CLASSES[name].hyper["lr"], 0.1)
    task = Task([factory(name, lr=lr * k) for k in (1.0, 0.3)] * 2, 2, steps=12)
    halve = lambda t, lr: lr * 0.5 ** (t // 5)  # noqa: E731
    losses, models, optims = task.alone(halve)
    together, replicas, stack = stacked(task, halve)
    torch.testing.assert_close(together, losses, rtol=1e-10, atol=0)
    torch.testing.assert_close(weights(replicas), weights(models), rtol=1e-10, atol=1e-10)
    state = {k: dict(optims[1].state[p]) for k, p in models[1].named_parameters()}
    torch.testing.assert_close(stack.state_of(1), state, rtol=1e-9, atol=1e-10)


def test_any_number_may_differ(as_written):
    task = Task([factory("AdamW", lr=0.01, beta1=b, weight_decay=w) for b in (0.9, 0.5) for w in (0.0, 0.1)], 1)
    losses, _, _ = task.alone()
    torch.testing.assert_close(stacked(task)[0], losses, rtol=1e-10, atol=0)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalization_and_a_mini_batch_of_its_own_size(normalization, as_written):
    task = Task([factory("SGD", lr=lr) for lr in (0.1, 0.05)] * 2, 2, steps=20, normalization=normalization)
    losses, models, _ = task.alone()
    models_, optims = task.make()
    stack = Compiled(models_, optims, cross_entropy, 2, (task.x[0, 0, :5], task.y[0, 0, :5]))
    lrs = [[optim.param_groups[0]["lr"]] * 20 for optim in optims]
    torch.testing.assert_close(stack.advance(task.x, task.y, lrs).mT, losses, rtol=1e-10, atol=0)
    for own, model in zip(models_, models, strict=True):
        torch.testing.assert_close(own.state_dict(), model.state_dict(), rtol=1e-10, atol=1e-10)


def test_no_rate_and_no_step_compiles_anew(as_written):
    for rates in ((0.02, 0.01), (0.3, 0.03)):
        task = Task([factory("NAdam", lr=lr) for lr in rates], 1, steps=5)
        losses, _, _ = task.alone(lambda t, lr: lr / (1 + t))
        torch.testing.assert_close(stacked(task, lambda t, lr: lr / (1 + t))[0], losses, rtol=1e-10, atol=0)
    assert len(as_written) == 1


def test_parts_that_stay_in_the_cache_are_even():
    model = torch.nn.Linear(784, 128)  # 1.2 MB with its state of two
    assert together(model, 4) == 4 and together(model, 16) == 4
    assert together(model, 5) == 5 and together(model, 13) == 5
    assert together(torch.nn.Linear(10**4, 10**3, device="meta"), 5) == 5


def test_auto_compiles_where_it_pays():
    adam = {"_target_": "optbench.optimizers.Adam"}
    config = {"compile": "auto", "optimizer": adam, "trainer": {}}
    assert choose(config, 101_770, 1_570)[0] == "off" and choose(config, 101_770, 10**6)[0] == "step"
    assert choose(config, 101_770, 1_570, 32)[0] == "step"
    kinds = {name: {"_target_": f"optbench.optimizers.{name}"} for name in ("SGD", "Adam", "LAMB")}
    ways = {name: choose({**config, "optimizer": own}, 101_770, 800, 32)[0] for name, own in kinds.items()}
    assert ways == {"SGD": "off", "Adam": "off", "LAMB": "step"}  # what costs more gains more
    assert choose({**config, "optimizer": {"_target_": "optbench.optimizers.SAM"}}, 101_770, 10**6)[0] == "off"
    assert choose({**config, "compile": "off"}, 101_770, 10**6)[0] == "off"
    assert choose({**config, "optimizer": {**adam, "compile": True}}, 1, 1)[0] == "update"


@pytest.mark.slow
def test_a_sweep_of_compiled_steps_is_the_sweep_as_written(optbench):
    cells = ["-m", *SMALL, "optimizer=nag", "optimizer.lr=0.01,0.02", "figures=[]", "logger=none"]
    for name, how in (("off", ["replicas=off", "compile=off"]), ("step", ["replicas=2", "compile=step"])):
        optbench("train", *cells, *how, f"hydra.sweep.dir={name}", "hydra.launcher.n_jobs=1")
    plain, whole = ({run.directory.name: run for run in records.find(Path(name))} for name in ("off", "step"))
    for name, run in whole.items():
        assert run.status["path"] == "compiled step" and run.status["compile_seconds"] > 0
        assert plain[name].status["path"] == "plain step"
        pd.testing.assert_frame_equal(run.steps, plain[name].steps, rtol=1e-4)


@pytest.mark.slow
def test_norms_of_tensors_compile_beside_those_of_layers():
    models = [mlp(20, 4, hidden=(8, 6), normalization="layer") for _ in range(2)]
    optims = [CLASSES["LAMB"](model.parameters()) for model in models]
    Compiled(models, optims, cross_entropy, 1, (torch.randn(700, 20), torch.randint(4, (700,))))


@pytest.mark.slow
def test_a_run_alone_compiles_its_step_and_says_where_it_cannot(optbench, capsys):
    small = [*SMALL, "figures=[]", "logger=none", "trainer.max_epochs=1"]
    for how in ("off", "step"):
        optbench("train", *small, "optimizer=nag", f"compile={how}", f"hydra.run.dir={how}")
    plain, whole = (records.read(Path(name)) for name in ("off", "step"))
    assert whole.status["path"] == "compiled step"
    pd.testing.assert_frame_equal(whole.steps, plain.steps, rtol=1e-4)
    left, right = (torch.load(run.directory / "checkpoint.ckpt", weights_only=True) for run in (plain, whole))
    left, right = (checkpoint["optimizer_states"][0]["state"] for checkpoint in (left, right))
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)
    optbench("train", *small, "optimizer=sam", "compile=step", "hydra.run.dir=sam")
    assert records.read(Path("sam")).status["path"] == "plain step"
    assert "more than one gradient" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["whole", "true", "1"])
def test_refuses_another_word(optbench, word, capsys):
    with pytest.raises(SystemExit):
        optbench("train", *SMALL, f"compile={word}", "hydra.run.dir=run")
    assert not Path("run").exists()
