"""Lookahead and SAM around other optimizers."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from test_whole_rules import A, B, C, gradient

from optbench.checks import UserError
from optbench.optimizers import NAG, SAM, SGD, Adam, Lookahead, Momentum, Objective, RMSprop, ScheduleFreeSGD

START = np.random.default_rng(1).normal(size=(4, 3))
WRAPPERS = {
    "lookahead": partial(Lookahead, base=partial(Adam, lr=0.05), k=3),
    "sam": partial(SAM, base=partial(Momentum, lr=0.003), rho=0.1),
    "lookahead_of_sam": partial(Lookahead, base=partial(SAM, base=partial(RMSprop, alpha=0.9), rho=0.1), k=2),
    "sam_of_nag": partial(SAM, base=partial(NAG, lr=0.003)),
    "lookahead_of_schedule_free": partial(Lookahead, base=partial(ScheduleFreeSGD, lr=0.003)),
}


class Problem:
    """Half the squared distance from A W B to a target of the step, W in two parameters."""

    def __init__(self):
        self.params = [torch.nn.Parameter(torch.tensor(x)) for x in np.split(START, [1])]
        self.objective = Objective(self.loss, self.params)
        self.t = 0

    def loss(self):
        residual = torch.tensor(A) @ torch.cat(self.params) @ torch.tensor(B) - torch.tensor(C[self.t])
        return residual.square().sum() / 2

    def walk(self, optimizer, steps):
        for _ in range(steps):
            self.t += 1
            optimizer.step(self.objective)
        return torch.cat(self.params).detach()


def test_lookahead_syncs_after_every_k_steps():
    problem = Problem()
    optimizer = Lookahead(problem.params, base=partial(Momentum, lr=0.004, beta=0.8), k=4, alpha=0.3)
    slow, w, v = START, START, 0.0
    for t in range(1, 14):
        v = 0.8 * v + 0.004 * gradient(w, t)
        w = w - v
        if t in (4, 8, 12):
            slow = slow + 0.3 * (w - slow)
            w = slow
        np.testing.assert_allclose(problem.walk(optimizer, 1), w, rtol=1e-12)


@pytest.mark.parametrize("name", WRAPPERS)
def test_resumes_bit_by_bit(name):
    whole = Problem()
    expected = whole.walk(WRAPPERS[name](whole.params), 11)
    first = Problem()
    optimizer = WRAPPERS[name](first.params)
    first.walk(optimizer, 4)
    saved = copy.deepcopy([optimizer.state_dict(), [p.data for p in first.params]])
    first.walk(optimizer, 2)
    second = Problem()
    second.t = 4
    resumed = WRAPPERS[name](second.params)
    for p, data in zip(second.params, saved[1], strict=True):
        p.data.copy_(data)
    resumed.load_state_dict(saved[0])
    assert torch.equal(second.walk(resumed, 7), expected)


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_by_itself(name, duplicate):
    problem = Problem()
    optimizer = WRAPPERS[name](problem.params)
    problem.walk(optimizer, 4)
    twin = Problem()
    twin.t = 4
    twin_optimizer, twin.params = duplicate((optimizer, problem.params))
    twin.objective = Objective(twin.loss, twin.params)
    assert torch.equal(twin.walk(twin_optimizer, 5), problem.walk(optimizer, 5))


def test_groups_and_schedulers_are_those_of_the_inner_optimizer():
    problem = Problem()
    groups = [{"params": problem.params[:1], "lr": 0.0}, {"params": problem.params[1:]}]
    optimizer = SAM(groups, base=partial(SGD, lr=0.01))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    problem.walk(optimizer, 1)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0, 0.005]
    np.testing.assert_array_equal(problem.params[0].detach(), START[:1])
    assert not np.allclose(problem.params[1].detach(), START[1:])
    added = torch.nn.Parameter(torch.ones(2))
    optimizer.add_param_group({"params": [added], "lr": 1.0})
    added.grad = torch.ones(2)
    optimizer.step(lambda: 0.0)
    torch.testing.assert_close(added.detach(), torch.zeros(2))


def test_sam_takes_two_gradients_and_leaves_no_trace_of_the_perturbation():
    problem = Problem()
    optimizer = SAM(problem.params, base=partial(SGD, lr=0.0), rho=3.0, adaptive=True)
    problem.t = 1
    loss = optimizer.step(problem.objective)
    assert problem.objective.grad_evals == 2
    assert loss == problem.loss()
    np.testing.assert_array_equal(torch.cat(problem.params).detach(), START)


def test_sam_needs_a_closure():
    with pytest.raises(UserError, match=r"^SAM: step\(\) has no closure; give one that .*$"):
        SAM(Problem().params, base=SGD).step()


def test_what_the_inner_optimizer_refuses():
    with pytest.raises(UserError, match=r"^Adam: beta1=1.2 is outside \[0, 1\)$"):
        Lookahead(Problem().params, base=partial(Adam, beta1=1.2))
    with pytest.raises(UserError, match=r"^SAM: base is missing; give optimizer.base=<.*>$"):
        SAM(Problem().params)
    with pytest.raises(UserError, match=r"^Lookahead: k=0 is outside \[1, inf\)$"):
        Lookahead(Problem().params, base=SGD, k=0)
