"""From a relaxation to a plan in half a second: what is scarce whole, the rest rounded up.

The linear program over the relaxation's favourite variants is solved with whole numbers only
where rounding up would break something: decisions, and whatever runs on machines of which no more
can be had. All other replicas are rounded up, and what to buy under them is decided exactly, by
branch and bound over purchases alone. That is where `planner.solve.improve` starts from.
"""

from __future__ import annotations

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.aim import Aim
from planner.solve.index import FleetIndex, best_per_group, routes_of, routes_with
from planner.solve.restricted import Restricted
from planner.solve.solution import Solution, obeys_limits, overdrawn_machines

SCARCE_GAP = 2e-3
PURCHASE_GAP = 5e-4
PURCHASE_SHARE = 0.5
"""Of the time, for what to buy."""
SOME, FEW = (8, 2, 2), (2, 1, 0)
"""Routes of a group to plan with: on pools in use, on any, on machines that come in small
numbers."""
MOST_ROUNDS = 5
"""Of finding out which machines are scarce."""


def decoded(
    index: FleetIndex, aim: Aim, variants: IntArray, routes: IntArray, limit_s: float
) -> Solution | None:
    """A plan over the given variants and routes, or None where rounding up breaks a limit."""
    program = aim.program(index, variants, routes)
    scarce = ~_sold(index)
    for _ in range(MOST_ROUNDS):
        program.set_integers(_whole_columns(program, scarce))
        rounded, _ = program.solve((1.0 - PURCHASE_SHARE) * limit_s, SCARCE_GAP, check=False)
        if rounded is None:
            return None
        plan = bought(index, aim, rounded, PURCHASE_SHARE * limit_s)
        short = overdrawn_machines(index, rounded) & ~scarce
        if plan is not None or not short.any():
            return plan
        scarce = scarce | short
        if len(rounded.adopt) < len(variants):
            # What is adopted is decided: the rest is a smaller program.
            variants = np.unique(rounded.adopt)
            routes = routes_with(index, routes, variants)
            program = aim.program(index, variants, routes)
    return None


def bought(index: FleetIndex, aim: Aim, plan: Solution, limit_s: float) -> Solution | None:
    """The plan with the best purchases under its replicas; None where there are none."""
    program = aim.program(index, np.unique(plan.adopt), plan.routes)
    program.fix(program.col_route[plan.routes], plan.serve)
    replicas = program.col_replica >= 0
    program.fix(program.col_replica[replicas], plan.replicas[replicas])
    found, _ = program.solve(limit_s, PURCHASE_GAP, plan)
    return min(
        (one for one in (plan, found) if one is not None and obeys_limits(index, one)),
        key=lambda one: aim.value(one.totals),
        default=None,
    )


def _sold(index: FleetIndex) -> BoolArray:
    """bool (H,): machines that can be rented on demand."""
    data = index.data
    sold = np.zeros(len(data.machines), dtype=bool)
    sold[data.purchase_machine[data.purchase_market == 0]] = True
    return sold


def _whole_columns(program: Restricted, scarce: BoolArray) -> IntArray:
    """Decisions, and replicas and instances of scarce machines, bool (H,)."""
    data = program.index.data
    mine = scarce[data.purchase_machine]
    tables = (
        program.col_replica[scarce[data.pool_machine]],
        program.col_rent[mine],
        program.col_buy[mine],
    )
    counts = [columns[columns >= 0].ravel() for columns in tables]
    return np.concatenate([program.decision_columns(), *counts])


def leading_variants(index: FleetIndex, adopt: FloatArray) -> IntArray:
    """For each workload the variant that a relaxation adopts most, int (W,)."""
    order = np.lexsort((-adopt, index.data.variant_workload))
    _, first = np.unique(index.data.variant_workload[order], return_index=True)
    return order[first]


def around(
    index: FleetIndex,
    support: IntArray,
    reduced: FloatArray,
    variants: IntArray,
    most: tuple[int, int, int] = SOME,
) -> IntArray:
    """Routes to plan with: the support of a relaxation, and in each group so many of the best on
    the pools it uses, of the best of all, and of the best on machines that come in small numbers;
    of the given variants."""
    data = index.data
    used = np.zeros(len(data.pools) * len(data.slices), dtype=bool)
    used[index.pool_slice[support[index.pool[support] >= 0]]] = True
    mine = routes_of(index, variants)
    own = index.pool[mine] >= 0
    running = mine[~own | used[np.maximum(index.pool_slice[mine], 0)]]
    machine = data.pool_machine[np.maximum(index.pool[mine], 0)]
    fitting = mine[~own | fine_machines(index)[machine]]
    chosen = [routes_with(index, support, variants)]
    for routes, keep in zip((running, mine, fitting), most, strict=True):
        chosen.append(best_per_group(index, reduced[routes], routes, keep))
    return np.unique(np.concatenate(chosen))


def fine_machines(index: FleetIndex) -> BoolArray:
    """bool (H,): the smallest machine of each (region, accelerator), and those already held.

    Of offers that differ in size only, small ones round best; equal ones side by side only
    slow branch and bound down.
    """
    data = index.data
    smallest = np.full(int(index.spot_group.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, index.spot_group, data.machine_size)
    held = (data.machine_fixed > 0).any(axis=1)
    return np.asarray((data.machine_size == smallest[index.spot_group]) | held)
