"""`state` is torch's: one live dictionary per parameter, whatever becomes of the parameter."""

import copy
import warnings

import lightning.pytorch as lightning
import pytest
import torch
from tasks import Task, run

from optbench.checks import UserError
from optbench.optimizers import CLASSES, SGD, Momentum, Optimizer, base

every = pytest.mark.parametrize("name", CLASSES)


def same(left, right, rtol=0.0, atol=0.0):
    torch.testing.assert_close(left, right, rtol=rtol, atol=atol)


@every
def test_is_one_live_dictionary(name):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 1)
    kept = {p: optimizer.state[p] for p in task.params}
    run(task, optimizer, 2)
    for p, s in kept.items():
        assert optimizer.state[p] is s
        assert s["step"] == 3
        assert all(isinstance(x, torch.Tensor | int | float) for x in s.values())


@every
def test_what_is_changed_in_the_state_counts(name):
    """A state put back by hand, tensor by tensor, steps as it did."""
    task, other = Task(), Task()
    optimizer, twin = task.make(name), other.make(name)
    run(task, optimizer, 2)
    run(other, twin, 1)
    for p, q in zip(task.params, other.params, strict=True):
        q.data.copy_(p)
        twin.state[q].update(copy.deepcopy(optimizer.state[p]))
    same(run(other, twin, 1), run(task, optimizer, 1))


@every
def test_shares_no_memory_between_names(name):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 1)
    places = [x.data_ptr() for s in optimizer.state.values() for x in s.values() if isinstance(x, torch.Tensor)]
    places = [place for place in places if place]
    assert len(places) == len(set(places))


def views():
    """Yield ways to lay out a matrix of 6 x 4 anew: contiguous, transposed, strided and inside another."""
    yield lambda x: x.T.contiguous().T
    yield lambda x: torch.stack([x, x], -1)[..., 0]
    yield lambda x: torch.nn.functional.pad(x, (1, 2))[:, 1:-2]


@every
@pytest.mark.parametrize("view", list(views()))
def test_moves_parameters_of_any_layout(name, view):
    ends = []
    for laid_out in (lambda x: x, view):
        task = Task()
        optimizer = task.make(name)
        run(task, optimizer, 1)
        for p in task.params:
            if p.dim() == 2:
                p.data = laid_out(p.data)
        ends.append(run(task, optimizer, 1))
    same(*ends, rtol=1e-6, atol=1e-8)  # another order of summation, which a line search magnifies


SLICED = [name for name, cls in CLASSES.items() if cls._move is Optimizer._move and not cls.whole_tensor]


@pytest.mark.parametrize("name", [name for name in SLICED if "base" not in CLASSES[name].parts])
def test_moves_a_large_parameter_slice_by_slice(name, monkeypatch):
    """Whole in the first step, and again once its memory is laid out otherwise."""
    ends = []
    for size in (base.SLICE, 6):
        monkeypatch.setattr(base, "SLICE", size)
        task = Task()
        optimizer = task.make(name)
        run(task, optimizer, 3)
        matrix = task.params[0]
        state = [x for x in optimizer.state[matrix].values() if isinstance(x, torch.Tensor)]
        assert optimizer._slices(matrix, optimizer.state[matrix], optimizer.param_groups[0]) is all(
            x.shape == matrix.shape for x in state
        )
        matrix.data = matrix.data.T.contiguous().T
        assert not optimizer._slices(matrix, optimizer.state[matrix], optimizer.param_groups[0])
        run(task, optimizer, 1)
        matrix.data = matrix.data.contiguous()
        ends.append((run(task, optimizer, 2), [optimizer.state[p] for p in task.params]))
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-14)


def test_moves_a_large_parameter_whose_memory_format_changes():
    conv = torch.nn.Conv2d(128, 128, 3)
    optimizer = CLASSES["Adam"](conv.parameters())
    for _ in range(2):
        before = conv.weight.detach().clone()
        conv.weight.grad = torch.ones_like(conv.weight)
        optimizer.step()
        assert (conv.weight != before).all()
        conv.to(memory_format=torch.channels_last)


def widened(name):
    """Return a task and its optimizer after a step in float32, which goes on in float64."""
    task = Task(torch.float32)
    optimizer = task.make(name)
    run(task, optimizer, 1)
    task.model.double()
    task.x = task.x.double()
    return task, optimizer


def assert_all_double(optimizer):
    for s in optimizer.state.values():
        assert all(x.dtype is torch.float64 for x in s.values() if isinstance(x, torch.Tensor))


@every
def test_follows_the_type_of_the_parameters(name):
    task, optimizer = widened(name)
    twin = copy.deepcopy((task.model, optimizer))
    run(task, optimizer, 2)
    assert_all_double(optimizer)
    other = Task()
    other.x, other.model, other.params = task.x, twin[0], list(twin[0].parameters())
    other.objective.params = other.params
    for s in twin[1].state.values():
        s.update({k: x.double() for k, x in s.items() if isinstance(x, torch.Tensor)})
    same(run(other, twin[1], 2), task.weights())


@every
def test_follows_the_type_of_parameters_that_move_by_turns(name):
    task, optimizer = widened(name)
    for moves in (task.params[:2], task.params[2:]):
        for p in task.params:
            p.requires_grad_(any(p is q for q in moves))
            p.grad = None
        task.objective.params = moves
        run(task, optimizer, 1)
    assert_all_double(optimizer)


class Tuned(lightning.LightningModule):
    """A task under Lightning, which steps through its wrapper of the optimizer."""

    def __init__(self, name, steps):
        super().__init__()
        self.task, self.name, self.steps, self.seen = Task(torch.float32), name, steps, []
        self.model = self.task.model
        self.automatic_optimization = False

    def configure_optimizers(self):
        return self.task.make(self.name)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(self.steps))

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        assert optimizer.state_dict() is not None  # a first look, as a callback takes
        optimizer.step(self.task.objective)
        optimizer.eval()
        at_iterate = self.task.weights()
        optimizer.train()
        self.seen.append((at_iterate, optimizer.state_dict()["state"]))


def trainer():
    options = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    return lightning.Trainer(accelerator="cpu", max_epochs=1, **options)


@every
def test_is_the_same_behind_the_wrapper_of_lightning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = Tuned(name, 3)
        trainer().fit(tuned)
    task = Task(torch.float32)
    optimizer = task.make(name)
    for seen in tuned.seen:
        optimizer.step(task.objective)
        optimizer.eval()
        at_iterate = task.weights()
        optimizer.train()
        same(list(seen), [at_iterate, optimizer.state_dict()["state"]])


@every
def test_moves_parameters_without_dimensions(name):
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1, dtype=torch.float64)
    scale = torch.nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
    x = torch.randn(4, 2, dtype=torch.float64)
    task = Task()
    task.model, task.params = torch.nn.Sequential(model), [*model.parameters(), scale]
    task.loss = lambda: (task.model(x) * scale).square().mean()
    task.objective.loss, task.objective.params = task.loss, task.params
    hyper = {"likelihood": "gaussian"} if name == "KFAC" else {}
    optimizer = task.make(name, **({"form": "lm"} if name == "Newton" else hyper))
    run(task, optimizer, 3)
    assert scale.shape == () and scale.isfinite() and scale != 1.5


@every
def test_stays_finite_in_float16(name):
    """Zero and tiny gradients: an eps of 1e-8 is zero in float16, and 1e-4 squared too."""
    torch.manual_seed(0)
    task = Task(torch.float16)
    hyper = {"form": "lm"} if name == "Newton" else {}
    optimizer = task.make(name, **hyper)
    task.loss = lambda: (
        1e-4 * sum((p.float() * 0.01).sum() for p in task.params[:2])
        + 0 * sum(p.float().sum() for p in task.params[2:])
    )
    if name == "KFAC":
        plain = task.loss
        task.loss = lambda: plain() + 0 * task.model(task.x).float().sum()
    task.objective.loss = task.loss
    run(task, optimizer, 4)
    assert all(p.dtype is torch.float16 and p.isfinite().all() for p in task.params)
    twin = Task(torch.float16).make(name, **hyper)
    twin.load_state_dict(optimizer.state_dict())
    same(twin.state_dict()["state"], optimizer.state_dict()["state"])


def test_a_step_without_state_is_the_first():
    p = torch.nn.Parameter(torch.ones(()))
    optimizer = Momentum([p], lr=0.1)
    for _ in range(2):
        p.grad = torch.ones(())
        optimizer.step()
    optimizer.state.clear()
    p.grad = torch.ones(())
    optimizer.step()
    assert optimizer.state[p]["step"] == 1
    torch.testing.assert_close(p.detach(), torch.tensor(1 - 0.1 - 0.19 - 0.1))


@pytest.mark.parametrize("name", ["ScheduleFreeSGD", "NAG"])
def test_refuses_to_step_from_the_iterate(name):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 2)
    optimizer.eval()
    with pytest.raises(UserError, match=rf"^{name}: the parameters are at the iterate; call train\(\) before step"):
        run(task, optimizer, 1)


def test_no_rule_writes_where_it_reads_afterwards():
    """A state that is spent and one that is not give the same bits: what a helper overwrites is not read again."""
    from optbench.optimizers.arithmetic import Spent, decayed_, to_tensor

    def both(update, first, h):
        g, p = torch.linspace(-1, 1, 6, dtype=torch.float64), torch.linspace(1, 2, 6, dtype=torch.float64)
        ends = []
        for kind in (dict, Spent):
            s = first
            for t in range(1, 4):
                change, new = update(g * t, p, kind(copy.deepcopy(s)), t, h)
                s = copy.deepcopy({**s, **new})
                ends.append((kind, to_tensor(change).clone(), s))
        half = len(ends) // 2
        return [e[1:] for e in ends[:half]], [e[1:] for e in ends[half:]]

    for name in [name for name, cls in CLASSES.items() if cls.by_update()]:
        task = Task()
        h = task.make(name).param_groups[0]
        first = CLASSES[name].init(torch.linspace(1, 2, 6, dtype=torch.float64))
        same(*both(CLASSES[name].update, first, h))

    def wrong(g, p, s, t, h):
        v = decayed_(s, "v", 0.9)
        return v + s["v"], {"v": v + g}

    with pytest.raises(AssertionError):
        same(*both(wrong, {"v": torch.ones(6, dtype=torch.float64)}, {}))


def test_sgd_has_no_more_than_its_steps():
    task = Task()
    optimizer = SGD(task.params)
    run(task, optimizer, 2)
    assert all(s == {"step": 2} for s in optimizer.state.values())


@every
def test_counting_from_the_start_again_keeps_the_rest_of_the_state(name):
    """As some do with Adam's corrections of its means; torch's keep them too."""
    task, other = Task(), Task()
    optimizer, twin = task.make(name), other.make(name)
    run(task, optimizer, 2)
    run(other, twin, 2)
    names = [{k: x for k, x in s.items() if k != "step"} for s in twin.state.values()]
    for s, kept in zip(twin.state.values(), copy.deepcopy(names), strict=True):
        s["step"] = 0
        twin._moving()
        same({k: x for k, x in s.items() if k != "step"}, kept)


@every
def test_autocast_around_a_step_rounds_nothing_or_is_refused(name):
    ends = []
    for enabled in False, True:
        task = Task(torch.float32)
        optimizer = task.make(name)
        run(task, optimizer, 2)
        task.objective()
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                optimizer.step(lambda: torch.ones(()))
        except UserError as error:
            assert str(error).endswith("put only the loss there") or "closure without its loss" in str(error)
            return
        ends.append(task.weights())
    same(*ends)


@every
def test_a_step_under_inference_mode_is_refused_and_leaves_no_state(name):
    """What it would keep could not be changed by a step outside."""
    task = Task()
    optimizer = task.make(name)
    task.objective()
    before = task.weights()
    with torch.inference_mode(), pytest.raises(UserError, match="step outside of it$|has a closure without its loss"):
        optimizer.step(lambda: torch.ones(()))
    same(task.weights(), before)
    assert not optimizer.state


@every
def test_a_dictionary_that_was_kept_before_the_first_step_is_the_state(name):
    task = Task()
    optimizer = task.make(name)
    kept = optimizer.state[task.params[0]]
    run(task, optimizer, 1)
    assert kept["step"] == 1


@every
def test_goes_on_where_a_parameter_rests_for_a_while(name):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 3)
    resting = task.params[0]
    before = resting.detach().clone()
    task.objective.params = task.params[1:]
    resting.grad = None
    resting.requires_grad_(False)
    run(task, optimizer, 3)
    same(resting.detach(), before)
    resting.requires_grad_(True)
    task.objective.params = task.params
    loss = float(task.loss().detach())
    run(task, optimizer, 20)
    optimizer.eval()
    assert float(task.loss().detach()) < loss + 0.05


@every
@pytest.mark.parametrize("context", ["meta", "float64"])
def test_makes_its_state_where_and_as_the_parameters_are(name, context):
    """Whatever torch makes by default."""
    ends = []
    for default in None, context:
        task = Task(torch.float32)
        try:
            if default == "float64":
                torch.set_default_dtype(torch.float64)
            with torch.device("meta" if default == "meta" else "cpu"):
                optimizer = task.make(name)
                run(task, optimizer, 3)
                optimizer.load_state_dict(optimizer.state_dict())
                run(task, optimizer, 1)
        finally:
            torch.set_default_dtype(torch.float32)
        ends.append((task.weights(), optimizer.state_dict()["state"]))
    same(*ends)


@every
def test_takes_a_state_that_is_a_plain_dictionary(name):
    task, alone = Task(), Task()
    optimizer = task.make(name)
    run(task, optimizer, 1)
    optimizer.state = dict(optimizer.state)
    optimizer.state.pop(task.params[1])
    twin = alone.make(name)
    run(alone, twin, 1)
    twin.state.pop(alone.params[1])
    same(run(task, optimizer, 2), run(alone, twin, 2))
