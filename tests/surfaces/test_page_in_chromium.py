"""The page, opened in a real browser without a network."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from optbench.plots.surface_page import describe_all, page

pytestmark = pytest.mark.slow  # in a browser


@pytest.fixture(scope="module")
def shown(browser, scenes, tmp_path_factory):
    """The page with a scene over two parameters and one over one, opened."""
    drawn = [scenes("gd_vs_momentum")["mild_bowl"], scenes("challenges")["x_cos_pi_x"]]
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page([found for scene in drawn for found in describe_all([scene], "test")], "A page"))
    browser.get(file.as_uri())
    WebDriverWait(browser, 120).until(lambda b: b.execute_script("return document.body.dataset.ready"))
    return drawn


def slide(browser, step):
    browser.execute_script(
        "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", step
    )


def readout(browser):
    rows = browser.find_elements(By.CSS_SELECTOR, "#readout tr")
    return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th,td")] for row in rows]


def lines(browser, plot):
    """Number of visible lines of each optimizer's, and the points in the first of them."""
    return browser.execute_script(
        f"""const seen = {{}};
        for (const t of document.getElementById('{plot}').data)
          if (t.meta && t.visible && t.mode.includes('lines')) (seen[t.name] ??= []).push(t.x.length);
        return seen"""
    )


def test_hide_an_optimizer_and_move_through_the_steps(browser, shown):
    sgd, momentum = shown[0].tracks
    head, *rows = readout(browser)
    assert head == ["optimizer", "step", "w", "b", "f", "gradient norm", "condition number", "ground"]
    assert [row[:2] for row in rows] == [[sgd.label, "100"], [momentum.label, "100"]]
    assert {name: len(found) for name, found in lines(browser, "space").items()} == {sgd.label: 2, momentum.label: 2}

    slide(browser, 10)
    for track, row in zip(shown[0].tracks, readout(browser)[1:], strict=True):
        assert row[1] == "10"
        assert [float(x) for x in row[2:5]] == pytest.approx(
            [*track.points[10].tolist(), track.values[10].item()], rel=1e-3
        )
        assert row[7] == "valley"
    assert lines(browser, "plane")[sgd.label] == [11]

    browser.find_element(By.CSS_SELECTOR, "input[data-track='0']").click()
    assert [row[0] for row in readout(browser)[1:]] == [momentum.label]
    for plot in ("space", "plane", "loss"):
        assert lines(browser, plot).keys() == {momentum.label}
    browser.find_element(By.CSS_SELECTOR, "input[data-track='0']").click()
    assert len(readout(browser)) == 3


def test_the_surface_is_drawn_and_its_critical_points_are_named(browser, shown):
    kinds = browser.execute_script("return document.getElementById('space').data.map(t => t.type)")
    assert "surface" in kinds
    assert browser.find_elements(By.CSS_SELECTOR, "#space canvas")
    heights = browser.execute_script("return document.getElementById('space').layout.scene.zaxis.tickvals")
    assert len(heights) > 2 and min(heights) >= 0
    assert browser.find_element(By.ID, "critical").text.splitlines()[1].startswith("global minimum 0 0 0")


def test_the_plane_has_one_scale_and_marks_every_start(browser, shown):
    layout = "document.getElementById('plane')._fullLayout"
    axes = browser.execute_script(f"return ['xaxis', 'yaxis'].map(a => [{layout}[a]._length, {layout}[a].range])")
    (width, (left, right)), (height, (low, high)) = axes
    assert width / (right - left) == pytest.approx(height / (high - low), rel=0.01)
    starts = browser.execute_script(
        "const t = document.getElementById('plane').data.find(t => t.name === 'start'); return [t.x, t.y]"
    )
    assert starts == [
        list(column) for column in zip(*(track.points[0].tolist() for track in shown[0].tracks), strict=True)
    ]


@pytest.mark.parametrize("index", [0, 1])
def test_a_narrow_screen_shows_it_whole(browser, shown, index):
    size = browser.get_window_size()
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        Select(browser.find_element(By.ID, "scene")).select_by_index(index)
        whole = "return document.documentElement.scrollWidth <= 400"
        WebDriverWait(browser, 30).until(lambda b: b.execute_script(whole))  # the charts follow within a moment
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        Select(browser.find_element(By.ID, "scene")).select_by_index(0)
        browser.set_window_size(size["width"], size["height"])


def test_another_scene(browser, shown):
    Select(browser.find_element(By.ID, "scene")).select_by_index(1)
    assert browser.find_element(By.ID, "title").text == shown[1].title
    assert not browser.find_element(By.ID, "space").is_displayed()
    assert [row[0] for row in readout(browser)[1:]] == [track.label for track in shown[1].tracks]
    kinds = [
        row.text.rpartition("m ")[0].split()[1] + "m"
        for row in browser.find_elements(By.CSS_SELECTOR, "#critical tr")[1:]
    ]
    assert sorted(kinds) == ["maximum", "minimum", "minimum"]
    Select(browser.find_element(By.ID, "scene")).select_by_index(0)


def test_the_page_plays_and_asks_for_nothing_from_outside(browser, shown):
    play, step = (browser.find_element(By.ID, name) for name in ("play", "step"))
    Select(browser.find_element(By.ID, "scene")).select_by_index(1)  # of one parameter: its frames take no second each
    last = int(step.get_attribute("max"))
    slide(browser, last - 3)
    play.click()
    WebDriverWait(browser, 60).until(lambda _: play.text == "Play")
    assert step.get_attribute("value") == str(last)
    play.click()
    WebDriverWait(browser, 60).until(lambda _: 0 < int(step.get_attribute("value")) < last)
    play.click()
    assert play.text == "Play"
    requests = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in requests if name.startswith("http")] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
