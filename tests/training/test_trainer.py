"""Every keyword of Lightning's Trainer is honoured, or refused before anything is written."""

import inspect

import lightning.pytorch as lightning
import pytest
import torch
from omegaconf import OmegaConf
from small import SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from optbench import records
from optbench.checks import UserError
from optbench.data import MNISTSubset
from optbench.training import callbacks
from optbench.training.clip import Clip, clipping
from optbench.training.length import measure
from optbench.training.trainer import PRECISIONS, REFUSED, alone, make_trainer, refuse

KEYWORDS = inspect.signature(lightning.Trainer).parameters
OTHER = {
    "accumulate_grad_batches": 2,
    "barebones": "true",
    "check_val_every_n_epoch": 2,
    "default_root_dir": "elsewhere",
    "enable_autolog_hparams": "false",
    "inference_mode": "false",
    "limit_predict_batches": 2,
    "limit_test_batches": 1,
    "limit_val_batches": 0.5,
    "log_every_n_steps": 5,
    "logger": "false",
    "model_registry": "mine",
    "num_nodes": 2,
    "num_sanity_val_steps": 2,
    "plugins": "[]",
    "reload_dataloaders_every_n_epochs": 1,
    "sync_batchnorm": "true",
    "use_distributed_sampler": "false",
    "val_check_interval": 0.5,
}
"""A value of each refused keyword that asks for something else than is done anyway."""


def test_every_keyword_is_one_or_the_other():
    assert sorted(["callbacks", *CHOSEN, *REFUSED]) == sorted(KEYWORDS) and OTHER.keys() == REFUSED.keys()


@pytest.mark.parametrize("name", OTHER)
def test_what_has_no_effect_is_refused(name):
    with pytest.raises(UserError) as refusal:
        refuse(OmegaConf.from_dotlist([f"{name}={OTHER[name]}"]))
    assert f"trainer: {name}=" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("mode", [[], ["-m", "seed=0,1"]])
def test_it_is_refused_before_anything_is_written(optbench, tmp_path, mode):
    with pytest.raises(SystemExit, match="trainer: val_check_interval=2 has no effect here"):
        optbench("train", *mode, *SMALL, "trainer.val_check_interval=2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["trainer.precision=16-mixed"], "precision=16-mixed is none of 32-true"),
        (["trainer.precision=bf17"], "precision=bf17 is none of 32-true"),
        (["trainer.strategy=fsdp"], "strategy=fsdp is none of auto, ddp"),
        (["trainer=ddp", "optimizer=kfac"], "KFAC needs each example of a mini-batch, which several devices share"),
        (["trainer.devices=2", "trainer.accelerator=cpu", "model.normalization=batch"], "several devices share each"),
        pytest.param(
            ["trainer=gpu"],
            "accelerator=gpu, but there is no GPU here; give trainer=default",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (["trainer.gradient_clip_val=-1"], "gradient_clip_val=-1"),
        (["trainer.gradient_clip_val=1", "trainer.gradient_clip_algorithm=nrom"], "gradient_clip_algorithm='nrom'"),
        (["trainer.gradient_clip_algorithm=value"], "clips nothing; give trainer.gradient_clip_val"),
        (["trainer.limit_train_batches=0.001"], "is less than one"),
        (["trainer.profiler=simpel"], "trainer: "),
        (["trainer.callbacks=[{_target_:torch.nn.ReLU}]"], "ReLU is no Lightning Callback; build on that class"),
        (["trainer.callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping"], "monitor"),
        (
            ["trainer.callbacks=[{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val_loss}]"],
            "EarlyStopping monitors val_loss without validation samples; give data.val_fraction",
        ),
        (
            ["trainer.callbacks=[{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:tset_loss}]"],
            "did you mean 'test_loss'?",
        ),
        (
            ["logger=none", "trainer.callbacks=[{_target_:lightning.pytorch.callbacks.LearningRateMonitor}]"],
            "has nothing to log to; give logger=tensorboard",
        ),
        (["trainer.max_time=00:00:00:00"], "max_time=00:00:00:00 is no time to train; give DD:HH:MM:SS"),
        (["trainer.overfit_batches=2", "trainer.limit_train_batches=3"], "both say how many mini-batches"),
        (["trainer.devices=1000", "trainer.accelerator=cpu"], "devices=1000 are more than the"),
        (
            ["logger=none", "trainer.callbacks=[{_target_:lightning.pytorch.callbacks.DeviceStatsMonitor}]"],
            "DeviceStatsMonitor has nothing to log to",
        ),
        (["seed=4294967296"], "seed=4294967296 is outside [0, 4294967295]"),
    ],
)
def test_what_cannot_be_honoured_is_refused(optbench, tmp_path, given, said):
    with pytest.raises(SystemExit) as refusal:
        optbench("train", "-m", "optimizer=sgd", *SMALL, *given)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


CHOSEN = {
    "accelerator": ["cpu"],
    "benchmark": [True, False, None],
    "detect_anomaly": [True, False],
    "deterministic": [True, False, "warn", None],
    "devices": [1, "auto"],
    "enable_checkpointing": [True, False, None],
    "enable_model_summary": [True, False, None],
    "enable_progress_bar": [True, False, None],
    "fast_dev_run": [True, False, 3],
    "gradient_clip_algorithm": ["norm", None],
    "gradient_clip_val": [0.5, 1, None],
    "limit_train_batches": [1, 0.5, None],
    "max_epochs": [1, None],
    "max_steps": [3, -1],
    "max_time": ["00:00:01:00", {"minutes": 1}, None],
    "min_epochs": [0, 1, None],
    "min_steps": [0, 1, None],
    "overfit_batches": [0, 1, 0.5],
    "precision": ["64-true", None],
    "profiler": ["simple", None],
    "strategy": ["auto", "ddp"],
}
"""Values of each honoured keyword that it may have; callbacks have tests of their own."""


@pytest.mark.parametrize("name", sorted(CHOSEN))
def test_every_keyword_takes_its_values_and_no_other(name):
    base = {"_target_": "lightning.pytorch.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 4}
    base |= {"gradient_clip_val": 1} if name == "gradient_clip_algorithm" else {}

    def look(value):
        config = OmegaConf.create({**base, name: value})
        make_trainer(config)
        measure(config, 13)
        clipping(config)

    for value in CHOSEN[name]:
        look(value)
    for value in ("maybe", -7, [1.5]):
        with pytest.raises(UserError) as refusal:
            look(value)
        assert name in str(refusal.value) and "\n" not in str(refusal.value)


LIGHTNINGS = {
    name: cls
    for name, cls in sorted(vars(lightning.callbacks).items())
    if isinstance(cls, type) and issubclass(cls, lightning.Callback)
}
BEHIND = {
    "BackboneFinetuning": {},
    "BaseFinetuning": {},
    "BasePredictionWriter": {},
    "BatchSizeFinder": {},
    "EMAWeightAveraging": {},
    "GradientAccumulationScheduler": {"scheduling": {0: 2}},
    "LearningRateFinder": {},
    "ModelPruning": {"pruning_fn": "l1_unstructured"},
    "StochasticWeightAveraging": {"swa_lrs": 0.1},
    "WeightAveraging": {},
}
"""Those of Lightning's callbacks that would change a run behind its record's back, with what they need to be made."""


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_what_would_change_a_run_behind_its_record_is_refused(name):
    kinds = {cls.__name__ for cls in LIGHTNINGS[name].__mro__}
    assert (name in BEHIND) == bool(kinds & callbacks.REFUSED.keys())
    if name in BEHIND:
        with pytest.raises(UserError, match=f"trainer: {name} has no place here: "):
            callbacks.refuse(LIGHTNINGS[name](**BEHIND[name]))


def test_callbacks_that_would_never_act_are_refused():
    class Late(lightning.Callback):
        def on_validation_end(self, trainer, module):
            pass

    after_validation = lightning.callbacks.EarlyStopping("test_loss", check_on_train_epoch_end=False)
    by_name = lightning.callbacks.LambdaCallback(on_before_optimizer_step=print)
    for callback, said in (
        (Late(), "Late has on_validation_end, which is never called here"),
        (by_name, "LambdaCallback has on_before_optimizer_step, which is never"),
        (after_validation, "EarlyStopping waits for a validation that is none of Lightning's"),
    ):
        with pytest.raises(UserError, match=said):
            callbacks.refuse(callback)
    callbacks.refuse(lightning.callbacks.EarlyStopping("test_loss"))
    callbacks.refuse(lightning.callbacks.LambdaCallback(on_train_epoch_end=print))


class Counter(lightning.Callback):
    """A callback of the user's, which logs the number of mini-batches that it saw and the losses that it was given."""

    def __init__(self, name):
        self.name, self.seen = name, 0

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        assert outputs["loss"].isfinite()
        self.seen += len(batch[0])
        self.log(self.name, float(self.seen))


CALLBACKS = "[{_target_:test_trainer.Counter,name:seen},{_target_:lightning.pytorch.callbacks.LearningRateMonitor},"
CALLBACKS += "{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val_loss,patience:1,min_delta:100}]"


def test_callbacks_see_a_run_and_what_they_log_is_kept(optbench, tmp_path):
    more = ["data.val_fraction=0.1", "data.chunk_size=4", "trainer.max_epochs=5", f"trainer.callbacks={CALLBACKS}"]
    optbench("train", *SMALL, *more, "schedule=exponential", "schedule.rate=0.1", "hydra.run.dir=run")
    run = records.read(tmp_path / "run")
    assert run.status["status"] == "done" and len(run.steps) == 18  # the second epoch is no better by 100
    events = EventAccumulator(str(run.directory))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("seen")] == [
        (n - 1, n) for n in (4, 8, 9, 13, 17, 18)
    ]
    rates = {event.step: event.value for event in events.Scalars("lr-Adam")}
    assert set(rates) <= set(range(19)) and len(rates) >= 6
    assert rates[4] == pytest.approx(run.steps["lr"][3])


def test_callbacks_may_be_named_and_save_where_the_run_lies(optbench, tmp_path):
    saving = "trainer.callbacks.best._target_=lightning.pytorch.callbacks.ModelCheckpoint"
    optbench("train", *SMALL, saving, "logger=none", "hydra.run.dir=run")
    assert list((tmp_path / "run").rglob("epoch=*.ckpt")) and [path.name for path in tmp_path.iterdir()] == ["run"]


def test_profilers_write_and_summaries_are_shown(optbench, tmp_path, capsys):
    given = ["trainer.profiler=simple", "trainer.enable_model_summary=true", "trainer.enable_progress_bar=true"]
    optbench("train", *SMALL, *given, "trainer.detect_anomaly=true", "trainer.deterministic=true", "hydra.run.dir=run")
    assert "run_training_batch" in (tmp_path / "run" / "fit-profile.txt").read_text()
    shown = capsys.readouterr().out
    assert "Trainable params" in shown and "Epoch 1/1" in shown


def plain(precision, clip=None):
    """Return the losses of a plain loop over the first epoch."""
    dtype = {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(precision, torch.float32)
    data = MNISTSubset(train_size=600, test_size=200, subset="balanced")
    data.setup()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10)).to(dtype)
    optim, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
    for xs, ys in data.train_dataloader():
        for x, y in zip(xs, ys, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                output = model(x.to(dtype))
            loss = nn.functional.cross_entropy(output if dtype is torch.float64 else output.float(), y)
            optim.zero_grad()
            loss.backward()
            if clip:
                clip(model.parameters())
            optim.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("precision", sorted(set(PRECISIONS.values())))
def test_a_precision_is_that_of_a_plain_loop(optbench, tmp_path, precision):
    given = ["optimizer=sgd", "optimizer.lr=0.1", "trainer.max_epochs=1", f"trainer.precision={precision}"]
    optbench("train", *SMALL, *given, "hydra.run.dir=run")
    run = records.read(tmp_path / "run")
    tolerance = 1e-7 if precision == "64-true" else 1e-4 if precision == "32-true" else 2e-2
    assert run.steps["loss"].tolist() == pytest.approx(plain(precision), rel=tolerance)
    weights = torch.load(run.directory / "checkpoint.ckpt", weights_only=True)["state_dict"]["model.0.weight"]
    assert weights.dtype == {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(precision, torch.float32)
    if precision != "32-true":
        assert run.steps["loss"].tolist() != pytest.approx(plain("32-true"), rel=1e-8)


CLIPS = {
    "norm": lambda params: nn.utils.clip_grad_norm_(params, 0.5),
    "value": lambda params: nn.utils.clip_grad_value_(params, 0.02),
}


@pytest.mark.parametrize(("by", "most"), [("norm", 0.5), ("value", 0.02)])
def test_gradients_are_clipped_alone_and_in_a_stack(optbench, tmp_path, by, most):
    clip = [f"trainer.gradient_clip_val={most}", f"trainer.gradient_clip_algorithm={by}", "trainer.max_epochs=1"]
    train = ["train", *SMALL, *clip, "optimizer=sgd", "optimizer.lr=0.1", "figures=[]"]
    optbench(*train, "hydra.run.dir=alone")
    optbench(*train, "-m", "seed=0,1", "replicas=2", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep")
    runs = [records.read(tmp_path / "alone"), records.find(tmp_path / "sweep")[0]]
    expected = plain("32-true", CLIPS[by])
    assert expected != pytest.approx(plain("32-true"), rel=1e-3)
    assert runs[1].status["stacked"] == 2
    for run in runs:
        assert run.steps["loss"].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("by", CLIPS)
def test_each_run_of_a_stack_is_clipped_by_its_own_norm(by):
    gradients = [torch.randn(3, 4, 5) * torch.tensor([1e-3, 1.0, 30.0])[:, None, None], torch.randn(3, 7)]
    gradients[1][0] *= 1e-3
    clipped = Clip(0.5 if by == "norm" else 0.02, by)(gradients)
    for i in range(3):
        params = [nn.Parameter(g[i]) for g in gradients]
        for p, g in zip(params, gradients, strict=True):
            p.grad = g[i].clone()
        CLIPS[by](params)
        torch.testing.assert_close([c[i] for c in clipped], [p.grad for p in params])


@pytest.mark.parametrize(
    ("trainer", "reason"),
    [
        ({"devices": "auto", "accelerator": "cpu"}, None),
        ({"precision": "bf16-true"}, "bf16-true"),
        ({"precision": 64, "gradient_clip_val": 1, "max_steps": 3}, None),
        ({"callbacks": [{"_target_": "a"}]}, "trainer.callbacks"),
        ({"max_time": "00:00:01:00"}, "trainer.max_time"),
        ({"profiler": "simple"}, "trainer.profiler"),
        ({"devices": 2, "accelerator": "cpu"}, "trainer.devices=2"),
    ],
)
def test_what_a_stack_cannot_do_trains_one_by_one(trainer, reason):
    assert alone(trainer) == reason


def test_the_sweep_says_what_it_trains_one_by_one(optbench, capsys):
    sweep = ["-m", "seed=0,1,2,3", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep", "figures=[]"]
    optbench("train", *SMALL, *sweep, "trainer.precision=bf16-mixed", "trainer.max_steps=2")
    assert "one by one: 4 Adam (bf16-mixed)" in capsys.readouterr().out
