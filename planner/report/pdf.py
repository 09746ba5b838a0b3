"""PDF through a Chromium found on the machine: the page prints itself as its style sheet says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from planner.errors import PlannerError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
VARIABLE = "PLANNER_CHROMIUM"
"""Environment variable that names the browser."""
PAPERS = ("A4", "Letter")
QUIET = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DRAWING_MS = 15_000
"""Virtual time that the page gets to draw itself."""
LONGEST_S = 180.0


def find_browser() -> str:
    """The browser to print with; PlannerError that says how to get one."""
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise PlannerError(f"{VARIABLE}={named}: no such program; name a Chromium or Chrome")
        return found
    for name in (*BROWSERS, *PLACES):
        found = shutil.which(name)
        if found is not None:
            return found
    raise PlannerError(
        "--pdf prints with Chromium, Chrome or Edge, and none was found: install one "
        f"(Debian: apt-get install chromium) or name it in {VARIABLE}; the HTML page itself "
        "prints from any browser"
    )


def write_pdf(page: str, target: Path, paper: str) -> None:
    """Print an HTML page to `target` on ``A4`` or ``Letter``; PlannerError where it fails."""
    browser = find_browser()
    sized = page.replace("</head>", f"<style>@page {{ size: {paper}; }}</style></head>", 1)
    with tempfile.TemporaryDirectory(prefix="planner-pdf-") as scratch:
        source, made = Path(scratch) / "page.html", Path(scratch) / "page.pdf"
        source.write_text(sized, encoding="utf-8")
        command = [
            browser,
            *QUIET,
            f"--user-data-dir={scratch}/profile",
            "--no-pdf-header-footer",
            f"--virtual-time-budget={DRAWING_MS}",
            f"--print-to-pdf={made}",
            source.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses to run as root otherwise
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LONGEST_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PlannerError(f"{browser} could not print {target.name}: {error}") from error
        if not made.is_file():
            told = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise PlannerError(
                f"{browser} did not print {target.name} (exit code {done.returncode}): {told[0]}"
            )
        shutil.copyfile(made, target)
