"""The page in a real browser: what a reader can do, what they see, and what it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

import planner
from planner.plan import Plan
from planner.report.files import Report, Wanted
from tests.planner.report.browsing import (
    axe_source,
    chromium,
    console_errors,
    emulate,
    in_scheme,
    open_page,
    requests,
    resize,
    serious_findings,
)
from tests.planner.report_runs import INSTANCES, bare_front, front_run, plan_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A true front of `small`, found by the engine, with a report and a brief."""
    folder = tmp_path_factory.mktemp("runs") / "small-front"
    planner.front(INSTANCES / "small", time_limit=20, output=folder)
    Report.of(folder).write(wanted=Wanted(brief=True))
    return folder


@pytest.fixture(scope="module")
def front(run: Path) -> dict[str, dict[str, float]]:
    """Points of front.json by id, read without our own code."""
    points = json.loads((run / "front.json").read_text())["points"]
    return {point["id"]: point for point in points}


@pytest.fixture(scope="module")
def shared() -> Iterator[Chrome]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(shared: Chrome, run: Path) -> Chrome:
    """The report, freshly opened on a desk-size screen."""
    resize(shared, 1280, 800)
    emulate(shared)
    console_errors(shared)
    requests(shared)
    open_page(shared, run / "report.html")
    return shared


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_source(tmp_path_factory.mktemp("axe"))


def number(text: str) -> float:
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-").split()[0])


def one(page: Chrome, selector: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, selector)


def every(page: Chrome, selector: str) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, selector)


def shown_ids(page: Chrome) -> list[str]:
    """Plans in the table in their order, without those the limits hide."""
    rows = every(page, "#points tbody tr")
    return [str(row.get_attribute("data-point")) for row in rows if row.is_displayed()]


def figure(page: Chrome, key: str) -> float:
    return number(one(page, f'#plan-figures [data-key="{key}"] dd').text)


def close(shown: float, exact: float, decimals: int) -> bool:
    """Whether a figure is the exact one rounded to that many decimals."""
    return abs(shown - exact) <= 0.5 * 10.0**-decimals * (1 + 1e-9)


def decimals(text: str) -> int:
    return len(text.partition(".")[2].split()[0]) if "." in text else 0


def scroll_to(page: Chrome, element: WebElement) -> None:
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)


# ------------------------------------------------------------------ opening


def test_it_opens_without_a_word_in_the_console_and_without_a_request(page: Chrome) -> None:
    assert console_errors(page) == []
    assert requests(page) == []


def test_the_first_screen_holds_decision_options_picture_and_proof(page: Chrome) -> None:
    for selector in ("h1", "table.options tbody tr:last-child", "figure.still svg", ".proof"):
        assert one(page, selector).rect["y"] < 800, selector


def test_the_options_are_the_points_of_the_front(
    page: Chrome, front: dict[str, dict[str, float]]
) -> None:
    rows = every(page, "table.options tbody tr")
    assert 3 <= len(rows) <= 5
    for row in rows:
        point = front[str(row.get_attribute("data-point"))]
        cells = [cell.text.splitlines()[0] for cell in row.find_elements(By.TAG_NAME, "td")]
        for text, key in zip(cells, ("cost_usd", "carbon_kgco2e", "qoe"), strict=False):
            assert close(number(text), point[key], decimals(text))


def test_every_row_of_the_table_is_its_point(
    page: Chrome, front: dict[str, dict[str, float]]
) -> None:
    table = page.execute_script(
        "return [...document.querySelectorAll('#points tbody tr')].map((row) => "
        "[row.dataset.point, ...[...row.cells].slice(1).map((cell) => cell.textContent)])"
    )
    assert {row[0] for row in table} == set(front)
    for name, cost, carbon, qoe, gap, *_ in table:
        for text, key in ((cost, "cost_usd"), (carbon, "carbon_kgco2e"), (qoe, "qoe")):
            assert close(number(text), front[name][key], decimals(text))
        assert close(number(gap), 100 * front[name]["cost_gap_relative"], 1)


# ------------------------------------------------------------------ acting


def test_a_click_on_a_dot_shows_that_plan(
    page: Chrome, run: Path, front: dict[str, dict[str, float]]
) -> None:
    before = one(page, "#plan-title").text
    dots = every(page, "#trade-plot .scatterlayer .trace.scatter .points path.point")
    scroll_to(page, one(page, "#trade-plot"))
    ids = page.execute_script(
        "return document.getElementById('trade-plot').data.find((t) => t.name === 'plans').ids"
    )
    assert len(dots) >= len(ids)
    place = page.execute_script(
        """
        const plot = document.getElementById('trade-plot'), box = plot.getBoundingClientRect();
        const trace = plot.data.find((t) => t.name === 'plans');
        const { xaxis, yaxis, _size } = plot._fullLayout;
        const at = trace.ids.map((id, i) => [id,
          box.left + _size.l + xaxis.d2p(trace.x[i]), box.top + _size.t + yaxis.d2p(trace.y[i])]);
        const apart = ([, x, y]) => Math.min(...at.filter(([, a, b]) => a !== x || b !== y)
          .map(([, a, b]) => Math.hypot(a - x, b - y)));
        return at.sort((a, b) => apart(b) - apart(a));
        """
    )
    wanted, x, y = next(row for row in place if row[0] not in before)
    ActionChains(page).move_by_offset(0, 0).perform()
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        page.execute_cdp_cmd(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1},
        )
    assert wanted in one(page, "#plan-title").text
    assert close(figure(page, "qoe"), front[wanted]["qoe"], 4)
    for key in ("cost_usd", "carbon_kgco2e"):
        text = one(page, f'#plan-figures [data-key="{key}"] dd').text
        assert close(number(text), front[wanted][key], decimals(text))
    plan = Plan.read(run / "plans" / wanted)
    llms = [
        row.find_elements(By.TAG_NAME, "td")[0].text for row in every(page, "#adaptation tbody tr")
    ]
    assert llms == [row.llm for row in plan.adoption]
    lines = page.execute_script("return document.getElementById('cost-plot').data[0]")
    assert lines["y"][-1] == "total"
    assert sum(lines["x"][:-1]) == pytest.approx(lines["x"][-1])
    assert abs(lines["x"][-1] - plan.objectives.cost_usd) <= 0.5
    for name, value in zip(lines["y"][:-1], lines["x"][:-1], strict=True):
        assert abs(value - plan.cost_lines[name]) < 1


def test_arrow_keys_step_through_the_plans_by_cost(
    page: Chrome, front: dict[str, dict[str, float]]
) -> None:
    by_cost = sorted(front, key=lambda name: front[name]["cost_usd"])
    Select(one(page, "#choose")).select_by_value(by_cost[0])
    focus = one(page, "#trade-focus")
    focus.send_keys(Keys.ARROW_RIGHT)
    assert by_cost[1] in one(page, "#plan-title").text
    focus.send_keys(Keys.ARROW_LEFT)
    assert by_cost[0] in one(page, "#plan-title").text


def test_the_headings_sort_with_mouse_and_keyboard(
    page: Chrome, front: dict[str, dict[str, float]]
) -> None:
    heading = one(page, '#points thead button[data-sort="1"]')
    scroll_to(page, heading)
    heading.click()
    ids = shown_ids(page)
    assert ids == sorted(ids, key=lambda name: front[name]["carbon_kgco2e"])
    one(page, '#points thead button[data-sort="1"]').send_keys(Keys.ENTER)
    values = [front[name]["carbon_kgco2e"] for name in shown_ids(page)]
    assert values == sorted(values, reverse=True)
    cell = one(page, '#points thead button[data-sort="1"]').find_element(By.XPATH, "..")
    assert cell.get_attribute("aria-sort") == "descending"


def test_brushing_an_axis_limits_the_table_and_a_click_clears_it(
    page: Chrome, front: dict[str, dict[str, float]]
) -> None:
    axis = one(page, '#parallel [data-axis="qoe"]')
    scroll_to(page, axis)
    half = axis.rect["height"] / 2
    ActionChains(page).move_to_element(axis).click_and_hold().move_by_offset(
        0, -int(half)
    ).release().perform()
    values = [point["qoe"] for point in front.values()]
    low, high = page.execute_script(
        "return [...document.querySelectorAll('#limits input')].filter((i) => i.dataset.at === '2')"
        ".map((i) => Number(i.value))"
    )
    assert min(values) < low < high <= max(values) + 1e-4
    shown = set(shown_ids(page))
    inside = {name for name, point in front.items() if point["qoe"] >= low}
    # The limit is written with four decimals: a plan that close to it may fall on either side.
    border = {name for name in front if abs(front[name]["qoe"] - low) < 1e-4}
    assert shown ^ inside <= border
    assert 0 < len(shown) < len(front)
    assert one(page, "#count").text == f"{len(shown)} of {len(front)} plans within the limits."
    page.find_element(By.CSS_SELECTOR, '#parallel [data-axis="qoe"]').click()
    assert len(shown_ids(page)) == len(front)


def test_limits_can_be_typed_and_cleared(page: Chrome, front: dict[str, dict[str, float]]) -> None:
    details = one(page, "details.limits > summary")
    scroll_to(page, details)
    details.click()
    middle = sorted(point["cost_usd"] for point in front.values())[len(front) // 2]
    most = one(page, '#limits input[data-at="0"][data-end="1"]')
    most.send_keys(str(middle), Keys.TAB)
    assert set(shown_ids(page)) == {n for n, p in front.items() if p["cost_usd"] <= middle}
    one(page, "#clear").click()
    assert len(shown_ids(page)) == len(front)


def test_the_other_pictures_are_a_click_away(page: Chrome) -> None:
    for pair, title in (("trade-0-2", "QoE"), ("trade-2-1", "Carbon, kgCO2e")):
        button = one(page, f'input[name="pair"][value="{pair}"]')
        scroll_to(page, button)
        button.click()
        said = page.execute_script(
            "return document.getElementById('trade-plot').layout.yaxis.title.text"
        )
        assert said.startswith(title)
    assert console_errors(page) == []


def test_the_proof_opens_by_keyboard_and_closes_with_escape(page: Chrome) -> None:
    tip, body = one(page, ".tip"), one(page, "#proof-tip")
    assert not body.is_displayed()
    page.execute_script("arguments[0].focus()", tip)
    assert "dual prices" in body.text
    tip.send_keys(Keys.ESCAPE)
    assert not body.is_displayed()


# ------------------------------------------------------------------ everybody


def test_dark_follows_the_system_and_the_button(page: Chrome) -> None:
    def paper() -> str:
        return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))

    def plot() -> str:
        return str(
            page.execute_script("return document.getElementById('cost-plot').layout.paper_bgcolor")
        )

    light = (paper(), plot())
    in_scheme(page, "dark")
    dark = (paper(), plot())
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    one(page, "#scheme").click()
    assert (paper(), plot()) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_serious_for_a_screen_reader(
    page: Chrome, axe: str, width: int, scheme: str
) -> None:
    resize(page, width, 800)
    in_scheme(page, scheme)
    assert serious_findings(page, axe) == []


def test_the_brief_has_nothing_serious_either(page: Chrome, run: Path, axe: str) -> None:
    page.get((run / "brief.html").as_uri())
    assert serious_findings(page, axe) == []
    assert requests(page) == []
    assert console_errors(page) == []


def test_a_phone_never_scrolls_sideways(page: Chrome) -> None:
    resize(page, 390, 844)
    page.refresh()
    widths = page.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]


def test_a_current_plan_stands_beside_the_options(shared: Chrome, tmp_path: Path) -> None:
    folder = front_run(tmp_path / "front", "small", 8)
    current = plan_run(tmp_path / "current", "small")
    Report.of(folder, current).write()
    open_page(shared, folder / "report.html")
    assert every(shared, "table.options tbody tr")[-1].get_attribute("data-point") == "current"
    Select(one(shared, "#choose")).select_by_value("current")
    assert close(figure(shared, "qoe"), Plan.read(current).objectives.qoe, 4)


def test_a_plan_run_has_the_same_page_without_the_trade_off(
    shared: Chrome, tmp_path: Path, axe: str
) -> None:
    folder = plan_run(tmp_path / "plan", "small")
    Report.of(folder).write()
    console_errors(shared)
    open_page(shared, folder / "report.html")
    assert console_errors(shared) == []
    assert not every(shared, "#trade-off")
    assert close(figure(shared, "qoe"), Plan.read(folder).objectives.qoe, 4)
    assert serious_findings(shared, axe) == []


@pytest.mark.parametrize("points", [1, 2])
def test_the_smallest_fronts_draw_without_a_word_in_the_console(
    shared: Chrome, tmp_path: Path, points: int
) -> None:
    folder = bare_front(tmp_path / "front", points)
    Report.of(folder).write()
    console_errors(shared)
    open_page(shared, folder / "report.html")
    assert console_errors(shared) == []
    assert len(shown_ids(shared)) == points


# ------------------------------------------------------------------ paper


def pages_of(pdf: Path) -> list[float]:
    """Width of every page in points."""
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) [\d.]+\]", pdf.read_bytes())
    return [float(width) for width in boxes]


@pytest.mark.parametrize(("paper", "width"), [("A4", 595.0), ("Letter", 612.0)])
def test_report_and_brief_print_on_both_papers(
    run: Path, tmp_path: Path, paper: str, width: float
) -> None:
    files = Report.of(run).write(tmp_path, Wanted(brief=True, pdf=True, paper=paper))
    printed = {file.name: pages_of(file) for file in files if file.suffix == ".pdf"}
    assert printed["brief.pdf"] == [pytest.approx(width, abs=1.0)]
    assert set(printed["report.pdf"]) == {printed["brief.pdf"][0]}
    assert 5 <= len(printed["report.pdf"]) <= 30


def test_paper_is_light_whatever_the_screen(page: Chrome) -> None:
    in_scheme(page, "dark")
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    emulate(page, media="print", scheme="dark")
    assert not one(page, ".bar").is_displayed()
    colour = page.execute_script("return document.getElementById('cost-plot').layout.paper_bgcolor")
    assert colour == "#ffffff"
    width = page.execute_script(
        "return Math.max(...[...document.querySelectorAll('.plot')].map((p) => p.layout.width))"
    )
    assert width <= 700
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
