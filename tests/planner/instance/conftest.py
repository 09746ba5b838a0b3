"""A starter folder to spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.instance.starter import write_starter
from tests.planner.instance.helpers import Edit


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    folder = tmp_path / "instance"
    write_starter(folder)
    return folder


@pytest.fixture
def edit(starter: Path) -> Edit:
    """Replace a text that occurs once in a file of the starter; an empty old text adds a file."""

    def replace(file: str, old: str, new: str) -> None:
        path = starter / file
        if not old:
            path.write_text(new, encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    return replace
