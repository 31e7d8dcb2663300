"""The weights along a training: which are kept, and a file that can be read at any moment."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small import SMALL

from optbench import records
from optbench.checks import UserError
from optbench.training.trajectory import Keeping

RUN = [
    *SMALL,
    "data.chunk_size=4",
    "model.hidden=[4]",
    "optimizer=adam",
    "replicas=off",
]  # 9 and a short mini-batch an epoch
CONFIG = {"seed": 0, **{group: {"_target_": f"optbench.{group}"} for group in ("data", "model", "optimizer")}}
KEPT = {
    "trajectory.every=3": [0, 3, 6, 9, 12, 15, 18, 20],
    "trajectory.every=epoch": [0, 10, 20],
    "trajectory.every=chunk": [0, 4, 8, 9, 10, 14, 18, 19, 20],
    "trajectory=true": [0, 4, 8, 9, 10, 20],
    "trajectory.every=1000": [0, 20],
}


@pytest.mark.parametrize("typed", KEPT)
def test_keeps_the_steps_that_were_asked_for(optbench, typed):
    optbench("train", *RUN, typed, "hydra.run.dir=run")
    run = records.read(Path("run"))
    steps, weights = run.trajectory
    assert steps.tolist() == KEPT[typed]
    assert weights.dtype == np.float32 and weights.shape == (len(steps), 784 * 4 + 4 + 4 * 10 + 10)
    saved = torch.load("run/checkpoint.ckpt", weights_only=True)["state_dict"].values()
    assert (weights[-1] == torch.cat([p.reshape(-1) for p in saved]).numpy()).all()
    norms = run.metrics.set_index("step")["weight_norm"]
    for step in set(steps.tolist()) & set(norms.index):
        assert np.linalg.norm(weights[steps.tolist().index(step)].astype(float)) == pytest.approx(norms[step], rel=1e-5)


def test_keeps_nothing_where_nothing_is_wanted(optbench):
    optbench("train", *RUN, "trajectory=false", "hydra.run.dir=run")
    assert records.read(Path("run")).trajectory is None
    assert not list(Path("run").glob("trajectory*"))


def test_stacked_runs_keep_what_runs_alone_keep(optbench):
    sweep = [*RUN, "-m", "optimizer=schedule_free_adamw", "seed=0,1", "trajectory.every=3", "hydra.launcher.n_jobs=1"]
    for name, replicas in {"alone": "off", "stacked": "2"}.items():
        optbench("train", *sweep, f"replicas={replicas}", f"hydra.sweep.dir={name}", "hydra.sweep.subdir=${seed}")
    for seed in "01":
        alone, stacked = (records.read(Path(name, seed)) for name in ("alone", "stacked"))
        assert stacked.status["stacked"] == 2
        assert stacked.trajectory[0].tolist() == alone.trajectory[0].tolist() == KEPT["trajectory.every=3"]
        np.testing.assert_allclose(stacked.trajectory[1], alone.trajectory[1], atol=1e-5)


def test_a_diverged_run_keeps_where_it_went(optbench):
    optbench("train", *RUN, "optimizer=sgd", "optimizer.lr=1e9", "trajectory.every=3", "hydra.run.dir=run")
    steps, weights = records.read(Path("run")).trajectory
    assert steps.tolist()[:2] == [0, 3] and np.isfinite(weights[0]).all()


def test_can_be_read_as_it_grows_and_after_a_kill(tmp_path):
    record = records.Record(tmp_path / "run", CONFIG, [])
    run = lambda: records.read(tmp_path / "run")  # noqa: E731
    assert run().trajectory is None
    rng, sent = np.random.default_rng(0), []
    for step in range(5):
        sent.append(rng.standard_normal(7).astype(np.float32))
        record.trajectory(2 * step, sent[-1])
        steps, weights = run().trajectory
        assert steps.tolist() == [2 * i for i in range(step + 1)] and (weights == np.array(sent)).all()
    file = tmp_path / "run" / "trajectory.bin"
    whole = file.read_bytes()
    for kept in range(len(whole)):
        file.write_bytes(whole[:kept])
        found = run().trajectory
        rows = max(0, kept - 16) // (8 + 4 * 7)
        assert (0 if found is None else len(found[0])) == rows
        if rows:
            assert (found[1] == np.array(sent)[:rows]).all()


@pytest.mark.parametrize("content", [b"PK\x03\x04 something else", records.TRAJECTORY + bytes(8), b"x"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    records.Record(tmp_path / "run", CONFIG, [])
    (tmp_path / "run" / "trajectory.bin").write_bytes(content)
    with pytest.raises(UserError, match="is no trajectory of ours"):
        _ = records.read(tmp_path / "run").trajectory


def test_those_of_older_versions_are_read(tmp_path):
    records.Record(tmp_path / "run", CONFIG, [])
    weights = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    np.savez(tmp_path / "run" / "trajectory.npz", steps=np.arange(3), weights=weights)
    steps, found = records.read(tmp_path / "run").trajectory
    assert steps.tolist() == [0, 1, 2] and (found == weights).all()
    (tmp_path / "run" / "trajectory.npz").write_bytes(b"PK cut short")
    with pytest.raises(UserError, match="is damaged: trajectory.npz"):
        _ = records.read(tmp_path / "run").trajectory


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"every": 0}, "trajectory: every=0"),
        ({"every": "batch"}, "trajectory: every='batch'"),
        ({"each": 3}, "give trajectory.every=<steps>"),
        (7, "trajectory=7 is not true or false"),
    ],
)
def test_anything_else_is_refused(config, message):
    with pytest.raises(UserError, match=message):
        Keeping.of(config)
