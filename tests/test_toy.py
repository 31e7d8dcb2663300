"""An optimizer of the user's own, one class and one yaml, is found by everything, without another edit."""

import csv
import json
from functools import partial

import pytest
import torch
from small import SMALL

from optbench import records
from optbench.commands.list import LISTS
from optbench.surfaces import descend

CLASS = '''
"""A toy."""

import torch

from optbench.checks import Decay, Rate
from optbench.optimizers import Optimizer


class Toy(Optimizer):
    """Sign of a mean of the gradients.

    References:
        Nobody, A Toy, 2026, https://example.org
    """

    lr: Rate = 0.01
    beta: Decay = 0.8

    @staticmethod
    def init(p):
        return {"m": torch.zeros_like(p)}

    @staticmethod
    def update(g, p, s, t, h):
        m = s["m"].lerp(g, 1 - h["beta"])
        return m.sign(), {"m": m}
'''
YAML = """
_target_: toys.Toy
_partial_: true
lr: 0.005
search:
  lr: {low: 1.0e-4, high: 1.0e-1, log: true}
"""


ALONE = ["hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep"]


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """The folder of the toy's config; its class can be imported."""
    (tmp_path / "toys.py").write_text(CLASS)
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    (tmp_path / "conf" / "optimizer" / "toy.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "conf"


def test_it_is_listed(optbench, conf, capsys):
    optbench("list", "hyperparameters", "--config-dir", conf, "--json")
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["toy"]["hyperparameters"] == {"lr": 0.005, "beta": 0.8} and "adam" in rows


def test_it_has_properties(conf):
    (toy,) = LISTS["optimizers"]([conf])
    assert (toy["name"], toy["class"], toy["year"]) == ("toy", "Toy", 2026)


def test_it_gets_a_certificate(optbench, conf, tmp_path):
    optbench("certify", "toy", "sgd", "--config-dir", conf, "--out", "out")
    with (tmp_path / "out" / "certificates.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["optimizer"] == "Toy"]
    assert [row["verdict"] for row in rows] == ["paper recurrence only"]
    assert float(rows[0]["largest difference"]) <= 1e-9


def test_a_sweep_over_all_finds_it(optbench, conf, tmp_path, capsys):
    others = ",".join(f"{letter}*" for letter in "abcdefghijklmnopqrsuvwxyz")
    few = f"optimizer=glob(*,exclude=[{others}])"
    optbench("train", "-m", "study=all", "--config-dir", conf, *SMALL, few, "seed=0,1", *ALONE)
    runs = records.find(tmp_path / "sweep")
    assert {run.config["optimizer"]["_target_"] for run in runs} == {"toys.Toy"}
    assert [run.config["seed"] for run in runs] == [0, 1]
    assert {run.status["status"] for run in runs} == {"done"}
    assert all(run.config["optimizer"]["lr"] == 0.005 for run in runs)
    assert all(run.metrics["train_loss"].iloc[-1] < run.metrics["train_loss"][0] for run in runs)
    assert "Toy" in capsys.readouterr().out


def test_it_descends_a_surface(conf):
    toy = __import__("toys").Toy
    path = descend(lambda x: (x**2).sum(), partial(toy, lr=0.1), torch.tensor([-1.0, 0.5]), 3)
    torch.testing.assert_close(path[-1], torch.tensor([-0.7, 0.2]))
