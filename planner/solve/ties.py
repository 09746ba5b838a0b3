"""Ties: of plans that are equal in what is minimised, the one with less carbon, then less QoE loss.

A plan of least cost is seldom the only one: machines of one price stand in regions of unlike grids,
and nothing in the objective prefers one. Here the plan is decided once more over its own routes and
those that cost the same at the margin, with what is minimised held, each other aim in turn
(lexicographic order). The plan never gets worse in what is minimised, nor in an aim before.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from models.fleet.data import FleetData, FloatArray, IntArray
from planner.solve.bound import Prices, route_reduced_costs
from planner.solve.improve import few_routes
from planner.solve.index import FleetIndex, best_per_group, routes_of
from planner.solve.restricted import Restricted
from planner.solve.rules import CAPS
from planner.solve.solution import Solution, keeps_promises, obeys_limits

ORDER = (1, 2, 0)
"""Carbon, QoE loss, cost: what is asked of equal plans, in turn."""
EVERY = 4_000
"""Where the plan's variants have no more routes, all of them are asked."""
TIE = 0.02
"""Of a group's cheapest route at the prices: routes dearer by no more may be as good in a plan, as
whole machines cost the same however full."""
TIES_KEPT = 2
"""Of such routes of a group: those with least of the aim."""
SAME = 1e-9
"""Of a total: a difference of less is none."""
GAP = 1e-3
LEAST_S = 0.05


def broken_tie(
    index: FleetIndex,
    weights: FloatArray,
    plan: Solution,
    prices: Prices,
    limit_s: float,
) -> Solution:
    """A plan of no larger ``weights . totals`` with less carbon, then QoE loss, then cost; or the
    same plan. `prices` are those of the relaxation.

    One total alone has a weight; of mixtures the plan is returned as it is.
    """
    chosen = np.flatnonzero(weights)
    if len(chosen) != 1:
        return plan
    deadline = time.monotonic() + limit_s
    first = int(chosen[0])
    limits = {first: float(plan.totals[first])}
    aims = [aim for aim in ORDER if aim != first]
    for at, aim in enumerate(aims):
        left = (deadline - time.monotonic()) / (len(aims) - at)
        if left < LEAST_S:
            break
        held = replace(index, data=_held(index.data, limits))
        found = _with_less(held, aim, plan, prices, left)
        if found is not None and all(_is_within(found, i, x) for i, x in limits.items()):
            plan = found
        limits[aim] = float(plan.totals[aim])
    return plan


def _is_within(plan: Solution, which: int, limit: float) -> bool:
    return bool(plan.totals[which] <= limit + SAME * abs(limit))


def _held(data: FleetData, limits: dict[int, float]) -> FleetData:
    """The data with these totals capped, unless their own caps are tighter."""
    values: dict[str, Any] = {
        CAPS[i]: float(np.fmin(getattr(data, CAPS[i]), limit)) for i, limit in limits.items()
    }
    return replace(data, **values)


def _with_less(
    index: FleetIndex, aim: int, plan: Solution, prices: Prices, limit_s: float
) -> Solution | None:
    """The plan decided again for one total; None where that is no better."""
    weights = np.zeros(4)
    weights[aim] = 1.0
    variants = np.unique(plan.adopt[plan.adopt >= 0])
    routes = _as_good(index, aim, plan, prices)
    scale = 1e4 / max(abs(float(plan.totals[aim])), 1e-9)
    program = Restricted(index, weights, variants, routes, scale=scale)
    found, _ = program.solve(limit_s, GAP, plan)
    if found is None or found.totals[aim] >= plan.totals[aim] * (1.0 - SAME):
        return None
    return found if obeys_limits(index, found) and keeps_promises(index, found) else None


def _as_good(index: FleetIndex, aim: int, plan: Solution, prices: Prices) -> IntArray:
    """The plan's routes, the best at the prices, and of those as cheap the least of the aim."""
    reduced = route_reduced_costs(prices, index)
    mine = routes_of(index, np.unique(plan.adopt[plan.adopt >= 0]))
    if len(mine) <= EVERY:
        return mine
    least = np.full(len(index.group_item), np.inf)
    np.minimum.at(least, index.route_group[mine], reduced[mine])
    best = least[index.route_group[mine]]
    tied = mine[reduced[mine] <= best + TIE * np.abs(best)]
    total = (index.cost, index.carbon, index.loss, index.water)[aim]
    return np.union1d(
        few_routes(index, plan, plan.routes, reduced),
        best_per_group(index, total[tied], tied, TIES_KEPT),
    )
