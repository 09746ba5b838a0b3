"""A front begins where `planner plan` ends: on its lanes and operating points, with its plans."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import planner
from planner.api import load
from planner.cli import run as run_command
from planner.front.front import Front
from planner.instance.copy import drop_setting
from planner.instance.grid import default_grid, grid_of
from tests.planner.replan.examples import TINY


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny one, whose lanes and operating points follow from what is asked."""
    folder = tmp_path_factory.mktemp("open") / "tiny"
    shutil.copytree(TINY, folder)
    for key in ("prompt_lane_tokens", "operating_tpot_s"):
        drop_setting(folder, key)
    return folder


@pytest.fixture(scope="module")
def run(instance: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("front") / "run"
    planner.front(instance, epsilon=0.9, gap=0.9, time_limit=40.0, output=place, workers=1)
    return place


def test_its_cheapest_plan_is_the_one_that_plan_finds(instance: Path, run: Path) -> None:
    front = Front.read(run)
    plan = planner.plan(instance, time_limit=20.0)
    assert plan.grid != default_grid(load(instance)), "plan refines here"
    cheapest = min(point.cost_usd for point in front.points)
    assert cheapest <= plan.objectives.cost_usd * (1.0 + 0.005)


def test_all_its_plans_have_its_grid(instance: Path, run: Path) -> None:
    front = Front.read(run)
    assert front.grid is not None
    assert grid_of(front.on_grid(load(instance))) == front.grid
    assert {front.read_plan(point.id, run).grid for point in front.points} == {front.grid}
    assert Front.from_json(front.to_json()) == front


def test_its_proofs_hold_on_that_grid(run: Path) -> None:
    assert run_command(["verify", str(run), "--all"]) == 0


def test_a_front_goes_on_on_its_grid(run: Path) -> None:
    grid = Front.read(run).grid
    run_command(["front", "--resume", str(run), "--time-limit", "5", "--quiet"])
    assert Front.read(run).grid == grid
    assert run_command(["verify", str(run)]) == 0
