"""Sharded parameters and torch's distributed checkpoints, in one process."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from tasks import Task, run
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from optbench.checks import UserError
from optbench.optimizers import CLASSES, Objective
from optbench.processes import side_by_side
from optbench.training.member import Total
from optbench.training.team import Team

every = pytest.mark.parametrize("name", CLASSES)
OPTIONS = StateDictOptions(flatten_optimizer_state_dict=True)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    store = dist.FileStore(str(tmp_path_factory.mktemp("store") / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@every
@pytest.mark.filterwarnings("ignore")
def test_steps_sharded_parameters_or_refuses_them(name, mesh):
    plain, sharded = Task(), Task()
    end = run(plain, plain.make(name), 3)
    for layer in (sharded.model[0], sharded.model[2], sharded.model):
        fully_shard(layer, mesh=mesh)
    sharded.params = sharded.objective.params = list(sharded.model.parameters())
    if not CLASSES[name].shards:
        with pytest.raises(UserError, match=f"^{name}: a parameter is a DTensor"):
            sharded.make(name)
        return
    run(sharded, sharded.make(name), 3)
    torch.testing.assert_close([p.detach().full_tensor() for p in sharded.params], end, rtol=1e-12, atol=1e-14)


@every
@pytest.mark.filterwarnings("ignore")
def test_saves_and_loads_by_torchs_distributed_checkpoints(name):
    """They take a step with a rate of 0 to find out what there is: it is none."""
    task, alone = Task(), Task()
    optimizer = task.make(name)
    before = task.weights()
    get_optimizer_state_dict(task.model, optimizer, options=OPTIONS)
    torch.testing.assert_close(task.weights(), before, rtol=0, atol=0)
    end = run(task, optimizer, 3)
    torch.testing.assert_close(run(alone, alone.make(name), 3), end, rtol=0, atol=0)
    saved = get_optimizer_state_dict(task.model, optimizer, options=OPTIONS)
    other = Task()
    other.model.load_state_dict(task.model.state_dict())
    twin = other.make(name)
    set_optimizer_state_dict(other.model, twin, saved, options=OPTIONS)
    torch.testing.assert_close(run(other, twin, 2), run(task, optimizer, 2), rtol=0, atol=0)
    twin.eval()
    optimizer.eval()
    torch.testing.assert_close(other.weights(), task.weights(), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "hyper"), [*((name, {}) for name in CLASSES), ("Averaged", {"form": "lawa"})])
@pytest.mark.filterwarnings("ignore")
def test_saves_and_loads_by_distributed_files(name, hyper, mesh, tmp_path):
    task, other = Task(), Task(seed=1)
    other.x, other.y = task.x, task.y
    optimizer, twin = task.make(name, **hyper), other.make(name, **hyper)
    run(task, optimizer, 3)
    weights, state = get_state_dict(task.model, optimizer)
    checkpoint.save({"weights": weights, "state": state}, checkpoint_id=tmp_path / "saved")
    into = dict(zip(("weights", "state"), get_state_dict(other.model, twin), strict=True))
    checkpoint.load(into, checkpoint_id=tmp_path / "saved")
    set_state_dict(other.model, twin, model_state_dict=into["weights"], optim_state_dict=into["state"])
    torch.testing.assert_close(run(other, twin, 2), run(task, optimizer, 2), rtol=1e-12, atol=1e-14)


@every
@pytest.mark.filterwarnings("ignore")
def test_weights_that_come_after_the_dry_step_are_where_it_starts(name):
    task, alone = Task(), Task(seed=1)
    optimizer = task.make(name)
    get_optimizer_state_dict(task.model, optimizer, options=OPTIONS)
    task.model.load_state_dict(alone.model.state_dict())
    alone.x, alone.y = task.x, task.y
    torch.testing.assert_close(run(task, optimizer, 6), run(alone, alone.make(name), 6), rtol=0, atol=0)


def length(name):
    """Return for how many steps rounding stays small: searches and eigenvectors make much of it."""
    return 3 if CLASSES[name].order == 1 else 1


def share_steps(item):
    """Step every class that allows it, as one of two processes with half of the examples each."""
    team, store = item
    with team.connected(store):
        ends = {}
        for name in (name for name in CLASSES if CLASSES[name].shares):
            task = Task()
            rows, weight = team.share(len(task.x))
            task.x, task.y = task.x[rows], task.y[rows]
            task.objective = Objective(
                lambda task=task, weight=weight: Total.apply(weight * task.loss()), task.params, team.sum_
            )
            ends[name] = [w.tolist() for w in run(task, task.make(name), length(name))]
        return ends


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_that_share_the_examples_step_as_one(tmp_path):
    items = [(Team(rank, 2), str(tmp_path / "store")) for rank in range(2)]
    ends = [end for _, end in side_by_side(share_steps, items, 2)]
    assert ends[0] == ends[1]
    assert sorted(set(CLASSES) - ends[0].keys()) == [name for name in CLASSES if "model" in CLASSES[name].needs]
    for name, end in ends[0].items():
        task = Task()
        expected = [w.tolist() for w in run(task, task.make(name), length(name))]
        for parts, whole in zip(end, expected, strict=True):
            assert np.allclose(parts, whole, rtol=1e-6, atol=1e-8), name
