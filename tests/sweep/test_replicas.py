"""Runs in a stack are the runs that they would have been alone."""

import copy
import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small import SMALL
from stacks import STACKABLE, Task, factory, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from optbench import records
from optbench.models import Factors, mlp
from optbench.optimizers import CLASSES
from optbench.training.network import Network
from optbench.training.states import set_state


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [(name, torch.float64, 1e-10) for name in STACKABLE] + [(name, torch.float32, 1e-4) for name in STACKABLE[::10]],
)
def test_replicas_are_separate_runs(name, dtype, tolerance):
    lr = min(CLASSES[name].hyper["lr"], 0.1)
    task = Task([factory(name, lr=lr * k) for k in (1.0, 0.3)] * 2, 2, dtype, steps=30)
    losses, models, _ = task.alone()
    stacked, replicas, _ = task.stacked()
    assert losses[0, 0] != losses[1, 0] and losses.std(1).min() > 0
    torch.testing.assert_close(stacked, losses, rtol=tolerance, atol=0)
    torch.testing.assert_close(weights(replicas), weights(models), rtol=tolerance, atol=2 * tolerance)


def test_a_schedule_of_its_own_drives_each_replica():
    task = Task([factory("Momentum", lr=lr) for lr in (0.1, 0.2, 0.05)], 1)
    halve = lambda t, lr: lr * 0.5 ** (t // 30)  # noqa: E731
    losses, _, _ = task.alone(halve)
    torch.testing.assert_close(task.stacked(halve)[0], losses, rtol=1e-10, atol=0)
    assert (task.stacked()[0] - losses)[:, 40:].abs().min() > 1e-6


def test_any_number_may_differ():
    task = Task([factory("Adam", lr=lr, beta1=beta) for beta in (0.9, 0.5, 0.0) for lr in (0.01, 0.02)], 1)
    losses, _, _ = task.alone()
    torch.testing.assert_close(task.stacked()[0], losses, rtol=1e-10, atol=0)


NETWORKS = [((), "relu", "none"), *product([(5, 4)], ["relu", "gelu"], ["none", "batch", "layer"])]


@pytest.mark.parametrize(("hidden", "activation", "normalization"), NETWORKS)
def test_networks_are_separate_networks(hidden, activation, normalization):
    model = {"normalization": normalization, "activation": activation, "hidden": hidden}
    task = Task([factory("SGD", lr=lr) for lr in (0.1, 0.05, 0.02, 0.01)], 2, steps=20, **model)
    losses, models, _ = task.alone()
    stacked, replicas, stack = task.stacked()
    torch.testing.assert_close(stacked, losses, rtol=1e-10, atol=0)
    for own, model in zip(replicas, models, strict=True):
        torch.testing.assert_close(own.state_dict(), model.state_dict(), rtol=1e-10, atol=1e-10)
    x = task.x[0, :1]
    outputs = stack.network(x, training=False).detach()
    torch.testing.assert_close(outputs.mT, torch.stack([model.eval()(x[0]) for model in models]).detach())


@pytest.mark.parametrize("name", ["SGD", "Adam", "LAMB"])
def test_a_diverging_replica_touches_no_other(name):
    rates = (0.02, 0.01, 0.03)
    model = {"activation": "relu", "steps": 20}
    healthy = Task([factory(name, lr=lr) for lr in rates], 1, **model).stacked()
    losses, models, _ = Task([factory(name, lr=lr) for lr in (rates[0], 1e200, rates[2])], 1, **model).stacked()
    assert not math.isfinite(losses[1, -1])
    for i in (0, 2):
        assert torch.equal(losses[i], healthy[0][i])
        assert torch.equal(weights(models)[i], weights(healthy[1])[i])


@pytest.mark.parametrize("name", STACKABLE)
def test_its_state_is_that_of_a_run_alone(name):
    task = Task([factory(name), factory(name, lr=CLASSES[name].hyper["lr"] / 2)], 1, steps=5)
    _, models, optims = task.alone()
    _, _, stack = task.stacked()
    for i, (model, optim) in enumerate(zip(models, optims, strict=True)):
        state = {k: dict(optim.state[p]) for k, p in model.named_parameters()}
        torch.testing.assert_close(dict(stack.state_of(i)), state, rtol=1e-9, atol=1e-10)


def test_what_is_alike_is_evaluated_once():
    models = [mlp(6, 3, hidden=(5,), normalization="batch") for _ in range(2)]
    replicas = [copy.deepcopy(models[i]) for i in (0, 0, 1, 0, 1, 1)]
    replicas[3].state_dict()["1.running_mean"][0] = 2.0
    replicas[5].state_dict()["0.bias"][0] = math.nan
    x = torch.randn(1, 7, 6)
    network = Network(replicas, apart=False)
    distinct, which = network.distinct()
    assert which == [0, 0, 1, 2, 1, 3]
    torch.testing.assert_close(distinct(x, False)[which], network(x, False).detach(), equal_nan=True)


@pytest.mark.parametrize("ways", [("plain", "compiled"), ("compiled", "plain")], ids="-".join)
@pytest.mark.parametrize("name", STACKABLE)
def test_a_state_that_one_way_of_stepping_left_is_gone_on_with_by_any(name, ways, as_written):
    lr = CLASSES[name].hyper["lr"]
    task = Task([factory(name, lr=lr * k) for k in (1.0, 0.3, 0.3, 0.1)], 2, steps=10)
    losses, _, _ = task.alone()
    found = []
    models, optims = task.make()
    for way, half in zip(ways, (slice(0, 5), slice(5, 10)), strict=True):
        stack = task.stack(way, models, optims)
        rates = [[optim.param_groups[0]["lr"]] * 5 for optim in optims]
        found.append(stack.advance(task.x[half], task.y[half], rates).mT)
        states = [stack.state_of(i) for i in range(4)]
        models, optims = [copy.deepcopy(model) for model in models], task.make()[1]
        optims = [make(model.parameters()) for make, model in zip(task.factories, models, strict=True)]
        for model, optim, state in zip(models, optims, states, strict=True):
            set_state(model, optim, state)
    torch.testing.assert_close(torch.cat(found, 1), losses, rtol=1e-9, atol=0)


# As users type it -----------------------------------------------------------------------------------------------------


IN_PROCESS = ["hydra.launcher.n_jobs=1", "figures=[]"]


def sweep(optbench, name, *overrides):
    """Train a sweep and return its records, by name of the directory."""
    optbench("train", "-m", *SMALL, f"hydra.sweep.dir={name}", *IN_PROCESS, *overrides)
    return {run.directory.name: run for run in records.find(Path(name))}


def assert_alike(mine, other):
    """Check that two records tell of the same run, but for rounding and time."""
    assert {path.name.partition(".")[0] for path in mine.directory.iterdir()} == {
        path.name.partition(".")[0] for path in other.directory.iterdir()
    }
    assert mine.status["status"] == other.status["status"]
    own = {"replicas": 0, "logger": 0}
    assert mine.config | own == other.config | own
    if mine.status["status"] == "diverged":  # what follows the first large loss is rounding, made large
        left, right = (run.steps[run.steps["loss"].cummax() < 10] for run in (mine, other))
        assert len(left) and len(mine.steps) == len(other.steps)
        pd.testing.assert_frame_equal(left, right, rtol=1e-4, atol=1e-6)
        return
    for part in ("metrics", "steps"):
        left, right = (getattr(run, part).drop(columns="train_seconds", errors="ignore") for run in (mine, other))
        pd.testing.assert_frame_equal(left, right, rtol=1e-4, atol=1e-6)
    for left, right in zip(mine.trajectory, other.trajectory, strict=True):
        rounding = 1e-5 * max(1, float(np.abs(right).max()))
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=rounding)
    left, right = (torch.load(run.directory / "checkpoint.ckpt", weights_only=True) for run in (mine, other))
    for checkpoint in (left, right):
        for clock in ("seconds", "record", "generators"):  # of the process, not of the run
            del checkpoint["run"][clock]
    assert_close(left, right)
    left, right = (scalars(run.directory) for run in (mine, other))
    assert left.keys() == right.keys()
    assert all(left[tag] == pytest.approx(right[tag], rel=1e-4, abs=1e-6, nan_ok=True) for tag in left)


def assert_close(left, right):
    """Compare what a checkpoint may hold."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        left, right = list(left.values()), [right[key] for key in left]
    if isinstance(left, list | tuple):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_close(*pair)
    elif isinstance(left, torch.Tensor):
        largest = float(right.abs().nan_to_num(0, 0, 0).max()) if right.numel() else 0.0  # what diverged is large
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6 * max(1.0, largest), equal_nan=True)
    elif isinstance(left, float):
        assert left == pytest.approx(right, rel=1e-4, abs=1e-6, nan_ok=True)
    else:
        assert left == right


def scalars(directory):
    """Return TensorBoard's scalars but for the time, as {tag: [step, value, ...]}."""
    events = EventAccumulator(str(directory))
    events.Reload()
    tags = set(events.Tags()["scalars"]) - {"train_seconds"}
    return {tag: [x for event in events.Scalars(tag) for x in (event.step, event.value)] for tag in tags}


@pytest.mark.slow
def test_a_stacked_sweep_is_the_sweep_one_by_one(optbench, tmp_path, capsys):
    cells = ["optimizer=nag", "seed=0,1", "optimizer.lr=0.01,0.02,1e9", "++model.activation=tanh"]
    stacked = sweep(optbench, "stacked", *cells, "replicas=4")
    assert "stacked: 2 x 3 NAG" in capsys.readouterr().out
    alone = sweep(optbench, "alone", *cells, "replicas=off")
    assert "stacked" not in capsys.readouterr().out
    assert sorted(run.status["status"] for run in alone.values()) == ["diverged"] * 2 + ["done"] * 4
    assert stacked.keys() == alone.keys()
    for name, run in stacked.items():
        assert_alike(run, alone[name])
        assert run.status["stacked"] == 3 and "stacked" not in alone[name].status


def test_what_cannot_be_stacked_trains_alone_and_says_so(optbench, capsys):
    runs = sweep(optbench, "sweep", "optimizer=adam,prodigy", "seed=0,1", "replicas=4", "trainer.max_epochs=1")
    assert "stacked: 1 x 2 Adam; one by one: 2 Prodigy (cannot be stacked)" in capsys.readouterr().out
    assert {run.status["status"] for run in runs.values()} == {"done"}
    assert [run.status.get("stacked") for run in runs.values()] == [2, 2, None, None]


def test_full_batches_are_shared_by_all_seeds(optbench):
    cells = ["optimizer=sgd", "seed=0,1", "data.batch_size=full", "trainer.max_epochs=3", "logger=none"]
    stacked, alone = (sweep(optbench, mode, *cells, f"replicas={mode}") for mode in ("2", "off"))
    for name, run in stacked.items():
        pd.testing.assert_frame_equal(run.steps, alone[name].steps, rtol=1e-4)


def test_regression_is_stacked_too(optbench):
    cells = ["data=linear_regression", "model=linear", "optimizer=sgd", "seed=0,1", "replicas=2", "logger=none"]
    optbench("train", "-m", *cells, *IN_PROCESS, "hydra.sweep.dir=two", "trainer.max_epochs=4")
    for run in records.find(Path("two")):
        assert run.status["status"] == "done" and run.metrics["train_loss"].is_monotonic_decreasing


@pytest.mark.parametrize("apart", [True, False])
def test_two_factors_are_separate_networks_too(apart):
    models = [Factors(features=7, rows=4, rank=2).double() for _ in range(4)]
    x = torch.randn(2, 5, 7, dtype=torch.float64)
    expected = torch.stack([model(x[i // 2]).mT for i, model in enumerate(models)])
    wanted = torch.autograd.grad(expected.square().sum(), [p for model in models for p in model.parameters()])
    network = Network(models, apart)
    outputs = network(x)
    torch.testing.assert_close(outputs, expected)
    gradients = torch.autograd.grad(outputs.square().sum(), [network.leaves["u.weight"], network.leaves["v.weight"]])
    for gradient, own in zip(gradients, (wanted[::2], wanted[1::2]), strict=True):
        torch.testing.assert_close(gradient, torch.stack(own))
