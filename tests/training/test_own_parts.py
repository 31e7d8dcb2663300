"""A user's own model and another package's optimizer: they train, or are refused before anything is written."""

from dataclasses import dataclass

import pytest
import torch
from omegaconf import OmegaConf
from small import SMALL
from torch import nn

from optbench import records
from optbench.checks import Rate, UserError, check_call
from optbench.configs import construct
from optbench.data import LinearRegression, Samples
from optbench.optimizers import Optimizer
from optbench.optimizers.build import contender
from optbench.training.rehearsal import check_repeats

QUICK = [
    "trainer.max_epochs=1",
    "logger=none",
    "figures=[]",
    "data=linear_regression",
    "data.samples=20",
    "model=linear",
]


class Swapped(nn.Module):
    """Takes its sizes in another order than ours do."""

    def __init__(self, outputs, width=4, *, features):
        super().__init__()
        self.a, self.b = nn.Linear(features, width), nn.Linear(width, outputs)

    def forward(self, x):
        return self.b(self.a(x).relu())


class Squeezed(Swapped):
    """Loses a dimension, which would broadcast against the targets."""

    def forward(self, x):
        return super().forward(x).squeeze(1)


class Broken(Swapped):
    """Fails on its inputs."""

    def forward(self, x):
        return self.b(x)


class Sizes(nn.Linear):
    """Names its sizes otherwise."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)


class Fixed(nn.Linear):
    """Has no sizes to choose."""

    def __init__(self):
        super().__init__(1, 1)


class Frozen(Fixed):
    """Has nothing to train."""

    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


class Spoils(Fixed):
    """Changes what it is given."""

    def forward(self, x):
        return super().forward(x.mul_(0.5))


class Seeds(Fixed):
    """Begins alike for all seeds."""

    def __init__(self):
        torch.manual_seed(1)
        super().__init__()


class Unmade(nn.Linear):
    """Forgets to let its base begin."""

    def __init__(self):
        self.layer = nn.Linear(1, 1)


class Anew(Samples):
    """Draws its samples from nobody's seed."""

    def samples(self):
        return torch.randn(100, 1), torch.rand(100, 1)


class Bare(Samples):
    """Has a field, and no decorator that would make it one."""

    slope: float = 2.0

    def samples(self):
        return torch.arange(100.0)[:, None], self.slope * torch.arange(100.0)


def nothing(features, outputs):
    """Return no model."""


def falling(step, lr):
    """Return a rate below zero; the names of a schedule's arguments are free."""
    return -lr


def silent(t, eta0):
    """Return no rate."""


def fails(t, eta0):
    """Divide by zero."""
    return eta0 / 0


def swapped(eta0, t):
    """Take its arguments in another order than it is given them."""
    return eta0


class Pair(Swapped):
    """Returns its hidden layer too."""

    def forward(self, x):
        return super().forward(x), x


class Drawn(Samples):
    """Has a constructor of its own, which knows nothing of its base's fields."""

    def __init__(self, number=100):
        self.number = number

    def samples(self):
        return torch.arange(float(self.number))[:, None], torch.arange(float(self.number))


@dataclass(kw_only=True, eq=False)
class EachLoss(LinearRegression):
    """Has a loss a sample."""

    @property
    def loss(self):
        return nn.MSELoss(reduction="none")


class Constructed(Optimizer):
    """Is made as torch's own are."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})


class Rateless(torch.optim.SGD):
    """Has a learning rate without a default."""

    def __init__(self, params, lr):
        super().__init__(params, lr)


class Spoiling(Optimizer):
    """Decays its parameters behind the back of whoever moves them."""

    lr: Rate = 0.1

    @staticmethod
    def update(g, p, s, t, h):
        p.mul_(0.9)
        return g, s


class Silent(torch.optim.SGD):
    """Says nothing of the loss."""

    def step(self, closure=None):
        super().step(closure)


@pytest.mark.parametrize("name", ["Swapped", "Fixed"])
def test_a_model_is_given_its_sizes_by_name(optbench, tmp_path, name):
    optbench("train", *QUICK, f"model._target_=test_own_parts.{name}", "hydra.run.dir=run")
    assert records.read(tmp_path / "run").status["status"] == "done"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["model._target_=test_own_parts.Sizes"], "Sizes needs n_in, n_out; a model is given features=<inputs>"),
        (["model._target_=test_own_parts.Squeezed"], "Squeezed returns shape (16,) where targets of shape (16, 1)"),
        (["model._target_=test_own_parts.Broken"], "model: Broken fails on x of shape (16, 1)"),
        (["model._target_=test_own_parts.None"], "cannot be imported"),
        (["optimizer._target_=torch.optim.SparseAdam"], "SparseAdam cannot take a step of this model"),
        (["model._target_=test_own_parts.Frozen"], "Frozen has no parameters to train"),
        (["model._target_=torch.nn.LazyLinear", "model.out_features=1"], "LazyLinear has lazy layers"),
        (["model._target_=test_own_parts.Spoils"], "Spoils changes its inputs in place; compute out of place"),
        (["model._target_=test_own_parts.Seeds"], "Seeds seeds torch by itself, so that all seeds begin alike"),
        (["model._target_=test_own_parts.Unmade"], "does its __init__ begin with super().__init__()?"),
        (["model._target_=test_own_parts.nothing"], "nothing makes NoneType; it has to make a torch.nn.Module"),
        (["~model._target_"], "model names nothing to make; give model._target_=<a class>, or model=<name>"),
        (["+model.features=3"], "model: features=3 would be replaced by the data's own 1; leave it out"),
        (
            ["data._target_=torch.utils.data.TensorDataset"],
            "of a torch Dataset give data=dataset data.dataset._target_=",
        ),
        (["schedule._target_=test_own_parts.falling"], "schedule: its first rate=-"),
        (["schedule._target_=test_own_parts.silent"], "schedule: its first rate=None is not a number"),
        (["optimizer=rprop", "schedule=cosine"], "Rprop heeds its learning rate at the first step alone"),
        (
            ["optimizer=momentum", "optimizer.dampening=0.5"],
            "dampening=0.5 is of form=torch, and has no use with form=sum",
        ),
        (["trainer._target_=builtins.dict"], "trainer: builtins.dict is no Lightning Trainer"),
        (["optimizer._target_=test_own_parts.Spoiling"], "Spoiling: update changes p in place"),
        (["optimizer._target_=test_own_parts.Silent"], "step of Silent returns None; call its closure"),
        (["optimizer._target_=torch.nn.Linear"], "Linear is no torch.optim.Optimizer"),
        (["optimizer._target_=torch.optim.Adm"], "optimizer: torch.optim.Adm cannot be imported"),
        (["optimizer._target_=nix.Nix"], "nix.Nix cannot be imported: No module named 'nix'; PYTHONPATH has to name"),
        (["optimizer._target_=builtins.print"], "print is no torch.optim.Optimizer"),
        (["optimizer=lookahead", "optimizer.base._target_=nix.Nix"], "optimizer.base: nix.Nix cannot be imported"),
        (
            ["optimizer=lookahead", "optimizer.base._target_=torch.optim.Adam"],
            "Lookahead: base makes Adam, which is not built on optbench.optimizers.Optimizer",
        ),
        (["optimizer._target_=test_own_parts.Constructed"], "annotate what it takes, as `lr: Rate = 0.1`, and leave"),
        (["optimizer._target_=test_own_parts.Rateless"], "optimizer: Rateless needs lr; give optimizer.lr=<value>"),
        (["schedule._target_=test_own_parts.fails"], "schedule: ZeroDivisionError: "),
        (["schedule._target_=test_own_parts.swapped"], "schedule: it takes eta0 and t; it is given t and eta0"),
        (["model._target_=test_own_parts.Pair"], "Pair returns tuple; return the outputs alone, of shape (16, 1)"),
        (["data._target_=test_own_parts.Drawn"], "Drawn has an __init__ without `seed`; leave it out, and make its"),
        (["data._target_=test_own_parts.EachLoss"], "loss of EachLoss returns shape (16, 1); return a mean"),
        (["trainer.callbacks=[nix.Nix]"], "callbacks has 'nix.Nix'; give trainer.callbacks.<any name>._target_="),
        (["trainer.callbacks.a._target_=nix.Nix"], "trainer.callbacks: nix.Nix cannot be imported"),
        (["trainer.callbacks.a._target_=builtins.dict"], "dict is no Lightning Callback"),
        (["optimizer._target_=torch.optim.Adam", "optimizer.beta1=0.5"], "did you mean 'betas'?"),
        (["optimizer._target_=torch.optim.Adam", "optimizer.compile=true"], "is not compiled"),
        (["optimizer._target_=torch.optim.Adam", "optimizer.lr=-1"], "Invalid learning rate: -1"),
    ],
)
def test_what_does_not_fit_is_refused(optbench, tmp_path, given, said):
    with pytest.raises(SystemExit) as refusal:
        optbench("train", "-m", "optimizer=adam", *QUICK, *given)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named_as_it_is_typed():
    with pytest.raises(UserError, match="Table: path is missing; give data.path="):
        construct("data", OmegaConf.create({"_target_": "optbench.data.Table"}))


def test_data_that_are_drawn_anew_are_refused():
    first, second = Anew(), Anew()
    for data in (first, second):
        data.setup()
    with pytest.raises(
        UserError, match="Anew gives other samples each time; draw them from a generator that is seeded"
    ):
        check_repeats(first, second)
    check_repeats(first, first)


def test_a_field_without_its_decorator_is_named():
    with pytest.raises(UserError, match="Bare: slope is a field that its __init__ lacks; write @dataclass above"):
        check_call(Bare, {"slope": 3.0})


NOT_ALONE = ("Optimizer", "SparseAdam")
CLASSES = [
    name for name in torch.optim.__all__ if isinstance(getattr(torch.optim, name), type) and name not in NOT_ALONE
]


@pytest.mark.parametrize("name", CLASSES)
def test_torchs_own_rules_are_contenders(name):
    lr = {} if name == "Adafactor" else {"lr": 0.01}
    torch.manual_seed(0)
    model = nn.Linear(4, 4, bias=False)
    optimizer = contender(getattr(torch.optim, name), {"search": {}, **lr})(model.parameters())
    before = model.weight.detach().clone()

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(2, 4)).square().mean()
        loss.backward()
        return loss

    optimizer.train()
    first = float(optimizer.step(closure))
    optimizer.eval()
    assert not torch.equal(model.weight, before) and float(closure()) < first


@pytest.mark.parametrize("compile", ["update", "step"])
def test_a_contender_is_not_compiled_and_says_so(optbench, tmp_path, capsys, compile):
    given = ["optimizer._target_=torch.optim.Adam", f"compile={compile}", "hydra.run.dir=run"]
    optbench("train", *QUICK, *given)
    assert "compile: it steps as it is written (a class of another package)" in capsys.readouterr().out
    assert records.read(tmp_path / "run").status["status"] == "done"


def test_a_rule_that_is_more_than_its_update_is_not_compiled_and_says_so(optbench, tmp_path):
    optbench("train", *QUICK, "optimizer=momo", "compile=update", "hydra.run.dir=run")
    status = records.read(tmp_path / "run").status
    assert (status["path"], status["path_reason"]) == ("plain step", "a step is more than its update")


def test_modes_of_a_contenders_own_are_kept():
    schedulefree = pytest.importorskip("schedulefree")
    made = contender(schedulefree.SGDScheduleFree, {"lr": 0.1})([nn.Parameter(torch.ones(2))])
    made.train()
    assert made.param_groups[0]["train_mode"]
    with pytest.raises(UserError, match="did you mean"):
        contender(schedulefree.SGDScheduleFree, {"momentm": 0.1})


def test_a_contender_trains_beside_ours_one_by_one(optbench, tmp_path, capsys):
    given = ["optimizer=sgd", "seed=0,1,2,3", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep", "figures=[]"]
    optbench("train", "-m", *SMALL, "logger=none", *given, "optimizer._target_=torch.optim.SGD", "optimizer.lr=0.01")
    theirs = records.find(tmp_path / "sweep")
    assert {run.status["status"] for run in theirs} == {"done"}
    assert "one by one: 4 SGD (a class of others)" in capsys.readouterr().out
    optbench("train", *SMALL, "logger=none", "optimizer=sgd", "hydra.run.dir=ours")
    ours = records.read(tmp_path / "ours").steps["loss"].tolist()
    assert theirs[0].steps["loss"].tolist() == pytest.approx(ours, rel=1e-4)
