"""Records of runs that nobody trained: a walk from the start of a network, written as a run writes it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from optbench import records
from optbench.landscape.panels import NamedRun
from optbench.models import mlp

DATA = {"_target_": "optbench.data.MNISTSubset", "train_size": 60, "test_size": 20, "batch_size": "full"}


@pytest.fixture
def written(tmp_path):
    """Write a run of an optimizer and return it as a contender."""

    def write(name, optimizer="Adam", seed=0, status="done", points=6, length=1.0, data=(), model=(), change=None):
        keywords = {"hidden": [4], "activation": "relu", **dict(model)}
        config = {
            "name": "written",
            "seed": seed,
            "data": {**DATA, **dict(data)},
            "model": {"_target_": "optbench.models.mlp", "_partial_": True, **keywords},
            "optimizer": {"_target_": f"optbench.optimizers.{optimizer}"},
        }
        torch.manual_seed(seed)
        made = mlp(784, 10, **{k: tuple(v) if isinstance(v, list) else v for k, v in keywords.items()})
        start = parameters_to_vector(made.parameters()).detach().numpy()
        walk = np.random.default_rng(len(name) + 7 * seed).standard_normal((points - 1, start.size)).cumsum(0)
        path = np.concatenate([start[None], start + length * walk / max(1e-9, np.abs(walk).max())])
        record = records.Record(Path(tmp_path, name), config, [])
        for step, weights in enumerate(change(path) if change else path):
            record.trajectory(10 * step, weights.astype(np.float32))
        measures = {"train_loss": 1.0, "test_loss": 1.0, "train_accuracy": 0.5, "test_accuracy": 0.5}
        record.evaluation({"epoch": 1, "step": 10, "train_seconds": 1.0, **measures})
        record.finish(status)
        return NamedRun(name, optimizer, records.read(Path(tmp_path, name)))

    return write
