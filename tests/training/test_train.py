"""One run, as a user starts it: what it leaves behind, and that it is the run that plain PyTorch would have made."""

import json
import math
from importlib import metadata

import pytest
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from small import SMALL
from torch import nn

from optbench import records
from optbench.data import MNISTSubset
from optbench.training.fit import build
from optbench.training.module import Training
from optbench.training.trainer import make_trainer


@pytest.fixture
def run(optbench, tmp_path):
    """Train in tmp_path/run and read the record."""

    def train(*overrides, name="run"):
        optbench("train", *SMALL, f"hydra.run.dir={name}", *overrides)
        return records.read(tmp_path / name)

    return train


def test_a_run_leaves_its_record(run, capsys):
    result = run("optimizer=momentum", "data.val_fraction=0.1")
    assert f"next: optbench report {result.directory}" in capsys.readouterr().out
    assert result.status["status"] == "done" and result.status["finished"]
    assert result.status["versions"]["torch"] == metadata.version("torch")
    assert result.status["command"].startswith("optbench train data.train_size=600")
    assert result.config["optimizer"] == {
        "_target_": "optbench.optimizers.Momentum",
        "_partial_": True,
        "lr": 0.01,
        "beta": 0.9,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "form": "sum",
        "compile": False,
        "search": result.config["optimizer"]["search"],
    }
    metrics = result.metrics
    assert list(metrics.columns) == list(records.METRICS)
    assert metrics["epoch"].tolist() == [0, 1, 2]
    assert metrics["step"].tolist() == [0, 9, 18] == metrics["grad_evals"].tolist()
    assert metrics["train_seconds"].is_monotonic_increasing and metrics["train_seconds"][0] == 0
    assert metrics.drop(columns=["lr", "grad_norm"]).notna().all(axis=None)
    assert metrics["train_loss"].iloc[-1] < metrics["train_loss"][0]
    assert result.steps["step"].tolist() == list(range(1, 19))
    steps, weights = result.trajectory
    assert weights.shape == (len(steps), 784 * 16 + 16 + 16 * 10 + 10) and steps[-1] == 18
    assert torch.load(result.directory / "checkpoint.ckpt", weights_only=True)["global_step"] == 18


@pytest.mark.parametrize("optimizer", ["adam", "nag", "schedule_free_sgd", "schedule_free_adamw"])
def test_a_checkpoint_holds_the_iterate_and_training_goes_on_from_it(run, optimizer, tmp_path):
    short, long = (run(f"optimizer={optimizer}", f"trainer.max_epochs={n}", name=f"run{n}") for n in (2, 3))
    checkpoint = torch.load(short.directory / "checkpoint.ckpt", weights_only=True)
    saved = torch.cat([p.reshape(-1) for p in checkpoint["state_dict"].values()])
    assert torch.equal(saved, torch.from_numpy(short.trajectory[1][-1]))

    config = OmegaConf.create(long.config)
    data = instantiate(config.data)
    data.setup()
    module = build(Training, config, data, records.Record(tmp_path / "on", long.config, []))
    make_trainer(config.trainer).fit(module, data, ckpt_path=short.directory / "checkpoint.ckpt", weights_only=True)
    assert torch.equal(module.snapshot(), torch.from_numpy(long.trajectory[1][-1]))


def session(events, tag):
    """What HPARAMS reads under a tag of an event file."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    return HParamsPluginData.FromString(events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content)


def test_tensorboard_sees_the_metrics_and_the_hyperparameters_that_were_typed(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run("optimizer=sgd", "optimizer.lr=0.02")
    events = EventAccumulator(str(result.directory))
    events.Reload()
    scalars = {event.step: event.value for event in events.Scalars("test_accuracy")}
    assert scalars == pytest.approx(dict(zip(result.metrics["step"], result.metrics["test_accuracy"], strict=True)))
    assert not any("hp_metric" in tag for tag in events.Tags()["scalars"])
    start = session(events, "session_start_info").session_start_info.hparams
    assert start["optimizer.lr"].number_value == 0.02 and start["optimizer"].string_value == "SGD"
    assert not {"optimizer.weight_decay", "trainer.accelerator", "schedule.unit"} & start.keys()
    assert session(events, "session_end_info").session_end_info.status == 1  # a success


@pytest.mark.parametrize("sweep", [False, True])
def test_hparams_call_a_diverged_run_a_failure(optbench, tmp_path, sweep):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    where = "hydra.sweep.dir=runs" if sweep else "hydra.run.dir=runs/0"
    more = ["-m", "seed=0,1", "replicas=2", "hydra.sweep.subdir='${hydra:job.num}'"] if sweep else []
    optbench("train", *more, *SMALL, "optimizer=sgd", "optimizer.lr=1e12", where)
    events = EventAccumulator(str(tmp_path / "runs" / "0"))
    events.Reload()
    assert session(events, "session_end_info").session_end_info.status == 2  # a failure
    assert math.isnan(events.Scalars("train_loss")[-1].value)


@pytest.mark.parametrize(
    ("optimizer", "plain"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.01)),
        ("momentum", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam(p)),
    ],
)
def test_a_run_is_the_run_of_a_plain_loop(run, optimizer, plain):
    result = run(f"optimizer={optimizer}", "seed=3")
    data = MNISTSubset(train_size=600, test_size=200, subset="balanced", seed=3)
    data.setup()
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
    optim = plain(model.parameters())
    losses = []
    loader = data.train_dataloader()
    for epoch in range(2):
        loader.set_epoch(epoch)
        for chunk in loader:
            for x, y in zip(*chunk, strict=True):
                optim.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optim.step()
                losses.append(loss.item())
    assert result.steps["loss"].tolist() == pytest.approx(losses, rel=2e-5)


def test_the_seed_fixes_weights_and_batches_for_every_optimizer(run):
    first, again = run("optimizer=adam", name="a"), run("optimizer=adam", name="b")
    other, elsewhere = run("optimizer=sgd", name="c"), run("optimizer=adam", "seed=1", name="d")
    assert (first.trajectory[1] == again.trajectory[1]).all()
    assert (first.trajectory[1][0] == other.trajectory[1][0]).all()
    assert first.steps["loss"][0] == other.steps["loss"][0] != elsewhere.steps["loss"][0]


def test_a_diverged_run_ends_as_such(run):
    result = run("optimizer=sgd", "optimizer.lr=1e9")
    assert result.status["status"] == "diverged" and "step" in result.status["reason"]


def test_a_failed_run_ends_as_such(run, monkeypatch, tmp_path):
    monkeypatch.setattr("optbench.training.module.Training.measure", lambda *_: 1 / 0)
    with pytest.raises(SystemExit, match="the run failed: ZeroDivisionError"):
        run()
    result = records.read(tmp_path / "run")
    assert result.status["status"] == "failed" and result.status["reason"].startswith("ZeroDivisionError")
    assert "measure" in (result.directory / "error.txt").read_text()


def running_out(t, eta0):
    """Return a rate that falls below zero."""
    return eta0 * (3.5 - t)


@pytest.mark.parametrize("alone", [True, False])
def test_a_schedule_that_leaves_the_rates_fails_its_run(optbench, tmp_path, alone):
    stack = ["-m", "optimizer.lr=0.01,0.02", "replicas=2", "hydra.sweep.dir=run"]
    where = ["hydra.run.dir=run"] if alone else stack
    with pytest.raises(SystemExit):
        optbench("train", *where, *SMALL, "schedule._target_=test_train.running_out", "schedule.unit=step")
    runs = [records.read(path.parent) for path in tmp_path.rglob("status.json")]
    assert len(runs) == (1 if alone else 2)
    for run in runs:
        assert run.status["status"] == "failed"
        assert run.status["reason"].startswith("UserError: schedule: its rate at step 4=-0.")


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (["schedule=exponential", "schedule.unit=step", "schedule.rate=0.1"], [0.01 * math.exp(-0.9)]),
        (["schedule=piecewise", "schedule.boundaries=[1]", "schedule.values=[0.02,0.005]"], [0.02, 0.005]),
        (["schedule=polynomial_to_zero", "schedule.unit=epoch"], [0.01, 0.005]),
    ],
)
def test_a_schedule_drives_the_learning_rate(run, schedule, rates):
    result = run("optimizer=sgd", *schedule)
    lr = result.metrics["lr"][1 : len(rates) + 1]
    assert lr.tolist() == pytest.approx(rates)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer=adma", "no optimizer 'adma'; did you mean 'adam'?"),
        ("data=mnits", "no data 'mnits'; did you mean 'mnist'?"),
        ("study=sevn", "no study 'sevn'; did you mean 'seven'?"),
        ("optimizer.lr=-1", "Adam: lr=-1.0 is outside [0, inf)"),
        ("optimizer.beta1=1.2", "Adam: beta1=1.2 is outside [0, 1)"),
        ("optimizer.bta1=0.5", "did you mean 'beta1'?"),
        ("optimizer.lr=fast", "Adam: lr='fast' is not a number"),
        ("data.train_size=0", "train_size=0"),
        ("data.train_size=10001", "train_size=10001"),
        ("data.train_siz=300", "did you mean 'train_size'?"),
        ("model.hiden=[3]", "did you mean 'hidden'?"),
        ("data.batch_size=none", "batch_size='none'"),
        ("model.hidden=[0]", "hidden"),
        ("trainer.max_epochs=0", "trainer: max_epochs=0 is not a whole number in [1, inf) or -1 or null"),
        ("trainer.max_epoch=3", "did you mean 'max_epochs'?"),
        ("trainer.accelerator=abacus", "trainer: "),
        ("schedule.unit=day", "schedule: unit='day' is not one of step, epoch"),
        ("seed=one", "train: seed='one' is not a whole number"),
        ("sede=1", "no field 'sede'"),
        ("hydra.run.dir=/proc/nowhere", "cannot be written"),
    ],
)
def test_bad_input_is_refused_in_one_line(optbench, tmp_path, override, said):
    with pytest.raises(SystemExit) as refusal:
        optbench("train", override)
    message = str(refusal.value)
    assert said in message and "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_a_run_is_left_alone(optbench, run):
    before = run("optimizer=sgd")
    stamp = {path: path.stat().st_mtime_ns for path in before.directory.rglob("*")}
    with pytest.raises(SystemExit, match="already holds a run"):
        optbench("train", *SMALL, "optimizer=adam", "hydra.run.dir=run")
    assert stamp == {path: path.stat().st_mtime_ns for path in before.directory.rglob("*")}


def test_status_and_config_are_plain_text(run):
    result = run("optimizer=sgd")
    assert json.loads((result.directory / "status.json").read_text())["seed"] == 0
    assert yaml.safe_load((result.directory / "config.yaml").read_text())["seed"] == 0
