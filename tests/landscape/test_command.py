"""The command `optbench landscape`, as a user types it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from optbench import records
from optbench.landscape.curvature import Hessian, spectral_density
from optbench.landscape.directions import filter_normalised
from optbench.landscape.picture import Landscape
from optbench.landscape.solutions import DIRECTIONS, RADIUS, sharpness
from optbench.landscape.task import Task

LITTLE = ["points=4", "formats=[png]"]


@pytest.fixture
def runs(written, tmp_path):
    """Three runs of two seeds in tmp_path/runs."""
    (tmp_path / "runs").mkdir()
    for name, optimizer, seed in (("sgd", "SGD", 0), ("adam", "Adam", 0), ("adam1", "Adam", 1), ("lion", "Lion", 0)):
        written(f"runs/{name}", optimizer, seed=seed)
    return tmp_path / "runs"


@pytest.mark.slow
def test_writes_all_and_says_where_and_how_to_make_it_again(runs, optbench, capsys):
    optbench(
        "landscape",
        "runs",
        *LITTLE,
        "page_planes=[]",
        "plane=endpoints",
        "animate=gif",
        "spectrum=true",
        "barriers=true",
    )
    said = capsys.readouterr().out
    assert "again: optbench landscape runs points=4" in said and "plane=endpoints" in said
    out = runs / "landscape"
    for name in ("endpoints.png", "endpoints_space.png", "endpoints.gif", "endpoints_error.csv", "page.html"):
        assert f"runs/landscape/{name}" in said and (out / name).stat().st_size > 500
    assert {path.name for path in out.glob("*.png")} >= {"spectrum.png", "barriers.png"}
    rows = pd.read_csv(out / "endpoints_error.csv")
    assert rows["run"].unique().tolist() == ["Adam", "Lion", "SGD"] and len(rows) == 3 * 6
    one = Landscape.load(out / "values" / "endpoints_0")
    np.testing.assert_allclose(one.tracks[0].coordinates[[0, 3, 5]], [[1, 0], [0, 1], [0, 0]], atol=1e-9)
    table = pd.read_csv(out / "barriers.csv", index_col=0)
    assert list(table.columns) == [f"{n}, seed {s}" for n, s in (("Adam", 0), ("Adam", 1), ("Lion", 0), ("SGD", 0))]
    assert (table.to_numpy() == table.to_numpy().T).all() and (np.diag(table) == 0).all()

    events = EventAccumulator(str(out / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["landscape/endpoints"]
    shown = next((out / "tensorboard").rglob("metadata.tsv")).read_text().splitlines()
    assert shown[0].split("\t") == ["run", "optimizer", "seed", "status"] and len(shown) == 5
    ends = np.loadtxt(next((out / "tensorboard").rglob("tensors.tsv")))
    weights = [records.read(runs / name).trajectory[1][-1] for name in ("adam", "adam1", "lion", "sgd")]
    distance = np.linalg.norm(weights[0].astype(float) - weights[2])
    assert np.linalg.norm(ends[0] - ends[2]) == pytest.approx(distance, rel=1e-4)

    grids = {path: path.stat().st_mtime_ns for path in (out / "grids").iterdir()}
    optbench("landscape", "runs", *LITTLE, "plane=endpoints", "page=false", "space=false", "tensorboard=false")
    assert grids == {path: path.stat().st_mtime_ns for path in (out / "grids").iterdir()}
    assert (rows == pd.read_csv(out / "endpoints_error.csv")).all(axis=None)


def test_accuracy_of_the_test_split_and_a_seed(runs, optbench):
    optbench(
        "landscape",
        "runs",
        *LITTLE,
        "page_planes=[]",
        "what=accuracy",
        "split=test",
        "seed=1",
        "examples=null",
        "out=here",
    )
    rows = pd.read_csv("here/shared_accuracy_test_error.csv")
    assert set(rows["run"]) == {"Adam"} and rows["true"].between(0, 1).all()
    assert Landscape.load(Path("here/values/shared_accuracy_test")).examples == 20


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("plane=ocean", "plane='ocean' is not one of "),
        ("points=1", r"points=1 is outside \[2, 1000\]"),
        ("split=dev", "split='dev' is not one of train, val, test"),
        ("split=val", "no split 'val'"),
        ("poins=3", "no field 'poins'; did you mean 'points'"),
        ("seed=1,2", "give one value, or a list in brackets"),
        ("seed=9", "no run has the seed 9; there are 0, 1"),
        ("formats=[gif]", "formats="),
        ("formats=[svg] colours=64", "colours is of a png's palette, and formats names no png; leave it out"),
        ("page=false page_planes=[pca]", "page_planes is of a page, and page=false makes none; leave it out"),
        ("nowhere", "nowhere is no directory"),
        ("--config-dir", "is followed by no directory"),
    ],
)
def test_a_wrong_word_ends_in_one_line_and_nothing_is_written(runs, optbench, typed, message):
    with pytest.raises(SystemExit, match=message) as refusal:
        optbench("landscape", "runs", *typed.split())
    assert "\n" not in str(refusal.value)
    assert not (runs / "landscape" / "shared.png").exists()


def test_sharpness_is_that_of_the_whole_hessian():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    x, y = torch.randn(30, 4), torch.randint(3, (30,))
    made = Task(model, torch.nn.functional.cross_entropy, x, y)
    weights = torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    def loss(flat):
        return made.loss(torch.func.functional_call(model, made.named(flat), (x,)), y)

    eigenvalues = torch.linalg.eigvalsh(torch.func.hessian(loss)(weights).double())
    found = sharpness(made, weights.numpy())
    assert found.highest == pytest.approx(float(eigenvalues[-1]), rel=1e-3)
    assert abs(found.trace - float(eigenvalues.sum())) < 4 * found.trace_error
    assert 1 <= found.negative <= int((eigenvalues < 0).sum())
    here = loss(weights).item()
    rng, rises = np.random.default_rng(0), []
    for _ in range(DIRECTIONS):
        step = filter_normalised(weights.numpy(), made.shapes, rng)
        rises.append(loss(weights + RADIUS * torch.from_numpy(step).float()).item() - here)
    assert found.rise == pytest.approx(np.mean(rises), abs=1e-5)
    density = spectral_density(Hessian(made, weights), probes=40)
    assert density.weights.sum() == pytest.approx(1)
    mean = float(density.weights @ density.values)
    assert mean == pytest.approx(float(eigenvalues.mean()), abs=0.3 * float(eigenvalues.abs().mean()))
    grid = np.linspace(-5, 10, 4001)
    assert np.trapezoid(density.at(grid, 0.1), grid) == pytest.approx(1, rel=1e-3)


def test_a_report_shows_sharpness_on_request(runs, optbench, capsys):
    optbench("report", "runs", "columns=sharpness", "figures=[]")
    said = capsys.readouterr().out
    assert "eigenvalue" in said and "trace" in said
    table = pd.read_csv(runs / "report" / "table.csv")
    assert (table["sharpness_highest_mean"] > 0).all() and table["sharpness_trace_error_mean"].notna().all()
