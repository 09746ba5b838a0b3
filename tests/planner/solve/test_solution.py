"""Completing plans: what a solver's tolerance leaves behind is not a decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.fleet.data import FleetData, FloatArray, IntArray
from planner.solve.index import FleetIndex
from planner.solve.solution import TRACE, Solution, finished
from tests.fleet_examples import full_fleet, random_fleet
from tests.planner import hand_made

FLEETS = [full_fleet(), *(random_fleet(seed) for seed in range(10))]


def completed(index: FleetIndex, plan: Solution, routes: IntArray, serve: FloatArray) -> Solution:
    order = np.argsort(routes)
    parts = (routes[order], serve[order], plan.buy, plan.rent.astype(float), plan.train)
    return finished(index, plan.adopt, *parts, np.zeros(len(routes)), plan.hold)


@pytest.mark.parametrize("data", FLEETS)
def test_a_share_below_tolerance_does_not_use_a_pool_without_replicas(data: FleetData) -> None:
    index = FleetIndex.build(data)
    plan = hand_made.solution(index)
    asked = index.route_group[plan.routes]
    other = np.flatnonzero(np.isin(index.route_group, asked) & (index.pool >= 0))
    idle = plan.replicas.ravel()[index.pool_slice[other]] == 0
    other = np.setdiff1d(other[idle], plan.routes)
    _, first = np.unique(index.pool_slice[other], return_index=True)
    other = other[first]
    trace = 0.1 * TRACE / index.share[other].max(axis=1)
    routes = np.concatenate([plan.routes, other])
    made = completed(index, plan, routes, np.concatenate([plan.serve, trace]))
    assert np.array_equal(made.routes, np.sort(plan.routes))
    assert made.totals == pytest.approx(plan.totals)


@pytest.mark.parametrize("data", FLEETS)
def test_an_item_that_asks_next_to_nothing_still_has_a_replica(data: FleetData) -> None:
    index = FleetIndex.build(data)
    plan = hand_made.solution(index)
    light = FleetIndex.build(replace(data, route_share=1e-12 * data.route_share))
    made = completed(light, plan, plan.routes, plan.serve)
    assert np.array_equal(made.routes, plan.routes)
    place = index.pool_slice[made.routes]
    used = np.unique(place[place >= 0])
    assert np.array_equal(np.flatnonzero(made.replicas), used)
    assert (made.replicas.ravel()[used] == 1).all()


def test_a_trace_of_a_second_market_holds_no_machine() -> None:
    """What a solver's tolerance leaves beside others held by the hour is not one more at once."""
    index = FleetIndex.build(random_fleet(3, batch=True))
    data, plan = index.data, hand_made.solution(index)
    rented = np.flatnonzero(data.purchase_per_slice)
    _, first = np.unique(data.purchase_machine[rented], return_index=True)
    hold = np.where(data.purchase_per_slice, 1e-16, 0.0)[:, None] + np.zeros(plan.hold.shape)
    hold[rented[first]] = 0.5
    by_hour = np.where(index.by_hour[plan.routes] > 0.0, plan.serve, 0.0)
    parts = (plan.adopt, plan.routes, plan.serve, plan.buy, plan.rent.astype(float), plan.train)
    found = finished(index, *parts, by_hour, hold)
    others = np.setdiff1d(rented, rented[first])
    assert len(others)
    assert (found.hold[rented[first]] > 0.0).any()
    assert (found.most[others] == found.rent[others]).all()
