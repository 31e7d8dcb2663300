"""The report page: the same bytes for the same records, and usable in a real browser without a network."""

import pandas as pd
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from optbench.report import charts
from optbench.report.content import content
from optbench.report.page import page
from optbench.results import caption, compare, evaluations, load, read, readable
from optbench.results.race import race

pytestmark = pytest.mark.slow  # in a browser

HOSTILE = "</script><img src=x onerror='document.body.dataset.hacked=1'>"


def shown(frame, data, title="A report", raced=None):
    table = compare(frame)
    drawn = [charts.curves(frame, data), *charts.sensitivities(frame)]
    drawn += [charts.profile(raced), charts.times(raced)] if raced else []
    sentences = ["SGD is best.", HOSTILE]
    command = "optbench report 'a b'"
    return page(content(title, sentences, frame, table, readable(table), caption(frame), command, drawn))


@pytest.fixture(scope="module")
def records(swept):
    frame = load(swept)
    return frame, evaluations(frame)


@pytest.fixture(scope="module")
def file(records, swept, tmp_path_factory):
    """The page of a small sweep."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(shown(*records, HOSTILE, race(read(swept), 0.3)))
    return path


@pytest.fixture
def opened(browser, file):
    """That page, freshly opened."""
    return visit(browser, file)


def visit(browser, file):
    browser.get(file.as_uri())
    WebDriverWait(browser, 120).until(lambda b: b.execute_script("return document.body.dataset.ready"))
    return browser


def column(browser, table, place):
    rows = browser.find_elements(By.CSS_SELECTOR, f"#{table} .tabulator-row")
    return [row.find_elements(By.CSS_SELECTOR, ".tabulator-cell")[place].text for row in rows]


def lines(browser):
    script = "return document.getElementById('plot-curves').data.filter(t => t.meta).map(t => t.meta.line)"
    return browser.execute_script(script)


def test_the_same_records_give_the_same_bytes(records):
    assert shown(*records) == shown(*records)


def test_a_table_sorts_by_its_numbers_and_filters_by_words(opened):
    heading = next(h for h in opened.find_elements(By.CSS_SELECTOR, "#table .tabulator-sortable") if "loss" in h.text)
    place = [h.text for h in opened.find_elements(By.CSS_SELECTOR, "#table .tabulator-col")].index(heading.text)
    orders = set()
    for _ in range(2):
        heading.send_keys("\n")  # by the keyboard
        values = [float(text.split()[0]) for text in column(opened, "table", place) if text[0].isdigit()]
        orders |= {name for name, order in (("up", sorted(values)), ("down", sorted(values)[::-1])) if values == order}
    assert orders == {"up", "down"}
    opened.find_element(By.ID, "filter").send_keys("adam 0.01")
    assert column(opened, "table", 0) == ["Adam"]
    assert opened.find_element(By.ID, "matches").text == "1 of 4 rows"


def test_a_line_can_be_hidden_and_the_axis_is_of_what_was_trained(opened):
    before = lines(opened)
    shown = """
        const plot = document.getElementById('plot-curves'), range = plot.layout.yaxis.range;
        const drawn = plot.data.filter(t => t.meta);
        return [range, drawn.flatMap(t => t.y.slice(1))]
    """
    (low, high), trained = opened.execute_script(shown)
    length = max(trained) - min(trained)
    assert low < min(trained) and max(trained) < high and high - low < 1.1 * length
    opened.find_element(By.CSS_SELECTOR, f"input[data-line='{before[0]}']").click()
    assert lines(opened) == before[1:]
    next(b for b in opened.find_elements(By.CSS_SELECTOR, "#lines button") if b.text == "none").click()
    assert lines(opened) == []


def test_profile_and_time_to_target_have_a_plot_and_a_table_of_their_own(opened):
    for name in ("profile", "times"):
        assert opened.find_element(By.CSS_SELECTOR, f"#chart-{name} .plot svg")
        assert len(column(opened, f"table-{name}", 0)) == 4
    assert "chosen after the runs" in opened.find_element(By.CSS_SELECTOR, "#chart-times .caption").text


def test_a_command_is_copied(opened, records):
    opened.find_element(By.CSS_SELECTOR, "#table .tabulator-row button").click()
    WebDriverWait(opened, 10).until(lambda b: b.execute_script("return document.body.dataset.copied"))
    assert opened.execute_script("return document.body.dataset.copied") in compare(records[0])["command"].tolist()


def test_text_from_records_stays_text_and_nothing_is_logged(opened):
    assert HOSTILE in opened.find_element(By.TAG_NAME, "h1").text
    assert opened.execute_script("return document.body.dataset.hacked") is None
    assert [entry for entry in opened.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_is_as_wide_as_its_screen(opened, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = "return document.documentElement.scrollWidth <= arguments[0]"
        WebDriverWait(opened, 10).until(lambda b: b.execute_script(wide, width))  # charts follow within a moment
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_thousands_of_runs_stay_usable(browser, records, tmp_path):
    frame, data = records
    many = pd.concat([frame.assign(seed=frame["seed"] + 10 * i) for i in range(625)], ignore_index=True)
    evaluated = data[data["run"] < len(frame)]
    file = tmp_path / "many.html"
    file.write_text(shown(many, evaluated))
    visit(browser, file)
    assert browser.find_element(By.ID, "run-matches").text == "5000 rows"
    assert len(column(browser, "run-table", 0)) < 200  # only those in view are in the document
    browser.find_element(By.ID, "run-filter").send_keys("diverged")
    assert browser.find_element(By.ID, "run-matches").text == "2500 of 5000 rows"
