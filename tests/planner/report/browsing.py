"""A real browser for the tests: Debian's Chromium without a window, driven by selenium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from planner.report.pdf import QUIET, find_browser

AXE_VARIABLE = "AXE_CORE"
"""Environment variable that names axe.min.js; without it npm fetches it."""


@contextmanager
def chromium(width: int = 1280, height: int = 800) -> Iterator[webdriver.Chrome]:
    """A fresh browser with a profile of its own; its console and its requests are kept."""
    driver = shutil.which("chromedriver")
    assert driver is not None, "chromedriver is missing: apt-get install chromium-driver"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = find_browser()
        for flag in (*QUIET, "--no-sandbox", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            resize(browser, width, height)
            yield browser
        finally:
            browser.quit()


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    """The visible part of the page in CSS px."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def emulate(browser: webdriver.Chrome, media: str = "", scheme: str = "light") -> None:
    """``print`` or screen, and the colour scheme the system asks for."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def in_scheme(browser: webdriver.Chrome, scheme: str) -> None:
    """Ask for a colour scheme, and wait until the open report has followed."""
    emulate(browser, scheme=scheme)
    WebDriverWait(browser, 20).until(
        lambda b: b.execute_script("return document.documentElement.dataset.scheme") == scheme
    )


def open_page(browser: webdriver.Chrome, page: Path) -> None:
    """Open a report and wait until its script has drawn everything."""
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(
        lambda b: b.execute_script("return document.documentElement.dataset.ready === 'yes'")
    )


def console_errors(browser: webdriver.Chrome) -> list[str]:
    """Warnings and errors that the page wrote since the last call."""
    return [
        entry["message"]
        for entry in browser.get_log("browser")
        if entry["level"] in ("WARNING", "SEVERE")
    ]


def requests(browser: webdriver.Chrome) -> list[str]:
    """Addresses that were asked for since the last call, the page's own file apart."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]


def axe_source(folder: Path) -> str:
    """axe-core as npm has it: from the file the environment names, else fetched into `folder`."""
    named = os.environ.get(AXE_VARIABLE)
    if named:
        return Path(named).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    assert npm is not None, f"npm is missing: install it, or name axe.min.js in {AXE_VARIABLE}"
    command = [npm, "install", "--silent", "--no-save", "--prefix", str(folder), "axe-core@4"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def serious_findings(browser: webdriver.Chrome, axe: str) -> list[str]:
    """What axe-core finds serious or critical on the open page, with the places."""
    browser.execute_script(axe)
    found: dict[str, Any] = browser.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run(document).then(done);"
    )
    assert found["passes"], "axe-core checked nothing"
    return [
        f"{rule['id']}: {rule['help']}: {node['target']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
