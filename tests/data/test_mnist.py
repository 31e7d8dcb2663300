"""The files: embedded, raw, gzipped, damaged and missing."""

import functools
import gzip
import hashlib
import http.server
import runpy
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from optbench.checks import UserError
from optbench.data import IDX, MNIST, FashionMNIST, MNISTSubset, mnist
from optbench.data.idx import read_idx, write_idx
from optbench.data.known import KNOWN, Known
from optbench.data.mnist import FILES, SUBSET

CUT = Path(__file__).parents[2] / "scripts" / "cut_mnist"


def fails(function, *parts):
    with pytest.raises(UserError) as error:
        function()
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_subset_is_balanced_and_scaled():
    data = MNISTSubset()
    data.setup()
    for name, each in (("train", 1000), ("test", 200)):
        x, y = data.split(name)
        assert y.bincount().tolist() == [each] * 10
        assert (x.min(), x.max()) == (-1, 1)
    # MNIST begins with these digits
    assert data.split("train")[1][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_subset_is_small():
    assert sum(file.stat().st_size for file in mnist.SUBSET.iterdir()) <= 3_000_000


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_trips_the_checksum(name, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "SUBSET", Path(shutil.copytree(mnist.SUBSET, tmp_path / "subset")))
    file = mnist.SUBSET / f"{name}.gz"
    data = bytearray(file.read_bytes())
    data[4] ^= 1  # the time in gzip's header, which no decompression looks at
    file.write_bytes(data)
    fails(MNISTSubset().setup, str(file), "SHA-256", "install optbench anew")


def test_a_file_missing_from_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "SUBSET", tmp_path)
    fails(MNISTSubset().setup, str(tmp_path), "install optbench anew")


@pytest.mark.parametrize("val_fraction", [0.0, 0.2])
def test_balanced_means_exactly(val_fraction):
    data = MNISTSubset(subset="balanced", train_size=200, test_size=100, val_fraction=val_fraction)
    data.setup()
    for name, (_, y) in data.splits.items():
        assert y.bincount().tolist() == [{"train": 20 - 20 * val_fraction, "val": 4, "test": 10}[name]] * 10


def test_balanced_takes_no_more_than_the_rarest_class_allows(raw):
    write_idx(raw / FILES[1], np.r_[np.zeros(60), np.arange(180) % 10].astype(np.uint8))
    data = MNIST(root=raw, subset="balanced")
    data.setup()
    assert data.split("train")[1].bincount().tolist() == [18] * 10
    fails(MNIST(root=raw, subset="balanced", train_size=190).setup, "train_size=190 is more than the 180 balanced")


@pytest.mark.parametrize("folder", [".", "raw", "{}/raw"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("cls", [MNIST, FashionMNIST])
def test_files_are_found_raw_and_gzipped(raw, tmp_path_factory, cls, folder, zipped):
    root = tmp_path_factory.mktemp("root")
    place = root / folder.format(cls.__name__)
    place.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        write_idx(place / (f"{name}.gz" if zipped else name), read_idx(raw / name))
    data = cls(root=str(root))
    data.setup()
    images = torchvision.datasets.mnist.read_image_file(str(raw / FILES[0]))
    normalize = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize((0.5,), (0.5,))]
    )
    expected = torch.stack([normalize(image.numpy()[:, :, None]).flatten() for image in images])
    assert torch.equal(data.split("train")[0], expected)
    labels = torchvision.datasets.mnist.read_label_file(str(raw / FILES[1]))
    assert torch.equal(data.split("train")[1], labels)


def damage(data, how):
    return {
        "empty": b"",
        "header cut short": data[:7],
        "data cut short": data[:-1],
        "too long": data + b"\0",
        "another type": b"\0\0\x0d" + data[3:],
        "text": b"<html>not found</html>",
        "gzip cut short": gzip.compress(data)[:-9],
        "gzip with a flipped byte": gzip.compress(data)[:-8] + bytes(8),
        "no deflate": gzip.compress(data)[:10] + b"\xff" * 90,
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "header cut short",
        "data cut short",
        "too long",
        "another type",
        "text",
        "gzip cut short",
        "gzip with a flipped byte",
        "no deflate",
    ],
)
def test_a_damaged_file_is_named(raw, how):
    file = raw / FILES[2]
    file.write_bytes(damage(file.read_bytes(), how))
    fails(MNIST(root=raw).setup, str(file), "remove it to download it anew, or replace it")


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        ((240, 28, 27), (240,), ["uint8 of shape (240, 28, 27), no images of 784 bytes"]),
        ((240,), (240,), ["uint8 of shape (240,), no images"]),
        ((240, 28, 28), (239,), ["240 images", "239 labels", "replace both"]),
        ((0, 28, 28), (0,), ["0 images", "0 labels", "replace both"]),
        ((240, 28, 28), (240, 28, 28), ["of shape (240, 28, 28), no labels"]),
    ],
)
def test_files_that_do_not_fit_together(raw, images, labels, said):
    write_idx(raw / FILES[0], np.zeros(images, np.uint8))
    write_idx(raw / FILES[1], np.zeros(labels, np.uint8))
    fails(MNIST(root=raw).setup, str(raw / FILES[int(len(labels) > 1)]), *said)


def test_labels_out_of_range_name_the_range_and_the_remedy(raw):
    write_idx(raw / FILES[3], np.arange(1, 61, dtype=np.uint8) % 26 + 1)
    said = "labels from 1 to 26, outside 0 to 9; give data=idx data.classes=26 data.first_label=1"
    fails(MNIST(root=raw).setup, str(raw / FILES[3]), said)


def test_numbers_of_another_type_are_named(raw):
    floats = b"\x00\x00\x0d\x03" + np.array([2, 28, 28], ">u4").tobytes() + np.zeros(2 * 784, ">f4").tobytes()
    (raw / FILES[0]).write_bytes(floats)
    fails(MNIST(root=raw).setup, str(raw / FILES[0]), "float32 of shape (2, 28, 28), no images of 784 bytes")


def test_all_four_files_come_from_one_folder(raw, tmp_path):
    for name in FILES[2:]:
        (raw / "raw").mkdir(exist_ok=True)
        (raw / name).rename(raw / "raw" / name)
    data = MNIST(root=raw)
    data._download = lambda missing: None  # as where there is no network
    assert data.paths() == []
    for name in FILES[:2]:
        write_idx(raw / "raw" / f"{name}.gz", read_idx(raw / name))
    assert {path.parent for path in data.paths()} == {raw / "raw"} and len(data.paths()) == 4


@pytest.mark.parametrize(("cls", "other"), [(MNIST, "FashionMNIST"), (FashionMNIST, "MNIST")])
@pytest.mark.parametrize("file", [1, 3])
def test_labels_of_the_other_set_are_refused(raw, cls, other, file):
    labels = read_idx(raw / FILES[file]).copy()
    labels[:20] = KNOWN[other].labels[file // 2]
    write_idx(raw / FILES[file], labels)
    fails(cls(root=raw).setup, str(raw / FILES[file]), f"is {other}'s, not {cls.source}'s")
    write_idx(raw / FILES[file], np.roll(labels, 1))
    cls(root=raw).setup()


def test_digits_are_no_clothes(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes((SUBSET / f"{name}.gz").read_bytes())
    MNIST(root=tmp_path, train_size=100).setup()
    fails(FashionMNIST(root=tmp_path).setup, "is MNIST's, not FashionMNIST's; give data=mnist")
    for name in FILES[1::2]:  # its images are known without their labels
        write_idx(tmp_path / name, np.zeros(10_000 if name.startswith("train") else 2_000, np.uint8))
    fails(FashionMNIST(root=tmp_path).setup, "train-images-idx3-ubyte is MNIST's")


def test_published_checksums_tell_whose_file_it_is(raw, monkeypatch):
    path = raw / FILES[2]
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(KNOWN, "KMNIST", Known((digest,)))
    fails(MNIST(root=raw).setup, f"{path} is KMNIST's, not MNIST's; give data=idx")


def test_files_of_ones_own_have_classes_and_sizes_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / name for name in "abcd"]
    for i, samples in enumerate((52, 26)):
        write_idx(paths[2 * i], rng.integers(0, 256, (samples, 8, 8), dtype=np.uint8))
        labels = np.stack([np.arange(samples) % 26 + 1, np.zeros(samples)], 1).astype(">i4")
        header = b"\x00\x00\x0c\x02" + np.array(labels.shape, ">u4").tobytes()
        paths[2 * i + 1].write_bytes(header + labels.tobytes())  # QMNIST's type, the class in the first column
    names = ("train_images", "train_labels", "test_images", "test_labels")
    given = dict(zip(names, paths, strict=True))
    data = IDX(**given, classes=26, first_label=1, batch_size=13)
    assert (data.features, data.outputs) == (64, 26)
    data.setup()
    assert data.split("train")[1].tolist() == [*range(26), *range(26)]
    fails(IDX(**given).setup, "labels from 1 to 26", "data.classes=26 data.first_label=1")


def test_no_files_and_no_network_names_both_remedies(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    fails(
        FashionMNIST(root=tmp_path).setup,
        f"FashionMNIST: no train-images-idx3-ubyte in data.root={tmp_path}",
        "put the four IDX files there, or run once with a network",
    )
    assert not list(tmp_path.iterdir())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(raw, tmp_path_factory):
    """The address of a server of the gzipped files."""
    folder = tmp_path_factory.mktemp("server")
    for name in FILES:
        write_idx(folder / f"{name}.gz", read_idx(raw / name))
    with http.server.HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


def test_missing_files_are_downloaded_once(address, tmp_path_factory, monkeypatch):
    url, folder = address
    sums = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in folder.iterdir()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [url])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", sums)
    root = tmp_path_factory.mktemp("root")
    MNIST(root=root).setup()
    shutil.rmtree(folder)
    data = MNIST(root=root)
    data.setup()
    assert len(data.split("train")[0]) == 240
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == sorted(FILES)


def test_cut_takes_the_first_for_training_and_spreads_the_test(raw, tmp_path_factory, monkeypatch):
    outs = [tmp_path_factory.mktemp("out") for _ in range(2)]
    for out in outs:
        monkeypatch.setattr(sys, "argv", ["cut_mnist", str(raw), "--out", str(out), "--train", "100", "--test", "20"])
        runpy.run_path(str(CUT))
    assert {f.name: f.read_bytes() for f in outs[0].iterdir()} == {f.name: f.read_bytes() for f in outs[1].iterdir()}
    x, y, x_test, y_test = (read_idx(outs[0] / f"{name}.gz") for name in FILES)
    full_x, full_y, full_test, full_labels = (read_idx(raw / name) for name in FILES)
    ranks = np.array([(full_y[:i] == label).sum() for i, label in enumerate(full_y)])
    assert np.array_equal(x, full_x[ranks < 10]) and np.array_equal(y, full_y[ranks < 10])
    ranks = np.array([(full_labels[:i] == label).sum() for i, label in enumerate(full_labels)])
    assert np.array_equal(x_test, full_test[ranks % 3 == 0]) and np.array_equal(y_test, full_labels[ranks % 3 == 0])
