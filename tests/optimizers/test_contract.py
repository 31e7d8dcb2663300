"""What every optimizer promises, for every class that there is."""

import copy
import io
import math
import pickle
from typing import Annotated, Literal, get_args, get_origin

import pytest
import torch
from tasks import CONFIGS, ELEMENTWISE, Task, quadratic, run, with_rate
from torch.optim.optimizer import register_optimizer_step_post_hook

from optbench import optimizers
from optbench.checks import Interval, UserError
from optbench.optimizers import CLASSES, Objective, arithmetic
from optbench.processes import side_by_side

every = pytest.mark.parametrize("name", CLASSES)
elementwise = pytest.mark.parametrize("name", ELEMENTWISE)


def assert_bits(left, right):
    torch.testing.assert_close(left, right, rtol=0, atol=0)


def saved(*objects):
    """Return objects as they come back from a file that only holds plain data and tensors."""
    buffer = io.BytesIO()
    torch.save(objects, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@every
def test_config_declares_where_to_search(name):
    config = CONFIGS[name]
    rates = {key: search for key, search in config.search.items() if key.endswith("lr")}
    assert rates
    for key, search in rates.items():
        default = config.base.lr if key.startswith("base.") else CLASSES[name].hyper["lr"]
        assert search.log
        assert 0 < search.low <= default <= search.high
        assert search.high / search.low >= 100


free = [name for name, cls in CLASSES.items() if "model" not in cls.needs and not getattr(cls, "fixed_norms", False)]


@pytest.mark.parametrize("name", free)
def test_solves_a_bowl_at_some_learning_rate_of_its_search_space(name):
    search = next(value for key, value in CONFIGS[name].search.items() if key.endswith("lr"))
    rates = [search.low * (search.high / search.low) ** (i / 4) for i in range(5)]
    losses = [quadratic(with_rate(name, lr), 120) for lr in rates]
    assert min(last / first for first, last in losses if math.isfinite(last)) < 0.02


@every
def test_descends_by_default(name):
    task = Task()
    optimizer = task.make(name)
    first = float(task.loss().detach())
    run(task, optimizer, 20)
    optimizer.eval()
    assert float(task.loss().detach()) < first


@every
@pytest.mark.parametrize(
    "dtype",
    [torch.float64, pytest.param(torch.bfloat16, marks=pytest.mark.slow)],
)
def test_resumes_to_the_bit(name, dtype):
    task, other = Task(dtype), Task(dtype, seed=1)
    optimizer, resumed = task.make(name), other.make(name)
    run(task, optimizer, 4)
    optimizer.eval()
    other.x, other.y = task.x, task.y
    weights, state = saved(task.model.state_dict(), optimizer.state_dict())
    other.model.load_state_dict(weights)
    resumed.load_state_dict(state)
    optimizer.train()
    resumed.train()
    assert_bits(run(task, optimizer, 4), run(other, resumed, 4))
    assert all(p.dtype == dtype and p.isfinite().all() for p in task.params)


@elementwise
def test_leaves_a_state_dict_as_it_was(name):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 3)
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    run(task, optimizer, 2)
    assert_bits(state["state"], kept["state"])
    optimizer.load_state_dict(state)
    run(task, optimizer, 2)
    assert_bits(state["state"], kept["state"])


def resumed(file):
    """Return where the optimizers of a file go, in a process that has made none of them."""
    ends = {}
    for name, (weights, state) in torch.load(file, weights_only=True).items():
        task = Task()
        task.model.load_state_dict(weights)
        optimizer = task.make(name)
        optimizer.load_state_dict(state)
        ends[name] = run(task, optimizer, 3)
    torch.save(ends, file)


@pytest.mark.slow
def test_resumes_in_another_process(tmp_path):
    states, ends = {}, {}
    for name in CLASSES:
        task = Task()
        optimizer = task.make(name)
        run(task, optimizer, 3)
        states[name] = copy.deepcopy((task.model.state_dict(), optimizer.state_dict()))
        ends[name] = run(task, optimizer, 3)
    file = tmp_path / "states.pt"
    torch.save(states, file)
    assert list(side_by_side(resumed, [file], 1)) == [(0, None)]
    assert_bits(torch.load(file, weights_only=True), ends)


@every
@pytest.mark.parametrize("copies", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_go_on_alike_and_apart(name, copies):
    task = Task()
    optimizer = task.make(name)
    run(task, optimizer, 3)
    model, twin = copies((task.model, optimizer))
    end = run(task, optimizer, 3)
    other = Task()
    other.model, other.params = model, list(model.parameters())
    other.objective.params = other.params
    assert_bits(run(other, twin, 3), end)


@every
def test_shares_nothing_with_another_instance(name):
    alone, task, noise = Task(), Task(), Task(seed=1)
    expected = run(alone, alone.make(name), 4)
    optimizer, other = task.make(name), noise.make(name)
    for _ in range(4):
        run(task, optimizer, 1)
        run(noise, other, 1)
    assert_bits(task.weights(), expected)


@pytest.mark.parametrize("name", [k for k, cls in CLASSES.items() if cls._move is optimizers.Optimizer._move])
def test_gives_each_group_its_own_learning_rate(name):
    moved = []
    for factor in 1, 1e-3:
        task = Task()
        *first, weight, bias = task.params
        optimizer = task.make(name, [{"params": first}, {"params": [weight, bias]}])
        optimizer.param_groups[1]["lr"] *= factor
        start = weight.detach().clone()
        run(task, optimizer, 2)
        moved.append(float((weight.detach() - start).norm()))
    assert moved[1] < 0.1 * moved[0]


@every
def test_follows_a_torch_scheduler(name):
    task, other = Task(), Task()
    optimizer, by_hand = task.make(name), other.make(name)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for _ in range(4):
        optimizer.step(task.objective)
        scheduler.step()
        by_hand.step(other.objective)
        for group in by_hand.param_groups:
            group["lr"] *= 0.5
    assert_bits(task.weights(), other.weights())


@every
def test_steps_alike_with_a_closure_and_without(name):
    task, other = Task(), Task()
    optimizer, plain = task.make(name), other.make(name)
    for _ in range(3):
        loss = other.objective()
        try:
            assert plain.step() is None
        except UserError as error:
            assert "closure" in str(error)
            return
        assert_bits(optimizer.step(task.objective), loss)
    assert_bits(task.weights(), other.weights())


@every
def test_runs_what_is_hooked_to_a_step(name):
    task, seen = Task(), []
    optimizer = task.make(name)
    own = type(optimizer).__name__

    def note(what):
        return lambda stepped, *_: seen.append(what) if type(stepped).__name__ == own else None

    run(task, optimizer, 1)
    handles = [
        optimizer.register_step_pre_hook(note("before")),
        optimizer.register_step_post_hook(note("after")),
        register_optimizer_step_post_hook(note("after any")),
    ]
    run(task, optimizer, 1)
    for handle in handles:
        handle.remove()
    run(task, optimizer, 1)
    assert seen == ["before", "after", "after any"]


def test_shows_up_in_a_profile():
    task = Task()
    optimizer = task.make("SGD")
    run(task, optimizer, 1)
    with torch.profiler.profile() as profile:
        run(task, optimizer, 1)
    assert "Optimizer.step#SGD.step" in [event.key for event in profile.key_averages()]


@every
def test_returns_the_loss_before_the_step(name):
    task = Task()
    optimizer = task.make(name)
    loss = task.loss()
    assert_bits(optimizer.step(task.objective).detach(), loss.detach())
    assert task.objective.grad_evals >= 1


@every
def test_leaves_parameters_that_cannot_move(name):
    task, alone = Task(), Task()
    extras = [
        torch.nn.Parameter(torch.ones(3, dtype=torch.float64)),
        torch.nn.Parameter(torch.ones(0, 3, dtype=torch.float64)),
        torch.nn.Parameter(torch.ones(2, 2, dtype=torch.float64), requires_grad=False),
    ]
    optimizer = task.make(name, [extras[0], *task.params, *extras[1:]])
    end = run(alone, alone.make(name), 3)
    for _ in range(3):
        optimizer.step(task.objective)
        extras[1].grad = torch.zeros_like(extras[1])
    assert_bits(task.weights(), end)
    assert all((p == 1).all() for p in extras)
    twin = task.make(name, [extras[0], *task.params, *extras[1:]])
    twin.load_state_dict(*saved(optimizer.state_dict()))


@every
def test_takes_parameters_later(name):
    task = Task()
    *first, weight, bias = task.params
    optimizer = task.make(name, first)
    start = task.weights()
    run(task, optimizer, 2)
    assert_bits(task.weights()[2:], start[2:])
    optimizer.add_param_group({"params": [weight, bias]})
    end = run(task, optimizer, 3)
    assert all((a != b).any() for a, b in zip(start, end, strict=True))
    assert all(p.isfinite().all() for p in end)


@every
def test_goes_on_where_the_data_of_a_parameter_was_swapped(name):
    task, other = Task(), Task()
    optimizer, swapped = task.make(name), other.make(name)
    for _ in range(4):
        run(task, optimizer, 1)
        run(other, swapped, 1)
        for p in other.params:
            p.data = p.data.clone()
    assert_bits(task.weights(), other.weights())


@every
def test_keeps_no_hold_of_the_gradient(name):
    task, other = Task(), Task()
    optimizer, reusing = task.make(name), other.make(name)

    class Reusing(Objective):
        """Adds into the gradients' memory, as `zero_grad(set_to_none=False)` and `backward` do."""

        def __call__(self):
            loss = self.loss()
            for p, g in zip(self.params, torch.autograd.grad(loss, self.params), strict=True):
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
                p.grad.zero_().add_(g)
            return loss

    objective = Reusing(other.loss, other.params)
    for _ in range(4):
        optimizer.step(task.objective)
        reusing.step(objective)
    assert_bits(task.weights(), other.weights())


@every
def test_trains_and_evaluates_where_it_should(name):
    task, other = Task(), Task()
    optimizer, watched = task.make(name), other.make(name)
    for _ in range(4):
        run(task, optimizer, 1)
        run(other, watched, 1)
        watched.eval()
        at_rest = other.weights()
        watched.eval()
        assert_bits(other.weights(), at_rest)
        watched.train()
        watched.train()
    assert_bits(task.weights(), other.weights())


@every
def test_refuses_complex_and_sparse_in_one_line(name):
    task = Task()
    with pytest.raises(UserError, match=": a parameter is torch.complex64; give dense real ones"):
        task.make(name, [torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64))])
    table = torch.nn.Embedding(4, 3, sparse=True)
    objective = Objective(lambda: table(torch.tensor([1, 2])).square().sum(), [table.weight])
    with pytest.raises(UserError) as error:
        task.make(name, [table.weight]).step(objective)
    assert "sparse" in str(error.value) and "\n" not in str(error.value)


def outside(kind):
    """Return values that an annotation does not allow."""
    if get_origin(kind) is Annotated:
        inner, interval = get_args(kind)[0], next(x for x in get_args(kind) if isinstance(x, Interval))
        kind_of = int if inner is int else float
        yield kind_of(interval.low - 1)
        if math.isfinite(interval.high):
            yield interval.high + 1
        yield math.nan
        yield "much"
    elif get_origin(kind) is Literal:
        yield "another"
    elif kind is bool:
        yield "perhaps"


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, cls in CLASSES.items() for key in cls.kinds])
def test_refuses_values_outside_the_range(name, key):
    for value in outside(CLASSES[name].kinds[key]):
        task = Task()
        with pytest.raises(UserError) as error:
            hyper = {key: value}
            getattr(optimizers, name)(task.params, **(required(task, name) | hyper))
        assert str(error.value).startswith(f"{name}: {key}={value!r} is ")


def required(task, name):
    """Return what the class cannot do without."""
    optimizer = task.make(name)
    return {k: optimizer.param_groups[0].get(k, getattr(optimizer, k, None)) for k in CLASSES[name].hyper}


@every
def test_refuses_an_unknown_hyperparameter(name):
    with pytest.raises(UserError, match=f"no hyperparameter of {name} 'learning_rate'"):
        Task().make(name, learning_rate=0.1)


@every
def test_documents_every_hyperparameter(name):
    for key in CLASSES[name].hyper:
        assert f"\n    {key}: " in CLASSES[name].__doc__
    assert "References:" in CLASSES[name].__doc__


@elementwise
@pytest.mark.filterwarnings("error")  # an operation that vmap has to loop over
def test_takes_tensors_for_numbers(name):
    """A whole sweep steps at once under vmap: every number is then a tensor with one value per replica."""
    factors = torch.tensor([1.0, 0.9, 0.7], dtype=torch.float64)
    hyper = Task().make(name).param_groups[0]
    numbers = {k: hyper[k] * factors for k, kind in CLASSES[name].kinds.items() if isinstance(hyper[k], float)}
    rest = {k: hyper[k] for k in CLASSES[name].kinds if k not in numbers}
    gradients = torch.randn(4, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = torch.linspace(-1, 1, 6, dtype=torch.float64)

    def rule(*arguments):
        change, state = CLASSES[name].update(*arguments)
        return arithmetic.to_tensor(change), state

    stacked = torch.func.vmap(lambda g, p, s, t, h: rule(g, p, s, t, rest | h), in_dims=(0, 0, 0, None, 0))
    p, one_by_one = start.expand(3, 6), [start] * 3
    states = [CLASSES[name].init(start) for _ in range(3)]
    state = {k: torch.stack([torch.as_tensor(s[k], dtype=torch.float64) for s in states]) for k in states[0]}
    for t, g in enumerate(gradients, 1):
        change, state = stacked(g, p, state, torch.tensor(t, dtype=torch.float64), numbers)
        p = p - change
        for i in range(3):
            h = rest | {k: float(v[i]) for k, v in numbers.items()}
            own, states[i] = rule(g[i], one_by_one[i], states[i], t, h)
            one_by_one[i] = one_by_one[i] - own
        torch.testing.assert_close(p, torch.stack(one_by_one), rtol=1e-12, atol=1e-14)
