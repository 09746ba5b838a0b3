"""The pages in a real browser: approve by keyboard, narrow and dark, no error, no stray request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from planner.history import History
from tests.planner.report.browsing import (
    axe_source,
    chromium,
    console_errors,
    emulate,
    requests,
    resize,
    serious_findings,
)
from tests.planner.serve.conftest import TOKEN, Runs
from tests.planner.serve.live import serving

pytestmark = pytest.mark.slow


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_source(tmp_path_factory.mktemp("axe"))


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """One engine is enough here: the pages do not know it."""
    return str(tmp_path / "h.db")


@pytest.fixture
def site(store_url: str, runs: Runs) -> Iterator[str]:
    with serving(store_url, PLANNER_APPROVE_TOKEN=TOKEN) as address:
        yield address


def reads(said: str) -> Callable[[Any], bool]:
    """Whether the page says so; safe while another page loads."""
    return lambda browser: said in browser.execute_script("return document.body.innerText")


def paths(runs: Runs) -> list[str]:
    return ["/", "/runs", "/instances/hand", f"/runs/{runs.proposal}", f"/runs/{runs.front}",
            f"/runs/{runs.front}/points/c", f"/runs/{runs.failed}", f"/runs/{runs.hostile}",
            f"/compare?old={runs.approved}&new={runs.proposal}", "/runs/none"]  # fmt: skip


def test_a_person_approves_with_the_keyboard_alone(
    browser: Any, site: str, history: History, runs: Runs
) -> None:
    browser.get(site)
    browser.find_element(By.LINK_TEXT, "Review and decide").send_keys(Keys.ENTER)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda b: b.current_url.endswith(f"/runs/{runs.proposal}#decide"))
    browser.find_element(By.NAME, "by").send_keys("Grace Hopper", Keys.TAB)
    browser.switch_to.active_element.send_keys("wrong token, wrong token", Keys.TAB)
    browser.switch_to.active_element.send_keys("", Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait.until(reads("wrong token"))
    assert history.run(runs.proposal).approval is None
    browser.back()
    field = wait.until(lambda b: b.find_element(By.NAME, "token"))
    field.clear()
    field.send_keys(TOKEN)
    browser.find_element(By.XPATH, "//button[normalize-space()='Approve']").send_keys(Keys.ENTER)
    wait.until(reads("Approved by Grace Hopper"))
    held = history.incumbent("hand")
    assert held is not None
    assert held.run_id == runs.proposal
    assert TOKEN not in browser.current_url


def test_no_page_complains_or_asks_for_anything_elsewhere(
    browser: Any, site: str, runs: Runs
) -> None:
    requests(browser)  # what it asks for at its own start
    for path in paths(runs)[:-1]:
        browser.get(site + path)
        assert browser.find_element(By.TAG_NAME, "h1").text
    errors = [error for error in console_errors(browser) if "favicon.ico" not in error]
    assert errors == []
    asked = requests(browser)
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(f"{site}/")] == []


@pytest.mark.parametrize("pixels", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, site: str, runs: Runs, pixels: int) -> None:
    resize(browser, pixels, 900)
    for path in paths(runs):
        browser.get(site + path)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= pixels, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Any, site: str, runs: Runs, axe: str, scheme: str
) -> None:
    """Contrast, names, headings, tables, landmarks: in either scheme, on every page."""
    emulate(browser, scheme=scheme)
    for path in paths(runs):
        browser.get(site + path)
        assert serious_findings(browser, axe) == [], path


def test_a_keyboard_reaches_everything_and_shows_where_it_is(
    browser: Any, site: str, runs: Runs
) -> None:
    browser.get(f"{site}/runs/{runs.front}")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the content"
    reached = set()
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        reached.add(focused.get_attribute("href"))
        outline = focused.value_of_css_property("outline-style")
        assert outline == "solid" or focused.tag_name in ("body", "a"), focused.tag_name
    assert f"{site}/runs/{runs.front}/points/c" in reached


def test_a_stored_report_runs_apart_from_the_site(browser: Any, site: str, runs: Runs) -> None:
    browser.get(f"{site}/runs/{runs.approved}/files/report.html")
    WebDriverWait(browser, 30).until(lambda b: b.title == "ran")
    assert browser.execute_script("return self.origin") == "null"
