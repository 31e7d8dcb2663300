"""Data of one's own: files, torch Datasets, a few lines of Python; and the sets that other packages bring."""

import sys

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from optbench.checks import UserError
from optbench.data import MNIST1D, DataModule, Digits, FromDataset, Samples, Table


class Sums(Samples):
    """A regression, of tensors."""

    def samples(self):
        x = torch.arange(60.0).reshape(20, 3)
        return x, x.sum(1)


class Thirds(Samples):
    """Three classes, of lists, with tests of their own."""

    def samples(self):
        return [[i, i * i] for i in range(9)], [i % 3 for i in range(9)], [[1, 1]], [2]


def raw(task, x, y):
    """Return data whose `load` gives just this, with two features."""
    outputs = 3 if task == "classification" else 1
    own = {"task": task, "features": 2, "outputs": outputs, "load": lambda self: ((x, y), (x, y))}
    return type("Raw", (DataModule,), own)()


def table(tmp_path, text, **keywords):
    (tmp_path / "a.csv").write_text(text)
    return Table(path=tmp_path / "a.csv", batch_size=2, **keywords)


def test_a_regression_of_tensors():
    data = Sums(batch_size=4)
    assert (data.task, data.features, data.outputs) == ("regression", 3, 1)
    data.setup()
    assert [len(x) for x, _ in data.splits.values()] == [16, 4]
    for x, y in data.splits.values():
        assert y.shape == (len(x), 1) and torch.equal(x.sum(1, keepdim=True), y)
    again = Sums(batch_size=4)
    again.setup()
    assert torch.equal(again.split("test")[0], data.split("test")[0])


def test_classes_with_tests_of_their_own():
    data = Thirds(batch_size=3)
    data.setup()
    assert (data.task, data.features, data.outputs) == ("classification", 2, 3)
    assert data.split("train")[1].tolist() == [0, 1, 2] * 3 and data.split("test")[1].tolist() == [2]


def arrays(at, count, **keywords):
    """Return a table of so many arrays in an .npz."""
    names = ("x", "y", "x_test", "y_test")[:count]
    np.savez(at / "a.npz", **{name: np.eye(6) if "x" in name else np.arange(6) % 2 for name in names})
    return Table(path=at / "a.npz", batch_size=2, **keywords)


def test_a_csv_gives_classes_for_whole_numbers_and_else_a_regression(tmp_path):
    lines = "".join(f"{i},{i % 3},{i / 2}\n" for i in range(10))
    classes = table(tmp_path, "a,kind,b\n" + lines, target="kind")
    classes.setup()
    assert (classes.task, classes.features, classes.outputs) == ("classification", 2, 3)
    numbers = table(tmp_path, "a,kind,b\n" + lines)
    assert (numbers.task, numbers.outputs) == ("regression", 1)
    forced = table(tmp_path, "a,kind,b\n" + lines, target="kind", kind="regression")
    forced.setup()
    assert forced.split("train")[1].dtype == torch.float32


def test_an_npz_gives_its_arrays_and_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.eye(6), y=np.arange(6) % 2, x_test=np.eye(6)[:2], y_test=np.array([1, 0]))
    data = Table(path=tmp_path / "a.npz", batch_size=2)
    data.setup()
    assert torch.equal(data.split("train")[0], torch.eye(6)) and data.split("test")[1].tolist() == [1, 0]
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object), y=np.arange(1))
    with pytest.raises(UserError, match="cannot be read"):
        Table(path=tmp_path / "b.npz").setup()


def test_a_torch_dataset_gives_its_items():
    x, y = torch.randn(12, 2, 3), torch.arange(12) % 4
    data = FromDataset(dataset=TensorDataset(x, y), test=TensorDataset(x[:3], y[:3]), batch_size=4)
    data.setup()
    assert (data.task, data.features, data.outputs) == ("classification", 6, 4)
    assert torch.equal(data.split("train")[0], x.reshape(12, 6)) and len(data.split("test")[0]) == 3


@pytest.mark.parametrize(
    ("task", "x", "y", "said"),
    [
        ("regression", np.zeros((4, 2)), np.zeros(4), "y of shape (4,); return shape (4, 1), as y.reshape(-1, 1)"),
        ("regression", np.zeros((4, 2)), np.zeros((4, 2)), "return shape (4, 1)"),
        ("regression", np.zeros((4, 2)), np.zeros((3, 1)), "return as many rows of both"),
        ("regression", np.zeros(4), np.zeros((4, 1)), "x of shape (4,)"),
        ("regression", np.zeros((4, 3)), np.zeros((4, 1)), "features=2"),
        ("regression", np.full((4, 2), np.nan), np.zeros((4, 1)), "x with values that are not finite"),
        ("regression", np.zeros((0, 2)), np.zeros((0, 1)), "return as many rows of both"),
        ("classification", np.zeros((4, 2)), np.zeros(4), "whole numbers"),
        ("classification", np.zeros((4, 2)), np.zeros((4, 1), int), "return shape (4,), whole numbers"),
        ("classification", np.zeros((4, 2)), np.arange(4), "classes from 0 to 3, outside 0 to 2; count them from 0"),
        ("classification", np.zeros((4, 2)), -np.arange(4), "classes from -3 to 0"),
    ],
)
def test_samples_of_other_shapes_are_refused(task, x, y, said):
    with pytest.raises(UserError) as refusal:
        raw(task, x, y).setup()
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: table(at, "a,b\n1,x\n"), "a.csv, line 2: b is 'x'; give numbers"),
        (lambda at: table(at, "a,b\n1,2\n\n1,\n"), "line 4: b is ''"),
        (lambda at: table(at, "a,b\n1,2\n1\n"), "line 3 has 1 values for 2 names"),
        (lambda at: table(at, "1,2\n3,4\n"), "begins with numbers; put a line of names above"),
        (lambda at: table(at, "a,b\n"), "has 1 lines; give a line of names, and lines of numbers below it"),
        (lambda at: table(at, ""), "has 0 lines"),
        (lambda at: table(at, "a;b\n1;2\n"), "separated by commas"),
        (lambda at: table(at, "b\n1\n0\n"), "a column of x or more"),
        (lambda at: table(at, "a,a,b\n1,2,3\n", target="a"), "has several columns 'a'"),
        (lambda at: table(at, "a,b\n1,2\n", target="c"), "has no column 'c'; there are a, b"),
        (lambda at: Table(path=at / "none.csv"), "cannot be read"),
        (lambda at: table(at, "a,b\n1,2\n3,0.5\n", kind="classification"), "not whole; give data.kind=regression"),
        (lambda at: table(at, "a,b\n1,0.5\n"), "test_fraction=0.2 of 1 samples leaves a split empty"),
        (lambda at: arrays(at, 4, test_fraction=0.5), "test_fraction=0.5 has no use, as tests are given apart"),
        (lambda at: arrays(at, 2, target="a"), "target=a is a column of a CSV, and"),
        (lambda at: FromDataset(dataset=[1, 2]), "list is no Dataset of (x, y)"),
    ],
)
def test_files_and_sets_that_will_not_do_are_refused(tmp_path, make, said):
    with pytest.raises(UserError) as refusal:
        make(tmp_path).setup()
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


X = np.ones((8, 2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "samples() returns NoneType; return x, y"),
        ((X, X, X), "returns 3 values"),
        ((X, ["a", "b"] * 4), "y of <U1; return real numbers, classes as 0, 1, ..."),
        ((X + 1j, np.arange(8) % 2), "x of complex128; return real numbers"),
        (([[1, 2], [3]], [0, 1]), "x whose rows differ"),
        ((X, np.arange(7) % 2), "return as many rows of both"),
        ((np.ones((8, 0)), np.arange(8) % 2), "a column of x or more"),
        ((X, np.arange(8) % 2 + 1), "y holds 2 whole numbers from 1 to 2; count classes from 0; of amounts, give"),
        ((X, np.arange(8) % 2 - 1), "from -1 to 0; count classes from 0"),
        ((X, np.arange(8) // 2 * 100), "y holds 4 whole numbers from 0 to 300; count classes from 0"),
        ((X, np.arange(8)), "y holds 8 whole numbers in 8 samples; count classes from 0"),
        ((X, np.zeros(8, int)), "y is 0 everywhere"),
    ],
)
def test_samples_that_will_not_do_are_refused(given, said):
    made = type("Mine", (Samples,), {"samples": lambda self: given})
    with pytest.raises(UserError) as refusal:
        made(batch_size=2).setup()
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("y", [np.arange(8) % 2 == 0, np.arange(8).reshape(8, 1) % 2, (np.arange(8) % 2).astype("u1")])
def test_truths_and_columns_of_whole_numbers_are_classes(y):
    data = type("Mine", (Samples,), {"samples": lambda self: (X, y)})(batch_size=2)
    data.setup()
    assert (data.task, data.outputs) == ("classification", 2) and data.split("train")[1].dtype == torch.int64


def test_an_error_in_samples_is_named_before_anything_is_written(optbench, tmp_path):
    with pytest.raises(SystemExit, match="data: KeyError: 'boom'"):
        optbench("train", "data._target_=test_samples.Raising", "hydra.run.dir=run")
    assert list(tmp_path.iterdir()) == []


class Raising(Samples):
    """Fails."""

    def samples(self):
        raise KeyError("boom")


def test_digits_are_scikit_learns():
    data = Digits()
    data.setup()
    assert (data.features, data.outputs) == (64, 10)
    assert sum(len(x) for x, _ in data.splits.values()) == 1797
    assert (data.split("train")[0].min(), data.split("train")[0].max()) == (0, 1)


@pytest.mark.slow
def test_mnist1d_is_drawn_from_the_data_seed_alone():
    first = MNIST1D(data_seed=1)
    first.setup()
    assert (first.features, first.outputs) == (40, 10)
    assert [len(x) for x, _ in first.splits.values()] == [4000, 1000]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = MNIST1D(data_seed=1)
    again.setup()
    assert torch.equal(first.split("train")[0], again.split("train")[0])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("cls", "module", "package"), [(Digits, "sklearn.datasets", "scikit-learn"), (MNIST1D, "mnist1d.data", "mnist1d")]
)
def test_a_package_that_is_missing_is_named(monkeypatch, cls, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"{package} is missing; pip install"):
        cls().setup()
