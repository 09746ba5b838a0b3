"""Small and middle fleets, where whole machines matter: plans and proofs by branch and bound over
few routes, held against the program solved as it is; ends that other work has bettered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from planner.api import load
from planner.candidates import build_candidates
from planner.front.run import FrontRequest, FrontRun
from planner.front.tasks import (
    Ended,
    EndTask,
    WholeTask,
    depth_aim,
    ended,
    planned,
    rough_end,
    searched,
    unit_aim,
)
from planner.solve.index import FleetIndex, routes_of
from tests.planner.front.counted_runs import TINY, stopped_run

COST = np.eye(4)[0]


@pytest.fixture(scope="module")
def index() -> FleetIndex:
    return FleetIndex.build(build_candidates(load(TINY)).data)


@pytest.fixture(scope="module")
def cheapest(index: FleetIndex) -> Ended:
    return ended(index, EndTask(COST, 1e-6, 60.0))


def test_an_end_is_no_worse_than_the_plan_it_begins_from(
    index: FleetIndex, cheapest: Ended
) -> None:
    rough = rough_end(index, EndTask(COST, 1e-6, 60.0))
    assert rough is not None
    assert cheapest.bound <= cheapest.plan.totals[0] <= rough.totals[0]
    assert cheapest.plan.totals[0] == pytest.approx(cheapest.bound, rel=1e-5)


def test_a_plan_over_few_routes_is_the_best_over_them(
    index: FleetIndex, cheapest: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.front.tasks.LUMPS_S", 60.0)
    aim = unit_aim(0, cheapest.plan.totals[:3], 0.0, 1e3)
    variants = np.flatnonzero(index.variant_complete)
    plan = planned(index, aim, variants, routes_of(index, variants))
    assert plan is not None
    assert plan.totals[0] == pytest.approx(cheapest.plan.totals[0], rel=0.006)


def test_what_is_searched_below_a_corner_is_neither_missed_nor_claimed(
    index: FleetIndex, cheapest: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few integers and tighter rows prove no more than the program as it is allows."""
    monkeypatch.setattr("planner.front.tasks.HALFWAY", 1.0)
    ranges = 0.5 * np.abs(cheapest.plan.totals[:3])
    corner = cheapest.plan.totals[:3] + 0.3 * ranges
    aim = depth_aim(corner, ranges, ranges)
    variants = np.flatnonzero(index.variant_complete)
    stated = aim.program(index, variants, routes_of(index, variants))
    best, _ = stated.solve(60.0, 1e-7)
    found = searched(index, WholeTask(aim, variants, 60.0))
    assert best is not None and found.plan is not None
    assert found.bound <= aim.value(best.totals) + 1e-6
    assert found.bound == pytest.approx(aim.value(best.totals), abs=0.01)
    assert aim.value(found.plan.totals) >= found.bound - 1e-6
    # What is proved already ends it, whatever is found.
    assert searched(index, WholeTask(aim, variants, 60.0, enough=-1e3)).bound > -1e3


def test_an_end_that_other_work_has_bettered_is_searched_again_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped_run(folder, "certified", 20)
    request = FrontRequest(epsilon=1e-6, time_limit_s=60.0, workers=1)
    search = FrontRun(TINY, request, folder, resume=True).search
    enclosure = search.enclosure
    assert enclosure is not None
    ends = [dataclasses.replace(point, found_by="end") for point in enclosure.points]
    enclosure.points[:] = ends
    assert search._end_again() is None
    cheap = min(range(len(ends)), key=lambda i: float(ends[i].f[0]))
    enclosure.points[cheap] = dataclasses.replace(ends[cheap], found_by="corner")
    work = search._end_again()
    assert work is not None and isinstance(work.task, EndTask)
    assert work.task.start is ends[cheap].solution
    assert np.array_equal(work.task.weights, COST)
    again = search._end_again()
    assert again is None or not np.array_equal(again.task.weights, COST)  # type: ignore[union-attr]
