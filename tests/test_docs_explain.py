"""What docs/explain.md shows is what the commands print, and its example runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from planner.cli import run
from planner.instance.figures import KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")


def shown() -> list[tuple[str, list[str]]]:
    """(command, lines it is shown to print), in order."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ planner "):
                found.append((line.removeprefix("$ planner "), []))
            else:
                found[-1][1].append(line)
    return found


def test_commands_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "instances").symlink_to(ROOT / "instances")
    assert len(shown()) >= 6
    for command, lines in shown():
        assert run(shlex.split(command)) == 0, command
        printed = capsys.readouterr().out.splitlines()
        assert lines
        missing = [line for line in lines if line not in printed]
        assert missing == [], command
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(example, "explain.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "False"


def test_every_kind_of_figure_is_in_the_table() -> None:
    assert [kind for kind in KINDS if f"`{kind}." not in PAGE] == []
