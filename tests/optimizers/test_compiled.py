"""`compile=true`: the same rules, in one kernel."""

import copy
import inspect
import pickle

import pandas
import pytest
import torch
from small import SMALL
from tasks import ELEMENTWISE, Task, run

from optbench import optimizers, records
from optbench.optimizers import CLASSES, arithmetic, compiled

RULES = [*ELEMENTWISE, "Rprop"]
KERNELS = ["SGD", "NAdam", "AggMo"]  # no state, a number in it, and one whose first step decides what it holds
ODD = {"QHAdam": {"nu2": 0.5}, "RMSprop": {"momentum": 0.5, "centered": True}, "NAG": {"form": "fista"}}


def defaults(name):
    return {k: 50 if v is inspect.Parameter.empty else v for k, v in CLASSES[name].hyper.items()}


@pytest.mark.parametrize(("name", "other"), [(name, {}) for name in RULES] + list(ODD.items()))
def test_a_rule_is_what_numbers_say_and_one_graph_over_elements(name, other):
    """Both halves as Python runs them; that the compiler keeps to a graph is shown on a few below."""
    cls, h = CLASSES[name], defaults(name) | other
    torch.manual_seed(0)
    p, q = (torch.linspace(-1, 1, 7, dtype=torch.float64) for _ in range(2))
    s, r = cls.init(p), cls.init(q)
    known = halves = None
    for t in range(1, 7):
        g, h["lr"] = torch.randn(7, dtype=torch.float64), h["lr"] * 0.9
        change, r = cls.update(g, q, r, t, h)
        arithmetic.subtract_(q, 1.0 if cls.whole_step else h["lr"], change)
        if not compiled.steady(cls, s, t, h):
            assert t == 1
            change, s = cls.update(g, p, s, t, h)
            arithmetic.subtract_(p, 1.0 if cls.whole_step else h["lr"], change)
            continue
        rule = compiled.Rule.of(cls, p, s, h)
        known = known or rule
        assert rule == known
        halves = halves or compiled.split(rule.trace())
        alone, rest, inputs = halves
        count = len(inputs) - 3 - len(rule.vectors)
        values = alone(t, *(h[k] for k in rule.changing), *(s[k] for k in rule.numbers))
        assert all(not isinstance(value, torch.Tensor) for value in values)
        numbers = [torch.tensor(float(value), dtype=torch.float64) for value in values[:count]]
        rest(g, len(p), *numbers, p, *(s[k] for k in rule.vectors))
        s.update(zip(rule.numbers, values[count:], strict=True))
    torch.testing.assert_close([p, s], [q, r], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.filterwarnings("error:.*steps without")
@pytest.mark.slow
def test_steps_alike_and_compiles_once(name, dtype, rtol):
    ends = []
    for compile in False, True:
        task = Task(dtype)
        optimizer = task.make(name, compile=compile)
        run(task, optimizer, 2)
        built = compiled.build.cache_info().misses
        for _ in range(8):
            optimizer.param_groups[0]["lr"] *= 0.8
            run(task, optimizer, 1)
        assert compiled.build.cache_info().misses == built
        ends.append(task.weights())
    torch.testing.assert_close(*ends, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("copies", ["state_dict", copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_goes_on_to_the_bit(name, copies):
    task, other = Task(), Task()
    optimizer = task.make(name, compile=True)
    run(task, optimizer, 3)
    if copies == "state_dict":
        twin = other.make(name, compile=True)
        other.model.load_state_dict(task.model.state_dict())
        kept = optimizer.state_dict()
        twin.load_state_dict(kept)
    else:
        other.model, twin = copies((task.model, optimizer))
        other.params = other.objective.params = list(other.model.parameters())
    end = run(task, optimizer, 3)
    torch.testing.assert_close(run(other, twin, 3), end, rtol=0, atol=0)
    assert twin.compile


def test_leaves_a_state_dict_as_it_was():
    task = Task()
    optimizer = task.make("NAdam", compile=True)
    run(task, optimizer, 3)
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    run(task, optimizer, 2)
    optimizer.load_state_dict(state)
    run(task, optimizer, 2)
    torch.testing.assert_close(state["state"], kept["state"], rtol=0, atol=0)


@pytest.mark.slow
def test_keeps_up_with_what_a_user_does_to_parameters():
    ends = []
    for compile in False, True:
        task = Task()
        *first, weight, bias = task.params
        optimizer = task.make("NAdam", first, compile=compile)
        run(task, optimizer, 2)
        optimizer.add_param_group({"params": [weight, bias], "lr": 0.1, "beta1": 0.5})
        run(task, optimizer, 2)
        for p in task.params:
            p.data = p.data.clone()
        first[0].requires_grad_(False)
        run(task, optimizer, 2)
        first[0].requires_grad_(True)
        weight.data = weight.data.T.contiguous().T
        run(task, optimizer, 2)
        weight.data = weight.data.contiguous()
        run(task, optimizer, 2)
        optimizer.param_groups[1]["weight_decay"] = 0.1
        run(task, optimizer, 2)
        optimizer.param_groups[0]["lr"] = torch.tensor(0.01)
        ends.append(run(task, optimizer, 2))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-8)


def test_sees_that_the_same_memory_has_another_shape():
    ends = []
    for compile in False, True:
        p = torch.nn.Parameter(torch.arange(12.0).view(3, 4))
        optimizer = optimizers.SGD([p], compile=compile)
        for shape in (lambda x: x, lambda x: x.T, lambda x: x):
            p.data = shape(p.data)
            p.grad = torch.linspace(-1, 2, 12).view(p.shape)
            optimizer.step()
        p.data = p.data.reshape(-1)[:5]
        p.grad = torch.ones(5)
        optimizer.step()
        ends.append(p.detach().clone())
    torch.testing.assert_close(*ends)


def test_refuses_a_state_that_is_not_like_the_parameters():
    class Counting(optimizers.Optimizer):
        """Keeps a tensor of its own shape.

        References:
            None.
        """

        hyper = dict(lr=0.1)

        @staticmethod
        def init(p):
            return {"n": torch.zeros(1)}

        @staticmethod
        def update(g, p, s, t, h):
            return g, {"n": s["n"] + 1}

    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    optimizer = Counting([p], compile=True)
    with pytest.warns(UserWarning, match="Counting: steps without compile=true: its state is not like its parameters"):
        optimizer.step()
    assert optimizer.state[p]["n"] == 1 and torch.equal(p, torch.full((3,), 0.9))


def test_tells_autograd_that_parameters_have_moved():
    p = torch.nn.Parameter(torch.ones(3))
    loss = (p * p).sum()
    p.grad = torch.ones(3)
    optimizers.SGD([p], compile=True).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize(
    ("name", "hyper"), [("LARS", {}), ("LBFGS", {}), ("Prodigy", {}), ("Rprop", {"form": "iplus"})]
)
def test_says_once_what_does_not_compile(name, hyper):
    task, alone = Task(), Task()
    with pytest.warns(UserWarning, match=f"{name}: steps without compile=true: it is not element-wise") as caught:
        optimizer = task.make(name, compile=True, **hyper)
        end = run(task, optimizer, 3)
    assert len(caught) == 1
    torch.testing.assert_close(run(alone, alone.make(name, **hyper), 3), end, rtol=0, atol=0)


def test_steps_without_a_compiler(monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    missing = config.patch({"cpp.cxx": ("no-such-compiler",)})
    task, alone = Task(), Task()
    with pytest.warns(UserWarning, match="Signum: steps without compile=true: ") as caught, missing:
        end = run(task, task.make("Signum", compile=True), 3)
    assert len(caught) == 1
    torch.testing.assert_close(run(alone, alone.make("Signum"), 3), end, rtol=0, atol=0)


@pytest.mark.filterwarnings("error:.*steps without")
@pytest.mark.slow
def test_the_optimizer_inside_another_compiles():
    task, other = Task(), Task()
    optimizer = task.make("SAM", compile=True)
    assert optimizer.inner.compile
    torch.testing.assert_close(run(task, optimizer, 3), run(other, other.make("SAM"), 3), rtol=1e-12, atol=1e-13)


def test_trains(optbench, tmp_path):
    losses = []
    for given in "false", "true":
        optbench("train", "optimizer=sgd", f"optimizer.compile={given}", *SMALL, f"hydra.run.dir=run_{given}")
        losses.append(records.read(tmp_path / f"run_{given}").metrics["train_loss"])
    pandas.testing.assert_series_equal(*losses, rtol=1e-5)
