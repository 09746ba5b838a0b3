"""docs/operations.md is held to the code: names, defaults and limits that it tells are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import app
from planner.history import engine
from planner.schedule import body, health, notify
from planner.serve import security

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for part in ("history", "schedule", "serve")
    for path in (ROOT / "planner" / part).rglob("*.py")
)


def test_environment_variables_are_those_of_the_code() -> None:
    told = set(re.findall(r"PLANNER_[A-Z_]+", PAGE))
    read = set(re.findall(r"PLANNER_[A-Z_]+", CODE))
    assert told == read


def test_metrics_are_those_of_the_code() -> None:
    told = set(re.findall(r"planner_[a-z_]+(?=[`{ ])", PAGE))
    made = {name for name, _, _ in health.GAUGES}
    assert told == made | {"planner_cycles_total", "planner_awaiting_approval"}


@pytest.mark.parametrize("command", ["plan", "watch", "approve", "serve"])
def test_options_exist(command: str) -> None:
    offered = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    for line in re.findall(rf"^planner {command} .*$", PAGE, re.MULTILINE):
        for option in re.findall(r"--[a-z-]+", line.partition("#")[0]):
            assert option in offered, (command, option)


def test_every_command_of_the_history_is_told() -> None:
    offered = CliRunner().invoke(app, ["history", "--help"]).output
    commands = re.findall(r"^  ([a-z]+)  ", offered.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        assert f"`planner history {command}" in PAGE


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ("`{}` unless\n`--history`", engine.DEFAULT),
        ("loses the lock after {:.0f} s", body.LOCK_LIFE_S),
        ("another process has been writing for {} s", engine.BUSY_TIMEOUT_S),
        ("after {} minutes", "1, 2, 4 and 8"),
        ("({} characters or more", security.SHORTEST_TOKEN),
        ("base64 of at least {} bytes", notify.LEAST_SECRET_BYTES),
    ],
)
def test_limits_are_those_of_the_code(told: str, value: object) -> None:
    assert told.format(value) in PAGE


def test_words_for_numbers_are_right() -> None:
    assert (security.FAILURES_ALLOWED, notify.MOST_DELIVERIES) == (10, 10)
    pauses = [body.FIRST_PAUSE_S * 2**n / 60 for n in range(body.MOST_ATTEMPTS - 1)]
    assert pauses == [1, 2, 4, 8]
