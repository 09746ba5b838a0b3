"""Runs to explain, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

import planner
from planner.api import Answer, Request, answer
from planner.errors import SolverError
from planner.runs import write_run

INSTANCES = Path(__file__).resolve().parents[3] / "instances"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny`` and ``small``, planned."""
    folder = tmp_path_factory.mktemp("explained")
    for name, seconds in (("tiny", 20.0), ("small", 2.0)):
        write_run(folder / name, answered(name, seconds))
    return folder


def answered(name: str, seconds: float) -> Answer:
    """A plan, in more time where a busy machine needs it."""
    try:
        return answer(INSTANCES / name, Request(time_limit_s=seconds, threads=1))
    except SolverError:
        return answered(name, 3.0 * seconds)


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A front of tiny."""
    folder = tmp_path_factory.mktemp("fronts") / "tiny"
    planner.front(INSTANCES / "tiny", epsilon=0.2, time_limit=1.5, workers=1, output=folder)
    return folder
