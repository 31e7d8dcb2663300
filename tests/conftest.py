import os
import shutil
import sys
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from optbench import records
from optbench.commands import main as cli
from optbench.optimizers import compiling
from optbench.training import compiled

# torch keeps what it compiled for one kind of processor, and finds it again for another, where it does not compile
KIND = os.environ.get("ATEN_CPU_CAPABILITY", "native")
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"optbench_tests_{KIND}"))

# submitit's import closes all handlers of logging, and one of them closes the file that pytest writes to
os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--enable-unsafe-swiftshader",
    "--window-size=1400,1000",
)


@pytest.fixture(scope="session")
def browser():
    """A real browser without a screen and without a network."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture
def optbench(monkeypatch, tmp_path):
    """The command, typed in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optbench", *map(str, arguments)])
        cli.main()

    return run


@pytest.fixture
def as_written(monkeypatch):
    """What is to be compiled runs as it is written, which takes no time; return what was asked for."""
    asked = []
    monkeypatch.setattr(compiling, "compiled", lambda step, *example, options: asked.append(step) or step)
    monkeypatch.setattr(compiled, "COMPILED", {})
    return asked


@pytest.fixture(scope="session")
def type_in():
    """Type the command in a folder: this process has imported everything, with which one of its own would begin."""

    def run(folder, *arguments, environment=()):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["optbench", *map(str, arguments)])
            for name, value in dict(environment).items():
                patch.setenv(name, value)
            cli.main()

    return run


@pytest.fixture(scope="session")
def swept(type_in, tmp_path_factory):
    """A sweep of two optimizers, two learning rates of which one diverges, and two seeds, with its report."""
    folder = tmp_path_factory.mktemp("swept")
    overrides = """
        data.train_size=600 data.test_size=200 data.subset=balanced trainer.max_epochs=2 model.hidden=[16]
        optimizer=sgd,adam optimizer.lr=0.01,1e12 seed=0,1 figures=[curves,steps,landscape]
        hydra.launcher.n_jobs=1 hydra.sweep.dir=. replicas=off
    """
    type_in(folder, "train", "-m", *overrides.split())
    return folder


@pytest.fixture
def write(tmp_path):
    """Write a run in tmp_path from its overrides and the measures of each epoch; the optimizer is `optimizer=`'s."""

    def run(name, overrides, epochs, status="done", **config):
        typed = dict(override.split("=") for override in overrides)
        target = "optbench.optimizers." + {"sgd": "SGD", "adam": "Adam"}.get(typed["optimizer"], "Adam")
        config = {
            "name": "written",
            "seed": int(typed["seed"]),
            "optimizer": {"_target_": target},
            "figures": [],
            **config,
        }
        config |= {"data": {"_target_": "optbench.data.MNIST"}, "model": {"_target_": "optbench.models.mlp"}} | config
        (tmp_path / name).mkdir()
        record = records.Record(tmp_path / name, config, overrides)
        for epoch, measures in enumerate(epochs):
            record.evaluation({"epoch": epoch, "step": 10 * epoch, "train_seconds": epoch, **measures})
        record.finish(status)
        return tmp_path / name

    return run


WHOLE = {"browser", "optbench", "runs", "swept"}
"""Fixtures of whole commands, trained runs and pages: whatever uses one is slow."""


def seconds(item):
    """About how long a test takes: a slow one as its mark says, or three."""
    mark = item.get_closest_marker("slow")
    if mark is None:
        return 0
    return mark.args[0] if mark.args else 3


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what is slow, and begin with what takes longest: the quick ones then fill what is left of either process."""
    for item in items:
        if WHOLE & set(item.fixturenames) and not seconds(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=seconds, reverse=True)
