"""Schemathesis against the running server: every answer is one that its schema announces."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from planner.history import History
from tests.planner.serve.conftest import TOKEN, Runs, fill
from tests.planner.serve.live import serving

EXAMPLES = 40
LEAST_CASES = 400


def schemathesis(folder: Path, address: str, run_id: str, *options: str) -> str:
    """What it says at the end; it fails where any check does."""
    (folder / "schemathesis.toml").write_text(f'[parameters]\n"path.run_id" = "{run_id}"\n')
    words = [
        str(Path(sys.executable).with_name("st")), "--no-color", "run", f"{address}/openapi.json",
        "--max-examples", str(EXAMPLES), "--seed", "15", "--request-timeout", "60",
        "--suppress-health-check", "all", *options,
    ]  # fmt: skip
    told = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-2000:]
    return told.stdout


@pytest.mark.slow
def test_every_answer_is_one_that_the_schema_announces(
    store_url: str, history: History, runs: Runs, tmp_path: Path
) -> None:
    with serving(store_url, PLANNER_APPROVE_TOKEN=TOKEN) as address:
        bearer = ("--header", f"Authorization: Bearer {TOKEN}")
        said = schemathesis(tmp_path, address, runs.front, *bearer)
    cases = re.search(r"(\d+) generated, \1 passed", said)
    assert cases, said[-3000:]
    assert int(cases[1]) >= LEAST_CASES
    assert history.check()[1] == []


@pytest.mark.slow
def test_without_the_token_nothing_is_approved_by_chance(tmp_path: Path) -> None:
    url = str(tmp_path / "h.db")
    with History.open(url, create=True) as history:
        runs = fill(history, tmp_path)
        with serving(url, PLANNER_APPROVE_TOKEN=TOKEN) as address:
            schemathesis(tmp_path, address, runs.proposal)
        assert history.run(runs.proposal).approval is None
