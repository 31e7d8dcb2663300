"""A run is as long as its trainer's config says, counted in mini-batches, alone and in a stack."""

import math

import pytest
from omegaconf import OmegaConf

from optbench import records
from optbench.checks import UserError
from optbench.training.length import Length, measure

LINE = ["data=linear_regression", "data.samples=120", "data.batch_size=2", "model=linear", "trajectory=false"]
DESCENT = ["optimizer=sgd", "optimizer.lr=1e-6", "schedule=cosine", "logger=none", "figures=[]", "trainer.max_epochs=2"]
"""60 mini-batches an epoch, in chunks of 50 and 10."""
STOP = "{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:train_loss,stopping_threshold:1.0e9}"


@pytest.mark.parametrize(
    ("trainer", "length", "epochs"),
    [
        ({"max_epochs": 2}, Length(60, False, 120), 2),
        ({"max_epochs": 2, "limit_train_batches": 10}, Length(10, False, 20), 2),
        ({"max_epochs": 2, "limit_train_batches": 1}, Length(1, False, 2), 2),
        ({"max_epochs": 2, "limit_train_batches": 1.0}, Length(60, False, 120), 2),
        ({"max_epochs": 2, "limit_train_batches": 0.1}, Length(6, False, 12), 2),
        ({"max_epochs": 2, "limit_train_batches": 100}, Length(60, False, 120), 2),
        ({"max_epochs": 2, "max_steps": 70}, Length(60, False, 70), 2),
        ({"max_epochs": -1, "max_steps": 20}, Length(60, False, 20), 1),
        ({"max_steps": 61}, Length(60, False, 61), 2),
        ({}, Length(60, False, 60_000), 1000),
        ({"max_epochs": 3, "overfit_batches": 2}, Length(2, True, 6), 3),
        ({"max_epochs": 9, "fast_dev_run": True}, Length(1, False, 1), 1),
        ({"max_epochs": 9, "fast_dev_run": 3}, Length(3, False, 3), 1),
        ({"max_epochs": -1, "max_time": "00:00:01:00"}, Length(60, False, None), None),
    ],
)
def test_the_length_of_a_config(trainer, length, epochs):
    assert measure(trainer, 60) == length and length.epochs == epochs


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        ({"max_epochs": -1}, "max_epochs=-1 never ends"),
        ({"max_epochs": -2}, "max_epochs=-2"),
        ({"max_epochs": 1, "max_steps": 0}, "max_steps=0"),
        ({"max_epochs": 1, "limit_train_batches": 0}, "limit_train_batches=0"),
        ({"max_epochs": 1, "limit_train_batches": 1.5}, "limit_train_batches=1.5"),
        (
            {"max_epochs": 1, "limit_train_batches": 0.01},
            "limit_train_batches=0.01 of 60 mini-batches is less than one",
        ),
        ({"max_epochs": 1, "overfit_batches": 0.01}, "overfit_batches=0.01 of 60 mini-batches is less than one"),
        ({"max_epochs": 1, "overfit_batches": -1}, "overfit_batches=-1"),
        ({"max_epochs": 1, "fast_dev_run": -1}, "fast_dev_run=-1"),
        ({"max_epochs": 1, "min_steps": 61}, "min_steps=61 is more than the 60"),
        ({"max_epochs": 1, "min_epochs": 2}, "min_epochs=2 is more than the 1"),
    ],
)
def test_limits_that_cannot_be_are_refused(trainer, said):
    with pytest.raises(UserError) as refusal:
        measure(trainer, 60)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("limits", "steps", "epochs"),
    [
        (["trainer.limit_train_batches=10"], 20, 1 / 3),
        (["trainer.max_steps=70"], 70, 7 / 6),
        (["trainer.overfit_batches=1"], 2, 1 / 30),
        (["trainer.fast_dev_run=3"], 3, 1 / 20),
    ],
)
def test_it_is_so_long_alone_and_in_a_stack(optbench, tmp_path, limits, steps, epochs):
    optbench("train", *LINE, *DESCENT, *limits, "hydra.run.dir=alone")
    sweep = ["seed=0,1", "replicas=2", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep"]
    optbench("train", "-m", *LINE, *DESCENT, *limits, *sweep)
    alone, stacked = records.read(tmp_path / "alone"), records.find(tmp_path / "sweep")
    assert [run.status["stacked"] for run in stacked] == [2, 2]
    for run in (alone, *stacked):
        assert run.steps["step"].tolist() == list(range(1, steps + 1)) and run.status["status"] == "done"
        assert run.steps["epoch"].iloc[-1] == math.ceil(epochs)
        assert (run.metrics["step"].iloc[-1], run.metrics["epoch"].iloc[-1]) == (steps, pytest.approx(epochs))
        last = 1e-6 * (1 + math.cos(math.pi * (steps - 1) / steps)) / 2
        assert run.metrics["lr"].iloc[-1] == pytest.approx(last)
    assert stacked[0].steps["loss"].tolist() == pytest.approx(alone.steps["loss"].tolist(), rel=1e-4)


@pytest.mark.parametrize(("least", "steps"), [("min_steps=75", 75), ("min_epochs=2", 120), ("max_steps=500", 60)])
def test_a_run_that_is_told_to_stop_takes_its_least_steps(optbench, tmp_path, least, steps):
    given = ["trainer.max_epochs=5", f"trainer.{least}", f"trainer.callbacks=[{STOP}]", "hydra.run.dir=run"]
    optbench("train", *LINE, *DESCENT, *given)
    assert len(records.read(tmp_path / "run").steps) == steps


def test_the_same_mini_batches_are_fitted_over_and_over(optbench, tmp_path):
    still = ["optimizer.lr=0", "trainer.overfit_batches=3", "trainer.max_epochs=3", "hydra.run.dir=run"]
    optbench("train", *LINE, *DESCENT, *still)
    losses = records.read(tmp_path / "run").steps["loss"].tolist()
    assert losses == losses[:3] * 3 and len(set(losses)) == 3


def test_a_rule_that_needs_the_length_gets_the_real_one(optbench, tmp_path):
    demon = ["optimizer=demon_sgd", "schedule=constant", "trainer.max_steps=7", "trainer.max_epochs=-1"]
    for total, name in ((None, "own"), (7, "given"), (120, "other")):
        more = [] if total is None else [f"optimizer.total_steps={total}"]
        optbench("train", *LINE, *DESCENT, *demon, *more, f"hydra.run.dir={name}")
    own, given, other = (records.read(tmp_path / name).steps["loss"].tolist() for name in ("own", "given", "other"))
    assert own == given != other


def test_without_a_length_a_schedule_has_to_be_given_one(optbench):
    endless = ["trainer.max_epochs=-1", "trainer.max_time=00:00:01:00"]
    with pytest.raises(SystemExit, match="cosine: total is missing; give schedule.total="):
        optbench("train", *LINE, *DESCENT, *endless)
    assert measure(OmegaConf.create({"max_epochs": -1, "max_time": "00:00:01:00"}), 60).steps is None
