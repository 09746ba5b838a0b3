"""Integer programs over a few variants and routes: where plans come from.

A `Restricted` program is the fleet program itself over the columns it is given: every answer is
a feasible plan of the whole program, and no statement about the whole is ever drawn from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import highspy
import numpy as np

from models.fleet.data import TRIFLE, BoolArray, FloatArray, IntArray
from planner.solve.bound import SPOT
from planner.solve.highs import INFINITY, Outcome, add_rows, misstated, run
from planner.solve.index import FleetIndex
from planner.solve.master import Master
from planner.solve.solution import Solution, at_once, obeys_limits, whole_plan

PREFERRED = 1.0 - 1e-2
"""Of what it costs, that a machine held by the hour is charged where ties are broken for it."""
FEW = 4.0
"""Machines that batch keeps busy, below which it is better served by the hour than rounded up."""


class Restricted(Master):
    """The mixed-integer program over given variants and routes."""

    def __init__(
        self,
        index: FleetIndex,
        weights: FloatArray,
        variants: IntArray,
        routes: IntArray,
        scale: float = 1.0,
        ranges: FloatArray | None = None,
    ) -> None:
        super().__init__(index, weights, scale=scale, ranges=ranges)
        self.add_variants(variants)
        self.add_routes(routes)
        self.highs.setOptionValue("presolve", "on")
        self.highs.setOptionValue("solver", "choose")
        self._add_hours()
        self._link_trifles()
        self._mark_integers()
        self._close_unused()

    def _add_hours(self) -> None:
        """Machines held by the hour for batch: columns of (3c), (4b), (5b), (5c). In a relaxation
        they cost what a part of a machine costs by the slice: the master does without."""
        index, data = self.index, self.index.data
        shape = len(data.purchase_machine), len(data.slices)
        self.col_by_hour, self.row_by_hour = np.full((2, len(index.pool)), -1)
        self.col_hold, self.col_at_once = np.full(shape, -1), np.full(shape, -1)
        routes = self.routes()
        routes = routes[index.by_hour[routes] > 0.0]
        n = len(routes)
        if n == 0:
            return
        where, t = np.arange(n), index.slice[routes]
        machine = data.pool_machine[index.pool[routes]]
        need = np.full((len(data.machines), shape[1]), -1)
        need[machine, t] = 0
        need[need == 0] = self._rows(int((need == 0).sum()), 0.0, 0.0)
        serves = add_rows(
            *(self.highs, np.full(n, -INFINITY), np.zeros(n)),
            *(where, self.col_route[routes], -np.ones(n)),
        )
        self.row_by_hour[routes] = serves + where
        replica = self.row_replica[index.pool[routes], t]
        entries = [(replica[:, i], where, -index.share[routes, i]) for i in range(4)]
        entries += [(need[machine, t], where, index.by_hour[routes])]
        entries += [(serves + where, where, np.ones(n))]
        full = index.share[routes].max(axis=1)
        totals = full[:, None] * index.replica_totals[index.pool[routes], t]
        self.col_by_hour[routes] = self._columns(totals, entries, 1.0)
        self._add_holds(need)

    def _add_holds(self, need: IntArray) -> None:
        """What is held by the hour beside the rows of (4b) (H, T), and how much of it at once."""
        index, data = self.index, self.index.data
        b, t = np.nonzero((need[data.purchase_machine] >= 0) & data.purchase_per_slice[:, None])
        where, limit = np.arange(len(b)), data.purchase_limit[b]
        machine, size = data.purchase_machine[b], data.machine_size[data.purchase_machine[b]]
        spot = (data.purchase_market[b] == SPOT) - np.nan_to_num(data.spot_share_max)
        entries = [
            (need[machine, t], where, -data.purchase_availability[b]),
            (self.row_spot[index.spot_group[machine], t], where, size * spot),
        ]
        self.col_hold[b, t] = self._columns(index.purchase_totals[b, t], entries, limit)
        counted = np.flatnonzero(data.purchase_counted[b])
        b, t, machine, size = b[counted], t[counted], machine[counted], size[counted].astype(float)
        n = len(b)
        if n == 0:
            return
        where, one = np.arange(n), np.ones(n)
        below = self.highs, np.full(n, -INFINITY)
        least = add_rows(*below, np.zeros(n), where, self.col_hold[b, t], one)
        stock = np.where(np.isfinite(data.purchase_stock[b]), data.purchase_stock[b], INFINITY)
        most = add_rows(*below, stock, where, self.col_rent[b, t], one)
        entries = [(least + where, where, -one), (most + where, where, one)]
        entries += [(self.row_added[machine, t], where, size)]
        entries += [
            (row[t], where, size * member[b])
            for row, member in zip(self.row_quota, data.quota_purchase, strict=True)
        ]
        self.col_at_once[b, t] = self._columns(np.zeros((n, 4)), entries, limit[counted])

    def prefer_hours(self) -> None:
        """Where parts of machines are continuous batch does not care how they are held, but they
        are rounded up: charge less by the hour, and where all batch is less than `FEW` machines
        serve it so, unless on machines that are held anyway."""
        index, data = self.index, self.index.data
        held = self.col_hold >= 0
        self.charge(self.col_hold[held], PREFERRED * index.purchase_totals[held])
        routes = np.flatnonzero(self.row_by_hour >= 0)
        least = np.full(len(data.item_slice), np.inf)
        np.minimum.at(least, index.route_item[routes], index.by_hour[routes])
        if least[np.isfinite(least)].sum() < FEW:
            machine = data.pool_machine[index.pool[routes]]
            rented = ~np.asarray((data.machine_fixed > 0).any(axis=1))
            rows = self.row_by_hour[routes[rented[machine]]].astype(np.int32)
            zero = np.zeros(len(rows))
            self.highs.changeRowsBounds(len(rows), rows, zero, zero)

    def _link_trifles(self) -> None:
        """Rows (3b): no route without a replica, however small its share of one."""
        routes = self.routes()
        least = self.index.share[routes].max(axis=1, initial=0.0)
        tiny = routes[(self.index.pool[routes] >= 0) & (least < TRIFLE)]
        n = len(tiny)
        if n == 0:
            return
        replicas = self.col_replica[self.index.pool[tiny], self.index.slice[tiny]]
        apart = np.flatnonzero(self.col_by_hour[tiny] >= 0)
        add_rows(
            self.highs,
            np.full(n, -INFINITY),
            np.zeros(n),
            np.concatenate([np.tile(np.arange(n), 2), apart]),
            np.concatenate([self.col_route[tiny], replicas, self.col_by_hour[tiny[apart]]]),
            np.concatenate([np.ones(n), -np.ones(n + len(apart))]),
        )

    def _close_unused(self) -> None:
        """Purchases of machines that no given route can use stay at zero; not so beside spot
        machines that are used, whose share they may hold up."""
        data = self.index.data
        pool = np.unique(self.index.pool[self.routes()])
        used = np.zeros(len(data.machines), dtype=bool)
        used[data.pool_machine[pool[pool >= 0]]] = True
        if not np.isnan(data.spot_share_max):
            machine = data.purchase_machine[data.purchase_market == SPOT]
            group = self.index.spot_group
            used |= np.isin(group, group[machine[used[machine]]])
        idle = np.flatnonzero(~used[data.purchase_machine])
        columns = np.concatenate([self.col_rent[idle].ravel(), self.col_buy[idle]])
        columns = columns[columns >= 0].astype(np.int32)
        if len(columns):
            zero = np.zeros(len(columns))
            self.highs.changeColsBounds(len(columns), columns, zero, zero)

    def _mark_integers(self) -> None:
        decisions = self.decision_columns()
        counts = [self.col_replica, self.col_host, self.col_rent, self.col_buy, self.col_train]
        counts += [self.col_at_once]
        self.set_integers(np.concatenate([decisions, *(cols[cols >= 0] for cols in counts)]))
        # An artificial column in a plan would be a lie: none is allowed here.
        if self.artificial:
            self.fix(np.array(self.artificial), np.zeros(len(self.artificial)))

    def set_integers(self, columns: IntArray) -> None:
        """Make these columns integer and all others continuous."""
        kinds = np.full(self.highs.getNumCol(), highspy.HighsVarType.kContinuous)
        kinds[columns] = highspy.HighsVarType.kInteger
        self.highs.changeColsIntegrality(len(kinds), np.arange(len(kinds), dtype=np.int32), kinds)

    def fix(self, columns: IntArray, values: FloatArray | IntArray) -> None:
        """Hold columns at values."""
        self.keep_between(columns, values, values)

    def keep_between(
        self, columns: IntArray, least: FloatArray | IntArray, most: FloatArray | IntArray
    ) -> None:
        """Bounds of columns."""
        low, high = (np.ascontiguousarray(x, dtype=np.float64) for x in (least, most))
        self.highs.changeColsBounds(len(columns), columns.astype(np.int32), low, high)

    def decision_columns(self) -> IntArray:
        """Columns of yes-or-no decisions but copies: variants, regions and llms in use."""
        tables = (self.col_adopt, self.col_serves, self.col_open, self.col_keep)
        return np.concatenate([cols[cols >= 0].ravel() for cols in tables])

    def solve(
        self,
        time_limit_s: float,
        gap: float,
        start: Solution | None = None,
        *,
        check: bool = True,
        goes_on: Callable[[float], bool] = lambda bound: True,
        on_solution: Callable[[Solution], None] | None = None,
    ) -> tuple[Solution | None, Outcome]:
        """Branch and bound; the best solution found, or None, and why it stopped.

        With `check` a solution that rounding takes over a limit is none. `goes_on` is asked with
        the bound in the unit of the objective, `on_solution` hears of better plans on the way.
        """
        began = time.monotonic()
        self.highs.setOptionValue("mip_rel_gap", gap)
        if self.corner is not None:
            # A depth is a share of a range already, and often nearly zero.
            self.highs.setOptionValue("mip_abs_gap", gap * self.scale)
        if start is not None:
            self.set_start(start)
        constant = float(self.weights @ self.index.fixed_totals)

        def heard(x: FloatArray) -> None:
            found = self.solution_of(x)
            if on_solution is not None and obeys_limits(self.index, found):
                on_solution(found)

        end = run(
            self.highs,
            time_limit_s,
            goes_on=lambda bound: goes_on(bound / self.scale + constant),
            on_solution=None if on_solution is None else heard,
        )
        if not end.has_solution:
            return None, end
        if start is not None and misstated(self.highs, end):
            self.highs.clearSolver()
            left = time_limit_s - (time.monotonic() - began)
            return self.solve(left, gap, check=check, goes_on=goes_on, on_solution=on_solution)
        found = self.solution_of(np.array(self.highs.getSolution().col_value))
        return (found if not check or obeys_limits(self.index, found) else None), end

    def keep(self, solution: Solution, freed: BoolArray, t: int | None = None) -> None:
        """Hold the solution outside of the groups that are freed (bool (Q,)).

        Routes of other groups keep their shares. Where no freed group could be served, replicas and
        rentals keep their numbers; commitments keep theirs, but for machines that are touched in
        every slice they are used in. With a slice `t` replicas and rentals move in that slice
        alone, whatever is freed, and commitments not at all.
        """
        data, index = self.index.data, self.index
        routes = self.routes()
        free = freed[index.route_group[routes]]
        share = np.zeros(len(index.pool))
        share[solution.routes] = solution.serve
        held = routes[~free]
        self.fix(self.col_route[held], share[held])
        touched = np.zeros((len(data.machines), len(data.slices)), dtype=bool)
        loose = routes[free & (index.pool[routes] >= 0)]
        touched[data.pool_machine[index.pool[loose]], index.slice[loose]] = True
        used = np.zeros_like(touched)
        pool, when = np.nonzero(solution.replicas)
        used[data.pool_machine[pool], when] = True
        whole = np.asarray((touched | ~used).all(axis=1) & touched.any(axis=1))
        if t is not None:
            touched[:, np.arange(len(data.slices)) != t] = False
            whole[:] = False
        still = ~(touched | whole[:, None])
        for columns, values, outside in (
            (self.col_replica, solution.replicas, still[data.pool_machine]),
            (self.col_rent, solution.rent, still[data.purchase_machine]),
            (self.col_buy, solution.buy, ~whole[data.purchase_machine]),
        ):
            fixed = outside & (columns >= 0)
            self.fix(columns[fixed], values[fixed])

    def set_start(self, start: Solution) -> None:
        """Hand the integers of a known plan to HiGHS, which completes the rest."""
        value = self.start_values(start)
        known = np.flatnonzero(~np.isnan(value)).astype(np.int32)
        self.highs.setSolution(len(known), known, value[known])

    def start_values(self, start: Solution) -> FloatArray:
        """The columns of a known plan, NaN where it says nothing."""
        index = self.index
        value = np.full(self.highs.getNumCol(), np.nan)
        wanted = np.zeros(len(index.data.variants))
        wanted[start.adopt] = 1.0
        for cols, given in (
            (self.col_adopt, wanted),
            (self.col_replica, start.replicas),
            (self.col_host, start.host),
            (self.col_rent, start.rent),
            (self.col_buy, start.buy),
            (self.col_hold, start.hold),
            (self.col_at_once, at_once(start.hold)),
        ):
            inside = cols >= 0
            value[cols[inside]] = np.asarray(given, dtype=float)[inside]
        inside = self.col_route[start.routes] >= 0
        in_cols = self.routes()
        value[self.col_route[in_cols]] = 0.0
        value[self.col_route[start.routes[inside]]] = start.serve[inside]
        value[self.col_by_hour[self.col_by_hour >= 0]] = 0.0
        apart = self.col_by_hour[start.routes] >= 0
        value[self.col_by_hour[start.routes[apart]]] = start.by_hour[apart]
        return value

    def solution_of(self, x: FloatArray) -> Solution:
        """The plan behind column values; its integers must be whole within tolerance."""

        def taken(cols: IntArray) -> FloatArray:
            return np.where(cols >= 0, x[np.maximum(cols, 0)], 0.0)

        routes = self.routes()
        return whole_plan(
            self.index,
            taken(self.col_adopt),
            routes,
            x[self.col_route[routes]],
            taken(self.col_buy),
            taken(self.col_rent),
            taken(self.col_train),
            taken(self.col_by_hour[routes]),
            taken(self.col_hold),
        )
