"""Column generation: variants, routes and rows enter the master when they price in.

Every price vector met on the way proves a bound (`planner.solve.bound`). Pricing happens at the
master's prices mixed with the best ones so far (Wentges smoothing): degenerate duals swing, their
mixtures do not. Most rounds look at the variants in the master alone; all variants are priced every
few rounds, and before anything is claimed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.errors import SolverError
from planner.solve.bound import Bound, Prices, evaluate_bound, route_reduced_costs
from planner.solve.highs import run
from planner.solve.index import FleetIndex, RouteView, Span, best_per_group, routes_of
from planner.solve.master import Master
from planner.solve.solution import Solution

KEEP_ROUTES = 2000
"""Routes that stay in the master when it is thinned out, at twice as many."""
SMOOTHING = 0.85
"""Share of the best prices so far in the prices tried."""
WIDEN_EVERY = 5
"""Rounds between two looks at all variants."""
STARTING = 2
"""First columns of each group at each of the known prices."""
NO_ARTIFICIAL = 1e-7

BoundListener = Callable[[Bound], None]


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What a run of column generation holds."""

    value: float
    """objective of the master (not a bound unless converged)"""
    bound: Bound
    """the best proved bound met on the way"""
    artificial: float
    """sum of the artificial columns: > 0 means the master is not feasible yet"""
    adopt: FloatArray
    """float (V,)"""
    routes: IntArray
    """int (n,) generated routes with a positive value, index order"""
    serve: FloatArray
    """float (n,) their values"""
    buy: FloatArray
    """float (B,)"""
    rent: FloatArray
    """float (B, T)"""
    totals: FloatArray
    """float (4,) its cost, carbon, loss, water"""
    iterations: int
    converged: bool


class Generation:
    """Column generation on one master; `generate` is the algorithm."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self.allowed: IntArray | None = None
        """variants to which the relaxation is restricted, or None"""
        self.centre: Bound | None = None
        """prices to start the smoothing from"""
        self._span: Span | None = None

    # ------------------------------------------------------------------ beginnings

    def start(self, columns_per_group: int = 3) -> Bound:
        """First columns: for each workload its two best variants at the profile prices."""
        master, index = self.master, self.master.index
        found = evaluate_bound(index, master.profile_prices())
        master.scale_to(found.value)
        for variants in index.workload_variants:
            best = variants[np.argsort(found.variant_value[variants])[:2]]
            master.add_variants(best)
        mine = routes_of(index, self._active())
        master.add_routes(best_per_group(index, found.reduced[mine], mine, columns_per_group))
        if (~np.isnan(index.data.attainment_min)).any():
            # Also routes that keep their promise: the cheapest at a price on attainment.
            paid = found.reduced[mine] - max(abs(found.value), 1e-9) * index.attainment[mine]
            master.add_routes(best_per_group(index, paid, mine, 1))
        self.centre = found
        return found

    def start_from(self, centre: Prices, plan: Solution | None = None) -> None:
        """First columns at known prices for this master's objective, and those of a known plan:
        they make the first programs feasible."""
        master, index = self.master, self.master.index
        if plan is not None:
            master.add_variants(np.unique(plan.adopt))
            master.add_routes(plan.routes)
        found = self._price(centre, every=True)
        if self.allowed is None:
            for variants in index.workload_variants:
                master.add_variants(variants[np.argsort(found.variant_value[variants])[:2]])
        active = Span.of(index, self._active())
        reduced = found.reduced if found.span is not None else found.reduced[active.routes]
        master.add_routes(best_per_group(index, reduced, active.routes, STARTING))
        self.centre = found

    def restrict(self, allowed: IntArray | None) -> None:
        """Let the relaxation adopt these variants alone; None: all."""
        self.allowed, self._span = allowed, None
        master = self.master
        if allowed is not None:
            master.add_variants(allowed)
        inside = np.flatnonzero(master.col_adopt >= 0)
        upper = np.ones(len(inside)) if allowed is None else np.isin(inside, allowed).astype(float)
        columns = master.col_adopt[inside].astype(np.int32)
        master.highs.changeColsBounds(len(inside), columns, np.zeros(len(inside)), upper)

    # ------------------------------------------------------------------ the algorithm

    def generate(
        self,
        tolerance: float = 1e-5,
        deadline: float = float("inf"),
        *,
        max_rounds: int = 400,
        floor: float = 1e-9,
        enough: float = float("inf"),
        must_solve: bool = True,
        on_bound: BoundListener | None = None,
    ) -> Relaxation:
        """Solve, price, grow, until master and bound agree within the relative tolerance.

        Stops early once the bound reaches `enough`. The bound returned is one over all variants, or
        over the allowed ones; `on_bound` hears of every better one. Raises SolverError where the
        master cannot be solved; without `must_solve` time may run out before it is, and the bound
        is that of the prices to start from.
        """
        master = self.master
        best, self.centre = self.centre, None
        proved: Bound | None = None
        value, artificial, x = np.inf, np.inf, np.zeros(0)
        converged = False
        number = 0
        while number < max_rounds:
            number += 1
            solved = self._solve_master(deadline, number > 1 or not must_solve)
            if solved is None:
                break
            value, x, dual = solved
            artificial = float(x[master.artificial].sum())
            current = master.prices(dual)
            tried = current if best is None else current.mixed(best.prices, SMOOTHING)
            widen = number % WIDEN_EVERY == 0
            found = self._price(tried, every=widen)
            best = self._better(best, found)
            closed = value - master.goal(best) <= tolerance * max(abs(value), floor)
            if closed and not self._is_whole(best):
                found = best = self._price(best.prices, every=True)
                closed = value - master.goal(best) <= tolerance * max(abs(value), floor)
            if self._is_whole(found):
                proved = self._proved(proved, found, on_bound)
            if self._is_whole(best):
                proved = self._proved(proved, best, on_bound)
                if master.goal(best) >= enough:
                    break
            if not closed:
                master.purge(KEEP_ROUTES)
            grown = self._grow(current, found, dual)
            if not grown:
                found = self._price(current, every=True)
                best = self._better(best, found)
                proved = self._proved(proved, found, on_bound)
                grown = self._grow(current, found, dual)
            if closed or not grown:
                if artificial <= NO_ARTIFICIAL or master.penalty >= master.last_penalty:
                    converged = True
                    break
                master.penalty *= 10.0
                master.refresh_costs()
        if proved is None:
            assert best is not None
            proved = self._proved(None, self._price(best.prices, every=True), on_bound)
        return self._result(value, proved, x, artificial, number, converged)

    def _solve_master(
        self, deadline: float, may_stop: bool
    ) -> tuple[float, FloatArray, FloatArray] | None:
        """(value, columns, duals) of the master; None where time is up."""
        master = self.master
        left = deadline - time.monotonic()
        if left <= 0 and may_stop:
            return None
        end = run(master.highs, max(left, 0.5) if np.isfinite(left) else 1e6)
        if not end.has_solution or end.status != "optimal":
            if may_stop and end.status == "limit":
                return None
            raise SolverError(f"the relaxation stopped as {end.status}")
        solution = master.highs.getSolution()
        constant = float(master.weights @ master.index.fixed_totals)
        value = end.objective / master.scale + constant
        return value, np.array(solution.col_value), np.array(solution.row_dual)

    # ------------------------------------------------------------------ pricing

    def _active(self) -> IntArray:
        """Complete variants in the master that may be adopted."""
        active = (self.master.col_adopt >= 0) & self.master.index.variant_complete
        if self.allowed is not None:
            active &= np.isin(np.arange(len(active)), self.allowed)
        return np.flatnonzero(active)

    def _price(self, prices: Prices, *, every: bool) -> Bound:
        """The bound at prices, over all variants or those in the master; over the allowed ones
        alone where the relaxation is restricted."""
        if every and self.allowed is None:
            return evaluate_bound(self.master.index, prices)
        active = self._active()
        if self._span is None or not np.array_equal(self._span.variants, active):
            self._span = Span.of(self.master.index, active)
        return evaluate_bound(self.master.index, prices, self._span)

    def _is_whole(self, bound: Bound) -> bool:
        """Whether the bound looked at every variant that may be adopted."""
        return bound.span is None or self.allowed is not None

    def _better(self, best: Bound | None, found: Bound) -> Bound:
        """The bound that says more of this master's objective."""
        if best is not None and self.master.goal(found) <= self.master.goal(best):
            return best
        return found

    def _proved(self, proved: Bound | None, found: Bound, on_bound: BoundListener | None) -> Bound:
        """The better proved bound, reported when it is new."""
        better = self._better(proved, found)
        if better is not proved and on_bound is not None:
            on_bound(better)
        return better

    def _grow(self, current: Prices, found: Bound, dual: FloatArray) -> bool:
        """Add the best routes of `found` that price in at the `current` prices; False if none.

        Variants enter only when all were looked at: early prices flatter each of them.
        """
        master, index = self.master, self.master.index
        before = master.highs.getNumCol()
        if found.span is None:
            self._add_variants(found, dual)
        routes, group = self._best_routes(found)
        row = master.row_group[group]
        known = (row >= 0) & (row < len(dual))
        sigma = np.where(known, dual[np.where(known, row, 0)], np.inf) / master.scale
        cost = route_reduced_costs(current, RouteView.of(index, routes))
        chosen = routes[(sigma - cost > 1e-9 * (1.0 + np.abs(sigma))) & (row >= 0)]
        if len(chosen):
            # What pays in one slice tends to pay in the others: their prices settle together.
            master.add_routes(index.siblings(chosen))
        return bool(master.highs.getNumCol() > before)

    def _add_variants(self, found: Bound, dual: FloatArray) -> None:
        """Of each workload the variant that is most below what the workload costs now."""
        master, data = self.master, self.master.index.data
        theta = dual[master.row_one][data.variant_workload] / master.scale
        value = found.variant_value - theta
        cheaper = np.flatnonzero((master.col_adopt < 0) & (value < -1e-9 * (1.0 + np.abs(theta))))
        best_first = cheaper[np.argsort(value[cheaper])]
        _, first = np.unique(data.variant_workload[best_first], return_index=True)
        master.add_variants(best_first[first])

    def _best_routes(self, found: Bound) -> tuple[IntArray, IntArray]:
        """The cheapest route of every group of the active variants, and its group; int (n,)."""
        index, span = self.master.index, found.span
        if span is None:
            span = Span.of(index, self._active())
            reduced = found.reduced[span.routes]
            least = found.group_value[span.groups]
        else:
            reduced, least = found.reduced, found.group_value
        count = np.diff(span.start)
        hit = np.flatnonzero(reduced <= np.repeat(least, count))
        group = np.searchsorted(span.start, hit, side="right") - 1
        _, first = np.unique(group, return_index=True)
        return span.routes[hit[first]], span.groups[group[first]]

    def _result(
        self,
        value: float,
        bound: Bound,
        x: FloatArray,
        artificial: float,
        rounds: int,
        converged: bool,
    ) -> Relaxation:
        master = self.master

        def take(cols: IntArray) -> FloatArray:
            inside = (cols >= 0) & (cols < len(x))
            found = np.zeros(cols.shape)  # of a program that never got to a solution: nothing
            found[inside] = x[cols[inside]]
            return found

        routes = master.routes()
        serve = take(master.col_route[routes])
        used = serve > 1e-9
        return Relaxation(
            value=value,
            bound=bound,
            artificial=artificial,
            adopt=take(master.col_adopt),
            routes=routes[used],
            serve=serve[used],
            buy=take(master.col_buy),
            rent=take(master.col_rent),
            totals=master.index.fixed_totals + x @ master.totals[: len(x)],
            iterations=rounds,
            converged=converged,
        )


def generated(index: FleetIndex, weights: FloatArray, tolerance: float = 1e-6) -> Relaxation:
    """The relaxation of an index from scratch."""
    generation = Generation(Master(index, weights))
    generation.start()
    return generation.generate(tolerance)
