"""From a relaxation to a plan in half a second: what is scarce whole, the rest rounded up.

The linear program over the relaxation's favourite variants is solved with whole numbers only
where rounding up would break something: decisions, and whatever runs on machines of which no more
can be had. All other replicas are rounded up, and what to buy under them is decided exactly, by
branch and bound over purchases alone. That is where `planner.solve.improve` starts from.

Where one machine is much of a fleet, rounding up costs more than all else, and what the linear
program pays for a part of a machine misleads it. There it is solved again and again, each time
charged for its machines what rounding up made of them (dynamic slope scaling, Kim and Pardalos
1999): load gathers where machines get full.
"""

from __future__ import annotations

import time

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.aim import Aim
from planner.solve.index import FleetIndex, best_per_group, routes_of, routes_with
from planner.solve.restricted import Restricted
from planner.solve.solution import TRACE, Solution, obeys_limits, overdrawn_machines

SCARCE_GAP = 2e-3
PURCHASE_GAP = 5e-4
PURCHASE_SHARE = 0.5
"""Of the time, for what to buy."""
SOME, FEW = (8, 2, 2), (2, 1, 0)
"""Routes of a group to plan with: on pools in use, on any, on machines that come in small
numbers."""
MOST_ROUNDS = 5
"""Of finding out which machines are scarce."""
LUMPY = 1e-2
"""Share of the plan (see `Aim.size`) that rounding up costs, above which lumps are settled."""
PATIENCE, BOUGHT = 8, 3
"""Rounds of that without a better plan, after which it ends; how many of the best are completed."""
DEAREST = 50.0
"""Times its price that a part of a replica is charged, at most."""


def decoded(
    index: FleetIndex,
    aim: Aim,
    variants: IntArray,
    routes: IntArray,
    limit_s: float,
    settle_s: float = 0.0,
) -> Solution | None:
    """A plan over the given variants and routes, or None where rounding up breaks a limit; where it
    costs more than `LUMPY`, lumps are settled for at most `settle_s` seconds."""
    program = aim.program(index, variants, routes)
    program.prefer_hours()
    scarce = ~_sold(index)
    for _ in range(MOST_ROUNDS):
        counts = _scarce_columns(program, scarce)
        program.set_integers(np.concatenate([program.decision_columns(), counts]))
        rounded, end = program.solve((1.0 - PURCHASE_SHARE) * limit_s, SCARCE_GAP, check=False)
        if rounded is None:
            break
        plan = bought(index, aim, rounded, PURCHASE_SHARE * limit_s)
        short = overdrawn_machines(index, rounded) & ~scarce
        if plan is not None:
            least = end.objective / aim.scale + float(aim.weights @ index.fixed_totals)
            if aim.value(plan.totals) - least > LUMPY * aim.size(plan.totals) and settle_s > 0.0:
                _hold_decisions(program, counts)
                plan = _settled(index, aim, program, plan, limit_s, settle_s)
            return plan
        if not short.any():
            break
        scarce = scarce | short
        if len(rounded.adopt) < len(variants):
            # What is adopted is decided: the rest is a smaller program.
            variants = np.unique(rounded.adopt)
            routes = routes_with(index, routes, variants)
            program = aim.program(index, variants, routes)
            program.prefer_hours()
    return None


def _hold_decisions(program: Restricted, counts: IntArray) -> None:
    """Keep the decisions of the solution that a program holds, and only these counts whole: without
    any the rest is a linear program, solved again from where it stands."""
    decisions = program.decision_columns()
    x = np.array(program.highs.getSolution().col_value)
    program.fix(decisions, np.rint(x[decisions]))
    program.set_integers(counts)
    if not len(counts):
        program.highs.setOptionValue("presolve", "off")


def _settled(
    index: FleetIndex,
    aim: Aim,
    program: Restricted,
    plan: Solution,
    limit_s: float,
    settle_s: float,
) -> Solution:
    """The best of the plans that a solved program comes to, charged for machines and replicas what
    rounding up makes of them, until none is better for a while; what to buy is decided for a few.
    """
    until = time.monotonic() + settle_s
    slopes = _Slopes(index, aim, program)
    tried: list[Solution] = []
    best, idle = np.inf, 0
    while idle < PATIENCE and time.monotonic() < until:
        slopes.steepen()
        rounded, _ = program.solve((1.0 - PURCHASE_SHARE) * limit_s, SCARCE_GAP, check=False)
        if rounded is None:
            break
        tried.append(rounded)
        value = aim.value(rounded.totals)
        idle = 0 if value < best else idle + 1
        best = min(best, value)
    tried.sort(key=lambda one: aim.value(one.totals))
    every = [bought(index, aim, one, PURCHASE_SHARE * limit_s) for one in tried[:BOUGHT]]
    found = [plan, *(one for one in every if one is not None)]
    return min(found, key=lambda one: aim.value(one.totals))


class _Slopes:
    """What a program is charged for its purchases and replicas."""

    def __init__(self, index: FleetIndex, aim: Aim, program: Restricted) -> None:
        data = index.data
        self.data, self.program = data, program
        self.rented = np.nonzero(program.col_rent >= 0)
        self.held = np.flatnonzero(program.col_buy >= 0)
        self.pool, self.slice = np.nonzero(program.col_replica >= 0)
        tables = (
            program.col_rent[self.rented],
            program.col_buy[self.held],
            program.col_replica[self.pool, self.slice],
        )
        self.columns = np.concatenate(tables)
        whole, parts = index.purchase_totals[self.held].sum(axis=1), self.rented
        self.purchases = np.concatenate([index.purchase_totals[parts], whole])
        self.running = index.replica_totals[self.pool, self.slice]
        self.accelerator = _accelerator_totals(index, aim)
        self.of_machine = np.ones((len(data.machines), len(data.slices)))
        """times its price that a machine is charged, (H, T)"""
        self.of_replica = np.zeros(len(self.pool))
        """parts that rounding up adds to a replica"""

    def steepen(self) -> None:
        """Charge what rounding up makes of the solution that the program holds; what that does not
        use keeps what it was charged last."""
        data, program = self.data, self.program
        x = np.array(program.highs.getSolution().col_value)
        part = x[program.col_replica[self.pool, self.slice]]
        whole = np.where(part > TRACE, np.ceil(part - TRACE), 0.0)
        cell = data.pool_machine[self.pool], self.slice
        accelerators = data.pool_accelerators[self.pool].astype(float)
        size = data.machine_size[:, None].astype(float)
        need = -size * data.machine_fixed
        np.add.at(need, cell, accelerators * whole)
        with np.errstate(divide="ignore", invalid="ignore"):
            full = np.ceil(need / size - TRACE) * size / need
            more = np.clip(whole / part - 1.0, 0.0, DEAREST)
        self.of_machine = np.where(need > 0.0, full, self.of_machine)
        self.of_replica = np.where(whole > 0.0, more, self.of_replica)
        rented, held = data.purchase_machine[self.rented[0]], data.purchase_machine[self.held]
        times = np.append(
            self.of_machine[rented, self.rented[1]], self.of_machine[held].mean(axis=1)
        )
        # On machines that are held anyway a part of a replica costs nothing.
        parts = accelerators * np.where((need > 0.0)[cell], self.of_replica, 0.0)
        parts *= self.of_machine[cell]
        replicas = self.accelerator[cell] * parts[:, None]
        replicas += self.running * (1.0 + self.of_replica)[:, None]
        totals = [self.purchases * times[:, None], replicas]
        program.charge(self.columns, np.concatenate(totals))


def _accelerator_totals(index: FleetIndex, aim: Aim) -> FloatArray:
    """float (H, T, 4) what an accelerator of each machine costs, emits and drinks in each slice,
    where it is had cheapest; 0 where it is not sold."""
    data = index.data
    machine = data.purchase_machine
    each = index.purchase_totals / data.machine_size[machine].astype(float)[:, None, None]
    dearest = np.argsort(-(each[..., :3] @ aim.worth()), axis=0, kind="stable")
    totals = np.zeros((len(data.machines), len(data.slices), 4))
    for t in range(len(data.slices)):
        # What is written last stays.
        totals[machine[dearest[:, t]], t] = each[dearest[:, t], t]
    return totals


def bought(index: FleetIndex, aim: Aim, plan: Solution, limit_s: float) -> Solution | None:
    """The plan with the best purchases under its replicas, fewer of them where batch is better
    served by the hour; None where there are none."""
    program = aim.program(index, np.unique(plan.adopt), plan.routes)
    program.fix(program.col_route[plan.routes], plan.serve)
    replicas = program.col_replica >= 0
    least, most = plan.replicas.copy(), plan.replicas
    batch = plan.routes[index.by_hour[plan.routes] > 0.0]
    least[index.pool[batch], index.slice[batch]] = 0
    program.keep_between(program.col_replica[replicas], least[replicas], most[replicas])
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


def _scarce_columns(program: Restricted, scarce: BoolArray) -> IntArray:
    """Replicas and instances of scarce machines, bool (H,)."""
    data = program.index.data
    mine = scarce[data.purchase_machine]
    tables = (
        program.col_replica[scarce[data.pool_machine]],
        program.col_rent[mine],
        program.col_buy[mine],
    )
    return np.concatenate([columns[columns >= 0].ravel() for columns in tables])


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
    # Where no pool serves, at -1, every route is kept.
    running = mine[np.append(used, True)[index.pool_slice[mine]]]
    fitting = mine[np.append(fine_machines(index)[data.pool_machine], True)[index.pool[mine]]]
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
