"""The program with few integers: sums of replicas are whole, the replicas themselves continuous.

Lanes and operating points make many nearly equal pools, which split every count of replicas;
branch and bound drowns in them. A sum of integers is an integer: with one integer for each class of
pools the program is a relaxation that still knows of whole machines, and what branch and bound
proves of it holds for every plan. From its solutions to plans: purchases and sums stay, replicas
become whole (`Aggregated.repaired`).

Residual-capacity rows make the relaxation tighter where replicas are large beside the demand
(Magnanti, Mirchandani, Vachani 1993): a route that needs s replicas for the whole item, with
c = ceil(s) and r = s - (c - 1), obeys ``x <= a - (r / s) (c a - n)`` in every plan, where x is what
it serves other than by the hour, a the adoption of its variant and n the replicas of its pool.
Where machines are large beside the demand: all routes of an item on a machine that need s instances
or more for it obey ``sum x <= 1 - (r / s) (c - h)``, where h are the instances held all slice;
where s <= 1 that is ``sum x <= h``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import Enum

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.highs import INFINITY, Outcome, add_columns, add_rows, misstated, run
from planner.solve.index import FleetIndex, routes_with
from planner.solve.restricted import Restricted
from planner.solve.solution import Solution, obeys_limits

ROUNDS = 8
"""Most rounds of separating residual-capacity rows."""
VIOLATED = 1e-3
"""By which a residual-capacity row must be violated to be added."""
MOST_REPLICAS = 20.0
"""Of a route: beyond them the row says hardly more than (3)."""
REPAIR_S, REPAIR_GAP = 1.0, 1e-4
"""Most seconds from a solution of the relaxation to a plan, and the gap at which it ends."""


class Level(Enum):
    """Which pools share one integer, from few integers to one for each pool."""

    MACHINES = "machines"
    """machine and accelerators per replica"""
    LANES = "lanes"
    """all that a pool is but its prompt lane"""
    POOLS = "pools"
    """nothing: the program itself"""


def pool_classes(index: FleetIndex, level: Level) -> IntArray:
    """The class of each pool, int (P,)."""
    data = index.data
    if level is Level.POOLS:
        return np.arange(len(data.pools))
    if level is Level.MACHINES:
        keys = np.stack([data.pool_machine, data.pool_accelerators], axis=1)
        return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1]).reshape(-1)
    kinds = np.array([name.rpartition("/")[0] or name for name in data.pools])
    return np.asarray(np.unique(kinds, return_inverse=True)[1]).reshape(-1)


class Aggregated(Restricted):
    """The program over given variants and routes with the integers of a level."""

    def __init__(
        self,
        index: FleetIndex,
        weights: FloatArray,
        variants: IntArray,
        routes: IntArray,
        level: Level,
        scale: float = 1.0,
        ranges: FloatArray | None = None,
    ) -> None:
        super().__init__(index, weights, variants, routes, scale, ranges)
        self.level = level
        self._add_sums(pool_classes(index, level))

    def _add_sums(self, classes: IntArray) -> None:
        """An integer for each class and slice with several pools; its pools become continuous."""
        pool, t = np.nonzero(self.col_replica >= 0)
        columns = self.col_replica[pool, t]
        key = classes[pool] * len(self.index.data.slices) + t
        _, place, count = np.unique(key, return_inverse=True, return_counts=True)
        several = np.flatnonzero(count > 1)
        number = np.full(len(count), -1)
        number[several] = np.arange(len(several))
        row = number[np.asarray(place).reshape(-1)]
        summed = row >= 0
        n = len(several)
        none = np.zeros(0, dtype=np.int64)
        zero = np.zeros(n)
        first = add_columns(self.highs, zero, zero, np.full(n, INFINITY), none, none, np.zeros(0))
        self.totals = np.concatenate([self.totals, np.zeros((n, 4))])
        self.sums = first + np.arange(n)
        self.sum_row, self.summed = row[summed], columns[summed]
        add_rows(
            self.highs,
            zero,
            zero,
            np.concatenate([self.sum_row, np.arange(n)]),
            np.concatenate([self.summed, self.sums]),
            np.concatenate([np.ones(len(self.summed)), -np.ones(n)]),
        )
        counts = (self.col_host, self.col_rent, self.col_buy, self.col_train, self.col_at_once)
        alone = np.setdiff1d(columns, self.summed)
        whole = [self.decision_columns(), alone, self.sums, *(c[c >= 0].ravel() for c in counts)]
        self.integers = np.concatenate(whole)
        self.set_integers(self.integers)

    def adopt_one_of(self, variants: IntArray) -> None:
        """Plans that adopt at least one of these variants alone, int (n,)."""
        columns = self.col_adopt[variants]
        n = len(columns)
        one, where = np.ones(1), np.zeros(n, dtype=np.int64)
        add_rows(self.highs, one, np.full(1, INFINITY), where, columns, np.ones(n))

    def cut_off(self, value: float) -> None:
        """Solutions of no more than this value of the objective alone."""
        cost = self.totals @ self.weights
        columns = np.flatnonzero(cost)
        limit = value - float(self.weights @ self.index.fixed_totals)
        add_rows(
            self.highs,
            np.full(1, -INFINITY),
            np.full(1, limit * self.scale),
            np.zeros(len(columns), dtype=np.int64),
            columns,
            cost[columns] * self.scale,
        )

    # ------------------------------------------------------------------ residual capacity

    def tighten(self, limit_s: float) -> float:
        """Add the residual-capacity rows that the linear relaxation violates; the bound that it
        then proves, in the unit of the objective: -inf where there was no time for any."""
        highs = self.highs
        self.set_integers(np.zeros(0, dtype=np.int64))
        kinds = (_Links(self), _MachineLinks(self))
        bound = -np.inf
        deadline = time.monotonic() + limit_s
        for _ in range(ROUNDS):
            end = run(highs, deadline - time.monotonic())
            highs.setOptionValue("presolve", "off")  # from here on the basis is known
            if end.status != "optimal":
                break
            bound = end.objective / self.scale + float(self.weights @ self.index.fixed_totals)
            x = np.array(highs.getSolution().col_value)
            added = [rows.add_violated(x) for rows in kinds]
            if not any(added):
                break
        highs.clearSolver()
        highs.setOptionValue("presolve", "on")
        self.set_integers(self.integers)
        return bound

    # ------------------------------------------------------------------ branch and bound

    def search(
        self,
        time_limit_s: float,
        gap: float,
        start: Solution | None,
        goes_on: Callable[[float], bool],
        on_solution: Callable[[Solution], None],
    ) -> tuple[float, Outcome]:
        """Branch and bound: (proved bound in the unit of the objective, why it stopped).

        `goes_on` is asked with the bound proved so far, `on_solution` hears of plans.
        """
        began = time.monotonic()
        constant = float(self.weights @ self.index.fixed_totals)
        self.highs.setOptionValue("mip_rel_gap", gap)
        if self.corner is not None:
            # A depth is a share of a range already, and often nearly zero.
            self.highs.setOptionValue("mip_abs_gap", gap * self.scale)
        if start is not None:
            self.set_start(start)

        def heard(x: FloatArray) -> None:
            for found in (self.solution_of(x), self.repaired(x)):
                if found is not None and obeys_limits(self.index, found):
                    on_solution(found)

        end = run(
            self.highs,
            time_limit_s,
            goes_on=lambda bound: goes_on(bound / self.scale + constant),
            on_solution=heard,
        )
        if start is not None and end.has_solution and misstated(self.highs, end):
            self.highs.clearSolver()
            left_s = time_limit_s - (time.monotonic() - began)
            return self.search(left_s, gap, None, goes_on, on_solution)
        return end.bound / self.scale + constant, end

    def is_infeasible_again(self, limit_s: float) -> bool:
        """Whether HiGHS finds no solution without presolve and from another seed either: one
        "infeasible" alone has been wrong."""
        self.highs.clearSolver()
        self.highs.setOptionValue("presolve", "off")
        self.highs.setOptionValue("random_seed", 1)
        return run(self.highs, limit_s).status == "infeasible"

    def start_values(self, start: Solution) -> FloatArray:
        """The columns of a known plan, its sums too."""
        value = super().start_values(start)
        replicas = value[self.summed]
        value[self.sums] = np.bincount(self.sum_row, replicas, minlength=len(self.sums))
        return value

    def repaired(self, x: FloatArray) -> Solution | None:
        """A plan with the adoption and purchases of column values and whole replicas; where there
        is none, more may be rented."""
        if self.level is Level.POOLS:
            return None
        program = Restricted(
            self.index, self.weights, *self._near(x), scale=self.scale, ranges=self.ranges
        )
        if self.corner is not None:
            program.set_corner(self.corner, self.weights)
        bought, rented = self.col_buy >= 0, self.col_rent >= 0
        program.fix(program.col_buy[bought], np.rint(x[self.col_buy[bought]]))
        columns = program.col_rent[rented]
        least = np.rint(x[self.col_rent[rented]])
        program.fix(columns, least)
        found, _ = program.solve(REPAIR_S, REPAIR_GAP)
        if found is None:
            limit = np.repeat(self.index.data.purchase_limit[:, None], rented.shape[1], axis=1)
            program.highs.changeColsBounds(
                len(columns), columns.astype(np.int32), least, limit[rented]
            )
            found, _ = program.solve(REPAIR_S, REPAIR_GAP)
        return found

    def _near(self, x: FloatArray) -> tuple[IntArray, IntArray]:
        """The variants adopted, and their routes on machines that are held, to hosted llms, or in
        use by the hour."""
        index, data = self.index, self.index.data
        adopted = np.flatnonzero((self.col_adopt >= 0) & (x[np.maximum(self.col_adopt, 0)] > 0.5))
        held = data.machine_fixed.astype(float)
        for columns in (self.col_rent, np.repeat(self.col_buy[:, None], held.shape[1], axis=1)):
            value = np.where(columns >= 0, x[np.maximum(columns, 0)], 0.0)
            np.add.at(held, data.purchase_machine, value)
        routes = routes_with(index, self.routes(), adopted)
        pool = index.pool[routes]
        machine = data.pool_machine[np.maximum(pool, 0)] if len(data.pools) else pool
        apart = self.col_by_hour[routes]
        usable = (pool < 0) | ((apart >= 0) & (x[np.maximum(apart, 0)] > VIOLATED))
        if len(data.pools):
            usable |= held[machine, index.slice[routes]] > 0.5
        return adopted, routes[usable]


class _Links:
    """The residual-capacity rows of a program's routes; `add_violated` separates them."""

    def __init__(self, program: Aggregated) -> None:
        index = program.index
        routes = program.routes()
        need = index.share[routes].max(axis=1, initial=0.0)
        fitting = (index.pool[routes] >= 0) & (need > 0.0) & (need < MOST_REPLICAS)
        routes, need = routes[fitting], need[fitting]
        count = np.ceil(need)
        self.slope = (need - (count - 1.0)) / need
        self.base = self.slope * count - 1.0
        self.program = program
        self.serve = program.col_route[routes]
        self.by_hour = program.col_by_hour[routes]
        self.adopt = program.col_adopt[index.route_variant[routes]]
        self.replicas = program.col_replica[index.pool[routes], index.slice[routes]]
        self.present = np.zeros(len(routes), dtype=bool)

    def add_violated(self, x: FloatArray) -> bool:
        """Add the rows that column values violate; whether there are any."""
        above = x[self.serve] + self.base * x[self.adopt] - self.slope * x[self.replicas]
        above -= np.where(self.by_hour >= 0, x[self.by_hour], 0.0)
        chosen = np.flatnonzero((above > VIOLATED) & ~self.present)
        self.present[chosen] = True
        n = len(chosen)
        apart = np.flatnonzero(self.by_hour[chosen] >= 0)
        columns = [self.serve, self.adopt, self.replicas]
        add_rows(
            self.program.highs,
            np.full(n, -INFINITY),
            np.zeros(n),
            np.concatenate([np.tile(np.arange(n), 3), apart]),
            np.concatenate([*(c[chosen] for c in columns), self.by_hour[chosen[apart]]]),
            np.concatenate(
                [np.ones(n), self.base[chosen], -self.slope[chosen], -np.ones(len(apart))]
            ),
        )
        return n > 0


class _MachineLinks:
    """The residual-capacity rows of a program's items and machines; `add_violated` separates
    them."""

    def __init__(self, program: Aggregated) -> None:
        index, data = program.index, program.index.data
        routes = program.routes()
        routes = routes[index.pool[routes] >= 0]
        pool = index.pool[routes]
        need = index.share[routes].max(axis=1, initial=0.0)
        self.machine = data.pool_machine[pool]
        need *= data.pool_accelerators[pool] / data.machine_size[self.machine]
        fitting = (need > 0.0) & (need < MOST_REPLICAS)
        self.routes, self.need = routes[fitting], need[fitting]
        self.machine, self.slice = self.machine[fitting], index.slice[self.routes]
        leg = index.group_leg[index.route_group[self.routes]]
        keys = np.stack([index.route_item[self.routes], leg, self.machine, self.slice], axis=1)
        first, self.key = np.unique(keys, axis=0, return_index=True, return_inverse=True)[1:]
        self.key = np.asarray(self.key).reshape(-1)
        self.first = first
        self.serve = program.col_route[self.routes]
        self.by_hour = program.col_by_hour[self.routes]
        self.program = program
        self.least = np.full(len(first), np.inf)
        """need from which a row stands, by key; inf: none"""

    def add_violated(self, x: FloatArray) -> bool:
        """Add the rows that column values violate; whether there are any."""
        keys = len(self.first)
        if not keys:
            return False
        value = x[self.serve] - np.where(self.by_hour >= 0, x[self.by_hour], 0.0)
        least = np.full(keys, np.inf)
        used = value > VIOLATED
        np.minimum.at(least, self.key[used], self.need[used])
        inside = self.need >= np.where(least <= 1.0, 0.0, least)[self.key]
        served = np.bincount(self.key, np.where(inside, value, 0.0), minlength=keys)
        with np.errstate(invalid="ignore"):
            count = np.ceil(least)
            slope = np.where(least <= 1.0, 1.0, (least - (count - 1.0)) / least)
            above = served - 1.0 + slope * (count - self._held(x))
        chosen = np.flatnonzero((least < self.least) & (above > VIOLATED))
        self.least[chosen] = least[chosen]
        self._add(chosen, slope[chosen], count[chosen], inside)
        return len(chosen) > 0

    def _held(self, x: FloatArray) -> FloatArray:
        """Instances held in the column values, by key."""
        data = self.program.index.data
        held = data.machine_fixed.astype(float)
        for purchase, columns in self._counts():
            np.add.at(held, data.purchase_machine[purchase], np.where(columns >= 0, x[columns], 0))
        return np.asarray(held[self.machine[self.first], self.slice[self.first]])

    def _counts(self) -> Iterator[tuple[IntArray, IntArray]]:
        """Purchases and their columns of instances, int (n, T): bought, rented."""
        program = self.program
        every = np.arange(len(program.col_buy))
        slices = program.col_rent.shape[1]
        yield every, np.repeat(program.col_buy[:, None], slices, axis=1)
        yield every, program.col_rent

    def _add(self, keys: IntArray, slope: FloatArray, count: FloatArray, inside: BoolArray) -> None:
        n = len(keys)
        number = np.full(len(self.first), -1)
        number[keys] = np.arange(n)
        served = np.flatnonzero(inside & (number[self.key] >= 0))
        data = self.program.index.data
        machine, part = self.machine[self.first[keys]], self.slice[self.first[keys]]
        apart = served[self.by_hour[served] >= 0]
        rows = [number[self.key[served]], number[self.key[apart]]]
        columns = [self.serve[served], self.by_hour[apart]]
        values = [np.ones(len(served)), -np.ones(len(apart))]
        for purchase, table in self._counts():
            row, bought = np.nonzero(data.purchase_machine[purchase] == machine[:, None])
            column = table[bought, part[row]]
            there = column >= 0
            rows.append(row[there])
            columns.append(column[there])
            values.append(-slope[row[there]])
        add_rows(
            self.program.highs,
            np.full(n, -INFINITY),
            1.0 - slope * (count - data.machine_fixed[machine, part]),
            *(np.concatenate(parts) for parts in (rows, columns, values)),
        )
