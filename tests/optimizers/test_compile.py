"""Compiled steps: `compile="update"`, and torch.compile around a step of ours."""

import copy
import inspect
import pickle

import pytest
import torch
from tasks import Task, run

from optbench.checks import UserError
from optbench.optimizers import CLASSES, Optimizer, base, compiling
from optbench.optimizers.halves import halve

KERNELS = ["SGD", "NAdam", "AggMo"]  # no state, a number in it, and one whose first step decides what it holds
WHOLE = ["LAMB", "Muon"]
TRACED = [name for name, cls in CLASSES.items() if cls.by_update() or name == "Rprop"]
UNTRACED = {"Shampoo", "SOAP", "PSGDKron"}
"""Rules whose steps differ by what the step is."""
TRAINED = ["SGD", "Momentum", "Adam", "NAdam", "LAMB", "Lookahead", "Prodigy"]
AROUND = [name for name, cls in CLASSES.items() if cls.by_update() or name in TRAINED]


def numbers(name):
    return {k: 50 if v is inspect.Parameter.empty else v for k, v in CLASSES[name].hyper.items()}


@pytest.mark.parametrize("name", [name for name in TRACED if name not in UNTRACED])
def test_a_step_is_what_numbers_say_and_one_graph_over_elements(name, monkeypatch):
    """Both halves as Python runs them; that the compiler keeps to a graph is shown on a few below."""
    monkeypatch.setattr(compiling, "KERNELS", {})
    monkeypatch.setattr(compiling, "compiled", lambda step, *example: step)
    ends = []
    for compile in False, "update":
        task = Task()
        optimizer = task.make(name, compile=compile)
        for _ in range(5):
            run(task, optimizer, 1)
            optimizer.param_groups[0]["lr"] *= 0.9
        assert optimizer.compile is bool(compile)
        assert (optimizer.uncompiled() == "") is bool(compile)
        ends.append((task.weights(), [optimizer.state[p] for p in task.params]))
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-14)
    kinds = [[type(x) for x in s.values()] for s in ends[0][1]], [[type(x) for x in s.values()] for s in ends[1][1]]
    assert kinds[0] == kinds[1]


def test_what_depends_on_numbers_alone_is_no_part_of_the_kernel():
    class Rule(Optimizer):
        """A rule with a number in its state."""

        hyper = dict(lr=0.1)

        @staticmethod
        def init(p):
            return {"product": 1.0}

        @staticmethod
        def update(g, p, s, t, h):
            return 0.9**t / (1 - 0.5**t) * g, {"product": s["product"] * h["lr"]}

    p = torch.ones(3)
    halves = halve(Rule, [Rule.hyper], p, Rule.init(p))
    known, renewed = halves.numbers(2, 0.1, 3.0)
    assert len(known) == halves.needs == 2 and renewed == pytest.approx([0.3])
    torch.testing.assert_close(halves.tensors(p, p, *map(torch.tensor, known)), (0.1 * 0.81 / 0.75 * p,))
    assert "pow" not in halves.tensors.code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, torch.float64) for name in (*KERNELS, *WHOLE)] + [(name, torch.float32) for name in ("NAdam", "Muon")],
)
@pytest.mark.filterwarnings("error:.*steps without")
def test_steps_alike_and_compiles_once(name, dtype):
    ends = []
    rtol = 1e-12 if dtype is torch.float64 else 1e-5
    for compile in False, "update":
        task = Task(dtype)
        optimizer = task.make(name, compile=compile)
        run(task, optimizer, 2)
        for _ in range(8):
            optimizer.param_groups[0]["lr"] *= 0.8
            run(task, optimizer, 1)
        assert len(optimizer._programs) == bool(compile)
        ends.append(task.weights())
    torch.testing.assert_close(*ends, rtol=rtol, atol=rtol / 10)


@pytest.mark.slow
@pytest.mark.parametrize("copies", ["state_dict", copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_goes_on_to_the_bit(copies):
    task, other = Task(), Task()
    optimizer = task.make("NAdam", compile=True)
    run(task, optimizer, 3)
    if copies == "state_dict":
        twin = other.make("NAdam", compile=True)
        other.model.load_state_dict(task.model.state_dict())
        twin.load_state_dict(optimizer.state_dict())
    else:
        other.model, twin = copies((task.model, optimizer))
        other.params = other.objective.params = list(other.model.parameters())
    end = run(task, optimizer, 3)
    torch.testing.assert_close(run(other, twin, 3), end, rtol=0, atol=0)
    assert twin.compile


@pytest.mark.slow
@pytest.mark.filterwarnings("error:.*steps without")
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
        first[0].grad = None
        run(task, optimizer, 2)
        first[0].requires_grad_(True)
        weight.data = weight.data.T.contiguous().T
        run(task, optimizer, 2)
        optimizer.param_groups[1]["weight_decay"] = 0.1
        run(task, optimizer, 2)
        optimizer.param_groups[0]["lr"] = torch.tensor(0.01)
        ends.append(run(task, optimizer, 2))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-8)


def test_keeps_what_is_compiled_and_gives_up_where_that_never_ends(monkeypatch):
    """A parameter that has a gradient in every other step compiles nothing anew."""
    made = []
    monkeypatch.setattr(compiling, "KERNELS", {})
    monkeypatch.setattr(compiling, "compiled", lambda step, *example: made.append(step) or step)
    monkeypatch.setattr(base, "PROGRAMS", 3)
    task, alone = Task(), Task()
    pairs = [(task, task.make("NAdam", compile=True)), (alone, alone.make("NAdam"))]

    def step(still):
        for own, optimizer in pairs:
            own.objective()
            for i in still:
                own.params[i].grad = None
            optimizer.step()

    for still in [()] * 3 + [(0,), ()] * 4:
        step(still)
    assert len(made) == 2 and pairs[0][1].compile  # though the first parameter is a step behind, with other numbers
    step((1,))
    with pytest.warns(UserWarning, match="NAdam: steps without compile: which parameters move"):
        step((2,))
    step((3,))
    assert len(made) == 3
    other = Task()
    run(other, other.make("NAdam", compile=True), 3)
    assert len(made) == 3  # another run finds what is compiled
    torch.testing.assert_close(task.weights(), alone.weights(), rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("error:.*steps without")
def test_takes_no_parameter_for_another_that_has_other_states(monkeypatch):
    """A vector and a matrix that move by turns, each with a state of its own kind."""
    monkeypatch.setattr(compiling, "KERNELS", {})
    monkeypatch.setattr(compiling, "compiled", lambda step, *example: step)
    ends = []
    for compile in False, True:
        task = Task()
        optimizer = task.make("Muon", compile=compile)
        run(task, optimizer, 1)
        for still in (0, 1, 0, 1):
            task.objective()
            for p in task.params[still::2] + task.params[2:]:
                p.grad = None
            optimizer.step()
        ends.append(task.weights())
    assert optimizer.compile
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [("LBFGS", {}), ("Prodigy", {}), ("Rprop", {"form": "iplus"}), ("KFAC", {}), ("Sophia", {})]
    + [(name, {}) for name in sorted(UNTRACED)],
)
def test_says_once_what_does_not_compile(name, hyper):
    task, alone = Task(), Task()
    with pytest.warns(UserWarning, match=f"^{name}: steps without compile: ") as caught:
        optimizer = task.make(name, compile=True, **hyper)
        end = run(task, optimizer, 3)
    assert len([x for x in caught if "without compile" in str(x.message)]) == 1
    torch.testing.assert_close(run(alone, alone.make(name, **hyper), 3), end, rtol=0, atol=0)


@pytest.mark.slow
def test_steps_without_a_compiler(monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    missing = config.patch({"cpp.cxx": ("no-such-compiler",)})
    task, alone = Task(), Task()
    with pytest.warns(UserWarning, match="^Signum: steps without compile: ") as caught, missing:
        end = run(task, task.make("Signum", compile=True), 3)
    assert len(caught) == 1
    torch.testing.assert_close(run(alone, alone.make("Signum"), 3), end, rtol=0, atol=0)


@pytest.mark.parametrize("value", ["yes", "step", 1, None])
def test_refuses_another_way_to_compile(value):
    with pytest.raises(UserError, match="^SGD: compile="):
        CLASSES["SGD"](Task().params, compile=value)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "whole"), [(name, False) for name in AROUND] + [(name, True) for name in TRAINED])
def test_keeps_its_state_under_torch_compile(name, whole):
    """Around the step, and around a whole step of training; no parameter is taken for another."""
    ends = []
    for wrap in (lambda f: f, lambda f: torch.compile(f, backend="eager")):
        torch.compiler.reset()
        task = Task()
        optimizer = task.make(name, task.params if whole else task.params[:2])  # each is traced: a matrix and a vector

        def train(task=task, optimizer=optimizer):
            task.model.zero_grad()
            task.loss().backward()
            optimizer.step()

        step = wrap(train) if whole else wrap(optimizer.step)
        for _ in range(4 if name in UNTRACED else 3):
            if not whole:
                task.objective()
            step()
        ends.append((task.weights(), [s["step"] for s in optimizer.state.values()]))
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)
