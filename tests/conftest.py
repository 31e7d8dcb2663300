import shutil
import sys

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from optbench.commands import main as cli

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
