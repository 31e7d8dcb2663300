"""The page, opened in a real browser without a network."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from optbench.landscape.picture import Landscape, Projection, View
from optbench.landscape.plane import Plane
from optbench.plots.landscape_page import page

pytestmark = pytest.mark.slow

AXIS = np.linspace(-1, 1, 9)


def track(name, status="done"):
    xy = np.stack([np.linspace(0, 0.8, 5), np.linspace(0, len(name) / 10, 5)], 1)
    values = 1 + (xy**2).sum(1)
    shadows = np.where(np.arange(5) == 2, np.nan, values + 0.5)
    return Projection(name, name, status, np.arange(0, 50, 10), xy, values, shadows, np.linspace(0, 0.25, 5))


def pictures():
    grid = 1 + AXIS[:, None] ** 2 + AXIS**2
    grid[0, 0] = np.inf
    names = ("SGD", "Adam", 'a </script><b>"name"')
    for kind in ("shared", "endpoints"):
        for split in ("train", "test"):
            for what in ("loss", "accuracy") if kind == "shared" else ("loss",):
                plane = Plane(np.zeros(3), np.eye(2, 3), kind)
                tracks = tuple(track(name, "diverged" if name == "Adam" else "done") for name in names)
                yield Landscape("", plane, (View("", AXIS, AXIS, grid),), tracks, what, split, 60, "", ("seed 0",))


@pytest.fixture(scope="module")
def shown(browser, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page(list(pictures()), "A <page>", ["left out: nobody"]))
    browser.get(file.as_uri())
    WebDriverWait(browser, 120).until(lambda b: b.execute_script("return document.body.dataset.ready"))
    return file


def readout(browser):
    rows = browser.find_elements(By.CSS_SELECTOR, "#readout tr")
    return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th,td")] for row in rows]


def slide(browser, place):
    script = "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))"
    browser.execute_script(script, place)


def traces(browser, plot):
    script = f"return document.getElementById('{plot}').data.filter(t => t.meta).map(t => [t.meta.track, t.x.length])"
    return browser.execute_script(script)


def test_steps_runs_and_what_they_are(browser, shown):
    head, *rows = readout(browser)
    assert head == ["run", "step", "true loss", "on the plane", "error", "off the plane, %"]
    assert [row[0] for row in rows] == ["SGD", "Adam", 'a </script><b>"name"']
    assert rows[0][1:] == ["40", "1.73", "2.23", "0.5", "25"]
    slide(browser, 2)
    assert readout(browser)[1][1:] == ["20", "1.183", "not finite", "not finite", "12.5"]
    assert traces(browser, "contour")[0] == ["SGD", 3]
    browser.find_element(By.CSS_SELECTOR, "input[data-track='SGD']").click()
    for plot in ("contour", "space", "values", "off"):
        assert {name for name, _ in traces(browser, plot)} == {"Adam", 'a </script><b>"name"'}
    browser.find_element(By.CSS_SELECTOR, "input[data-track='SGD']").click()
    assert "Adam (diverged)" in browser.find_element(By.ID, "tracks").text
    hover = browser.execute_script("return document.getElementById('contour').data.find(t => t.meta).text[1]")
    assert "SGD, step 10" in hover and "true 1.046" in hover and "off the plane 6.25 %" in hover


def test_planes_splits_and_measures_switch(browser, shown):
    labels = lambda name: [o.text for o in Select(browser.find_element(By.ID, name)).options]  # noqa: E731
    assert labels("plane") == ["shared", "endpoints"] and labels("what") == ["loss", "accuracy"]
    Select(browser.find_element(By.ID, "split")).select_by_visible_text("test")
    Select(browser.find_element(By.ID, "what")).select_by_visible_text("accuracy")
    assert readout(browser)[0][2] == "true accuracy"
    Select(browser.find_element(By.ID, "plane")).select_by_visible_text("endpoints")
    assert labels("what") == ["loss"] and labels("split") == ["train", "test"]
    assert Select(browser.find_element(By.ID, "split")).first_selected_option.text == "test"
    title = browser.execute_script("return document.getElementById('contour').layout.xaxis.title.text")
    assert title == "towards the start"
    Select(browser.find_element(By.ID, "plane")).select_by_visible_text("shared")
    assert "Left out: nobody." in browser.find_element(By.ID, "notes").text


def test_plays_fits_a_phone_and_asks_for_nothing_from_outside(browser, shown):
    play = browser.find_element(By.ID, "play")
    play.click()
    WebDriverWait(browser, 60).until(lambda _: play.text == "Play")
    assert browser.find_element(By.ID, "shown").text == "step 40"
    phone = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    WebDriverWait(browser, 30).until(lambda b: b.execute_script("return innerWidth") == 400)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    requests = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in requests if name.startswith("http")] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
