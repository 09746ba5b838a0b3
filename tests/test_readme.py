"""The README's example runs as it stands, and its links and exit codes are true."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from planner import errors
from planner.cli import COMMANDS, GROUPS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = blocks("python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    assert "kgCO2e" in printed.getvalue()
    assert re.search(r"^documents \S+ \S+", printed.getvalue(), re.MULTILINE)


def test_the_commands_exist() -> None:
    in_text = re.findall(r"`planner ([a-z]+)", README)
    in_blocks = re.findall(r"/planner ([a-z]+)", "".join(blocks("sh")))
    assert {"plan", "new"} <= set(in_blocks)
    assert set(in_text) | set(in_blocks) <= set(COMMANDS) | set(GROUPS)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_exit_codes_are_those_of_the_errors() -> None:
    told = dict(re.findall(r"^\| (\d) \| (.+?) \|$", README, re.MULTILINE))
    assert list(told) == list("012345")
    assert "invalid" in told[str(errors.InstanceError.exit_code)]
    assert "no plan exists" in told[str(errors.InfeasibleError.exit_code)]


def test_the_accuracy_is_the_one_of_the_accuracy_page() -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines()]
    for test in ("known combination, point", "unseen llm"):
        told = [f"{row[4]} % ({row[6]} %)" for row in rows if row[0].startswith(test)]
        assert len(told) == 3
        assert f"| {' | '.join(told)} |" in README
