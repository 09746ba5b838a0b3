"""The relaxation by column generation: variants, routes and rows enter when they price in.

The master is the linear relaxation of the fleet program over the columns seen so far. Pools
with one binding capacity row have no replica column: their load goes straight to the machine
row (a replica costs exactly its accelerators). Everything is warm: changing weights or caps
changes costs and right-hand sides only, and keeps basis, columns and rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.errors import SolverError
from planner.solve.bound import (
    Bound,
    Prices,
    caps_of,
    evaluate_bound,
    with_default_replica_prices,
)
from planner.solve.highs import INFINITY, add_columns, add_rows, new_highs, run
from planner.solve.index import FleetIndex


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
    iterations: int
    converged: bool


class Master:
    """A growing linear program; see the module docstring."""

    penalty = 1e6

    def __init__(
        self,
        index: FleetIndex,
        weights: FloatArray,
        caps: FloatArray | None = None,
        *,
        scale: float = 1.0,
        ranges: FloatArray | None = None,
        all_replicas: bool = False,
    ) -> None:
        data = index.data
        self.index = index
        self.weights = np.asarray(weights, dtype=float)
        self.caps = caps_of(index) if caps is None else np.asarray(caps, dtype=float)
        self.highs = new_highs(presolve="off", solver="simplex", simplex_strategy=4)
        self.totals = np.zeros((0, 4))
        self.scale = scale
        self.ranges = ranges
        self.corner: FloatArray | None = None
        W, V, R = len(data.workloads), len(data.variants), len(data.regions)
        T, H, P, G = len(data.slices), len(data.machines), len(data.pools), len(data.origins)
        L, K, Q = len(data.llms), len(data.quota_names), len(index.group_item)
        self.col_adopt = np.full(V, -1)
        self.col_route = np.full(len(index.pool), -1)
        self.col_replica = np.full((P, T), -1)
        self.col_host = np.full((V, R), -1)
        self.col_train = np.full(len(data.training_variant), -1)
        self.col_rent = np.full((len(data.purchase_machine), T), -1)
        self.col_buy = np.full(len(data.purchase_machine), -1)
        self.routes_in: list[IntArray] = []
        self.artificial: list[int] = []
        self.row_group = np.full(Q, -1)
        self.row_train = np.full(V, -1)
        self.row_replica = np.full((P, T, 4), -1)
        self.row_host = np.full((V, R, G), -1)
        self.row_survive = np.full((W, R, T), -1)
        self.row_open = np.full((W, R), -1)
        self.row_spread = np.full((W, R), -1)
        self.row_keep = np.full((V, L), -1)
        self.single_row: BoolArray = (index.pool_rows.sum(axis=1) <= 1) & (not all_replicas)
        self._build_fixed_part(W, R, T, H, K, L)

    # ------------------------------------------------------------------ building

    def _rows(self, count: int, upper: FloatArray | float, lower: FloatArray | float = -INFINITY) -> IntArray:
        empty = np.zeros(0)
        first = add_rows(
            self.highs,
            np.broadcast_to(np.asarray(lower, dtype=float), count).copy(),
            np.broadcast_to(np.asarray(upper, dtype=float), count).copy(),
            empty.astype(np.int64),
            empty.astype(np.int64),
            empty,
        )
        return first + np.arange(count)

    def _columns(
        self,
        totals: FloatArray,
        entries: list[tuple[IntArray, IntArray, FloatArray]],
        upper: FloatArray | float = INFINITY,
    ) -> IntArray:
        """Add columns with objective totals (n, 4); entries are (row, column, value) triplets."""
        count = len(totals)
        entries = list(entries)
        for which in range(4):
            for row, unit in (
                (self.row_cap[which], self.cap_unit[which]),
                (self.row_corner[which], self.corner_unit[which]),
            ):
                if row >= 0:
                    entries.append((np.full(count, row), np.arange(count), totals[:, which] / unit))
        rows = np.concatenate([e[0] for e in entries]) if entries else np.zeros(0, dtype=np.int64)
        cols = np.concatenate([e[1] for e in entries]) if entries else np.zeros(0, dtype=np.int64)
        vals = np.concatenate([e[2] for e in entries]) if entries else np.zeros(0)
        keep = (rows >= 0) & (vals != 0.0)
        first = add_columns(
            self.highs,
            totals @ self.weights * self.scale,
            np.zeros(count),
            np.broadcast_to(np.asarray(upper, dtype=float), count).copy(),
            rows[keep],
            cols[keep],
            vals[keep],
        )
        self.totals = np.concatenate([self.totals, totals])
        return first + np.arange(count)

    def _build_fixed_part(self, W: int, R: int, T: int, H: int, K: int, L: int) -> None:
        index, data = self.index, self.index.data
        fixed = index.fixed_totals
        self.row_cap, self.row_corner = np.full(4, -1), np.full(4, -1)
        self.cap_unit, self.corner_unit = np.ones(4), np.ones(4)
        for which in range(4):
            if not np.isnan(self.caps[which]):
                self.cap_unit[which] = max(abs(self.caps[which]), 1e-9)
                limit = (self.caps[which] - fixed[which]) / self.cap_unit[which]
                self.row_cap[which] = self._rows(1, limit)[0]
        if self.ranges is not None:
            self.corner_unit[:3] = self.ranges
            self.row_corner[:3] = self._rows(3, INFINITY)
            self.col_depth = add_columns(
                self.highs, np.zeros(1), np.zeros(1), np.zeros(1),
                self.row_corner[:3], np.zeros(3, dtype=np.int64), -np.ones(3),
            )
            self.totals = np.concatenate([self.totals, np.zeros((1, 4))])
        self.row_one = self._rows(W, 1.0, 1.0)
        size = data.machine_size.astype(float)
        self.row_machine = self._rows(H * T, np.repeat(size * data.machine_fixed, T)).reshape(H, T)
        self.row_quota = self._rows(K * T, np.repeat(data.quota_accelerators, T)).reshape(K, T)
        spot_groups = int(index.spot_group.max(initial=-1)) + 1
        self.row_spot = np.full((spot_groups, T), -1)
        if not np.isnan(data.spot_share_max):
            fixed_here = np.bincount(index.spot_group, size * data.machine_fixed, minlength=spot_groups)
            self.row_spot = self._rows(
                spot_groups * T, np.repeat(data.spot_share_max * fixed_here, T)
            ).reshape(spot_groups, T)
        self.row_added = np.full((H, T), -1)
        self.row_added_total = -1
        if index.counts_added:
            base = (data.machine_incumbent - size * data.machine_fixed).astype(float)
            self.row_added = self._rows(H * T, np.repeat(base, T)).reshape(H, T)
            entries = [(self.row_added[:, t], np.arange(H), -np.ones(H)) for t in range(T)]
            if not np.isnan(data.max_added_accelerators):
                self.row_added_total = int(self._rows(1, data.max_added_accelerators)[0])
                entries.append((np.full(H, self.row_added_total), np.arange(H), np.ones(H)))
            totals = np.zeros((H, 4))
            totals[:, 0] = data.change_usd_per_accelerator
            self._columns(totals, entries)
        self.row_attain = np.full(W, -1)
        self.row_floor = np.full(W, -1)
        artificial_rows = []
        attained = np.flatnonzero(~np.isnan(data.attainment_min))
        if len(attained):
            self.row_attain[attained] = self._rows(
                len(attained), INFINITY, data.attainment_min[attained]
            )
            artificial_rows += [(int(row), 1.0) for row in self.row_attain[attained]]
        floored = np.flatnonzero(~np.isnan(data.workload_loss_max))
        if len(floored):
            limit = (data.workload_loss_max * index.workload_qoe_weight)[floored]
            self.row_floor[floored] = self._rows(len(floored), limit)
            artificial_rows += [(int(row), -1.0) for row in self.row_floor[floored]]
        self.row_changed = -1
        if not np.isnan(data.max_changed_workloads):
            limit = data.max_changed_workloads - len(data.workloads)
            self.row_changed = int(self._rows(1, limit)[0])
            artificial_rows.append((self.row_changed, -1.0))
        self.col_serves = np.full((W, R), -1)
        spread = np.flatnonzero(index.spreads)
        if len(spread):
            count = self._rows(len(spread), INFINITY, data.min_regions[spread].astype(float))
            artificial_rows += [(int(row), 1.0) for row in count]
            self.row_spread[spread] = self._rows(len(spread) * R, 0.0).reshape(len(spread), R)
            self.row_spread_count = np.full(W, -1)
            self.row_spread_count[spread] = count
            rows, n = self.row_spread[spread].ravel(), len(spread) * R
            self.col_serves[spread] = self._columns(
                np.zeros((n, 4)),
                [
                    (rows, np.arange(n), np.full(n, data.min_region_share)),
                    (np.repeat(count, R), np.arange(n), np.ones(n)),
                ],
                1.0,
            ).reshape(len(spread), R)
        self.row_open_count = -1
        self.col_open = np.full(R, -1)
        if index.opens:
            self.row_open[:] = self._rows(W * R, 0.0).reshape(W, R)
            entries = [(self.row_open[w], np.arange(R), np.full(R, -2.0)) for w in range(W)]
            if not np.isnan(data.max_regions):
                self.row_open_count = int(self._rows(1, data.max_regions)[0])
                entries.append((np.full(R, self.row_open_count), np.arange(R), np.ones(R)))
            totals = np.zeros((R, 4))
            totals[:, 0] = data.region_fixed_cost_usd
            self.col_open = self._columns(totals, entries, 1.0)
        self.row_keep_count = -1
        self.col_keep = np.full(L, -1)
        if not np.isnan(data.max_llms):
            self.row_keep_count = int(self._rows(1, data.max_llms)[0])
            self.col_keep = self._columns(
                np.zeros((L, 4)),
                [(np.full(L, self.row_keep_count), np.arange(L), np.ones(L))],
                1.0,
            )
        self._build_purchases(T)
        if (data.region_share_max < 1.0).any():
            limited = np.flatnonzero(data.region_share_max < 1.0)
            upper = np.repeat(data.region_share_max[limited], R * T)
            self.row_survive[limited] = self._rows(len(upper), upper).reshape(len(limited), R, T)
        for which in range(4):
            if self.row_cap[which] >= 0:
                artificial_rows.append((int(self.row_cap[which]), -1.0))
        for row, sign in artificial_rows:
            self._artificial(np.array([row]), np.array([sign]))

    def _build_purchases(self, T: int) -> None:
        index, data = self.index, self.index.data
        machine = data.purchase_machine
        size = data.machine_size[machine].astype(float)
        totals = index.purchase_totals
        for per_slice in (True, False):
            chosen = np.flatnonzero(data.purchase_per_slice == per_slice)
            n = len(chosen)
            if n == 0:
                continue
            usable = size[chosen] * (data.purchase_availability[chosen] if per_slice else 1.0)
            spot = (data.purchase_market[chosen] == 1).astype(float)
            share = 0.0 if np.isnan(data.spot_share_max) else data.spot_share_max
            counts = n * T if per_slice else n
            entries = []
            for t in range(T):
                where = np.arange(n) * T + t if per_slice else np.arange(n)
                entries.append((self.row_machine[machine[chosen], t], where, -usable))
                entries.append(
                    (
                        self.row_spot[index.spot_group[machine[chosen]], t],
                        where,
                        size[chosen] * (spot - share),
                    )
                )
                entries.append((self.row_added[machine[chosen], t], where, size[chosen]))
                for k in range(len(data.quota_names)):
                    counted = data.quota_purchase[k, chosen]
                    entries.append(
                        (
                            np.full(n, self.row_quota[k, t]),
                            where,
                            np.where(counted, size[chosen], 0.0),
                        )
                    )
            if per_slice:
                column = self._columns(
                    totals[chosen].reshape(counts, 4), entries, np.repeat(data.purchase_limit[chosen], T)
                )
                self.col_rent[chosen] = column.reshape(n, T)
            else:
                self.col_buy[chosen] = self._columns(
                    totals[chosen].sum(axis=1), entries, data.purchase_limit[chosen]
                )

    def _artificial(self, rows: IntArray, signs: FloatArray) -> None:
        """Columns that make a row satisfiable at a price no plan would pay."""
        n = len(rows)
        empty = np.zeros((n, 4))
        first = add_columns(
            self.highs, np.full(n, self.penalty), np.zeros(n), np.full(n, INFINITY),
            rows, np.arange(n), signs,
        )
        self.totals = np.concatenate([self.totals, empty])
        self.artificial += list(range(first, first + n))

    # ------------------------------------------------------------------ growing

    def add_variants(self, variants: IntArray) -> None:
        """Bring variants in: their adopt column, group rows, training and llm links."""
        index, data = self.index, self.index.data
        for v in variants:
            if self.col_adopt[v] >= 0:
                continue
            groups = np.arange(index.variant_group_start[v], index.variant_group_start[v + 1])
            self.row_group[groups] = self._rows(len(groups), 0.0, 0.0)
            rows = [np.array([self.row_one[data.variant_workload[v]]]), self.row_group[groups]]
            vals = [np.ones(1), -np.ones(len(groups))]
            if self.row_changed >= 0 and data.variant_is_incumbent[v]:
                rows.append(np.array([self.row_changed]))
                vals.append(-np.ones(1))
            options = np.arange(index.training_start[v], index.training_start[v + 1])
            if len(options):
                self.row_train[v] = self._rows(1, 0.0, 0.0)[0]
                rows.append(self.row_train[[v]])
                vals.append(-np.ones(1))
            if self.row_keep_count >= 0:
                llms = np.flatnonzero(data.variant_llms[v])
                self.row_keep[v, llms] = self._rows(len(llms), 0.0)
                for row, llm in zip(self.row_keep[v, llms], llms, strict=True):
                    self.highs.changeCoeff(int(row), int(self.col_keep[llm]), -1.0)
                rows.append(self.row_keep[v, llms])
                vals.append(np.ones(len(llms)))
            row, val = np.concatenate(rows), np.concatenate(vals)
            self.col_adopt[v] = self._columns(
                index.variant_totals[[v]], [(row, np.zeros(len(row), dtype=np.int64), val)], 1.0
            )[0]
            if len(options):
                self.col_train[options] = self._columns(
                    index.training_totals[options],
                    [(np.full(len(options), self.row_train[v]), np.arange(len(options)), np.ones(len(options)))],
                    1.0,
                )
            self._artificial(self.row_group[groups], np.ones(len(groups)))

    def add_routes(self, routes: IntArray) -> None:
        """Bring routes in (their variants must be in), with the rows they touch."""
        index, data = self.index, self.index.data
        routes = np.unique(routes[self.col_route[routes] < 0])
        n = len(routes)
        if n == 0:
            return
        self._ensure_replica_rows(routes)
        self._ensure_host_rows(routes)
        where = np.arange(n)
        pool, t = index.pool[routes], index.slice[routes]
        share = index.share[routes]
        served = pool >= 0
        entries = [(self.row_group[index.route_group[routes]], where, np.ones(n))]
        single = served & self.single_row[np.maximum(pool, 0)]
        machine = data.pool_machine[np.maximum(pool, 0)]
        per_replica = data.pool_accelerators[np.maximum(pool, 0)].astype(float)
        main = share[where, index.pool_main_row[np.maximum(pool, 0)]]
        entries.append((np.where(single, self.row_machine[machine, t], -1), where, per_replica * main))
        for row in range(4):
            number = self.row_replica[np.maximum(pool, 0), t, row]
            entries.append((np.where(served & ~single, number, -1), where, share[:, row]))
        host = index.host_row[routes]
        flat = self.row_host.reshape(-1)
        entries.append((np.where(host >= 0, flat[np.maximum(host, 0)], -1), where, index.host_weight[routes]))
        survive = index.survive_row[routes]
        flat = self.row_survive.reshape(-1)
        entries.append(
            (np.where(survive >= 0, flat[np.maximum(survive, 0)], -1), where, index.survive_weight[routes])
        )
        workload, region = index.route_workload[routes], index.region_row[routes]
        weight = index.region_weight[routes]
        entries.append(
            (np.where(region >= 0, self.row_open.reshape(-1)[np.maximum(region, 0)], -1), where, weight)
        )
        first_leg = (region >= 0) & (index.route_leg[routes] == 0)
        entries.append(
            (np.where(first_leg, self.row_spread.reshape(-1)[np.maximum(region, 0)], -1), where, -weight)
        )
        entries.append((self.row_attain[workload], where, index.attainment[routes]))
        entries.append((self.row_floor[workload], where, index.floor_loss[routes]))
        totals = np.stack(
            [index.cost[routes], index.carbon[routes], index.loss[routes], index.water[routes]], axis=1
        )
        self.col_route[routes] = self._columns(totals, entries)
        self.routes_in.append(routes)

    def _ensure_replica_rows(self, routes: IntArray) -> None:
        """Replica columns and their rows for pools with several binding rows."""
        index, data = self.index, self.index.data
        T = len(data.slices)
        pool = index.pool[routes]
        multi = (pool >= 0) & ~self.single_row[np.maximum(pool, 0)]
        keys = np.unique(index.pool_slice[routes[multi]])
        p, t = keys // T, keys % T
        fresh = self.col_replica[p, t] < 0
        p, t = p[fresh], t[fresh]
        n = len(p)
        if n == 0:
            return
        machine = self.row_machine[data.pool_machine[p], t]
        per_replica = data.pool_accelerators[p].astype(float)
        self.col_replica[p, t] = self._columns(np.zeros((n, 4)), [(machine, np.arange(n), per_replica)])
        which, row = np.nonzero(index.pool_rows[p])
        first = add_rows(
            self.highs,
            np.full(len(row), -INFINITY),
            np.zeros(len(row)),
            np.arange(len(row)),
            self.col_replica[p, t][which],
            -np.ones(len(row)),
        )
        self.row_replica[p[which], t[which], row] = first + np.arange(len(row))

    def _ensure_host_rows(self, routes: IntArray) -> None:
        """Host columns, and the row of (7) of each origin."""
        index, data = self.index, self.index.data
        keys = np.unique(index.host_row[routes])
        keys = keys[keys >= 0]
        R, G = len(data.regions), len(data.origins)
        v, r, g = keys // (R * G), keys // G % R, keys % G
        fresh = self.row_host[v, r, g] < 0
        v, r, g = v[fresh], r[fresh], g[fresh]
        if len(v) == 0:
            return
        pairs = np.unique(np.stack([v, r], axis=1), axis=0)
        pairs = pairs[self.col_host[pairs[:, 0], pairs[:, 1]] < 0]
        if len(pairs):
            totals = np.zeros((len(pairs), 4))
            totals[:, 0] = data.host_cost_usd[pairs[:, 0], pairs[:, 1]]
            totals[:, 1] = data.host_carbon_kgco2e[pairs[:, 0], pairs[:, 1]]
            self.col_host[pairs[:, 0], pairs[:, 1]] = self._columns(totals, [], 1.0)
        n = len(v)
        first = add_rows(
            self.highs, np.full(n, -INFINITY), np.zeros(n), np.arange(n), self.col_host[v, r], -np.ones(n)
        )
        self.row_host[v, r, g] = first + np.arange(n)

    # ------------------------------------------------------------------ changing

    def set_weights(self, weights: FloatArray) -> None:
        """Minimise other weights of cost, carbon, loss and water; the basis stays."""
        self.weights = np.asarray(weights, dtype=float)
        self.corner = None
        if self.ranges is not None:
            self._bound_depth(0.0, 0.0, np.full(3, INFINITY))
        self._refresh_costs()

    def set_corner(self, corner: FloatArray, tie_weights: FloatArray | None = None) -> None:
        """Minimise the depth t with f_i <= corner_i + ranges_i t (Pascoletti and Serafini 1984).

        An infinite corner coordinate drops its row. `tie_weights` (4,) are added to t.
        """
        assert self.ranges is not None, "build the master with `ranges` to use corners"
        self.weights = np.zeros(4) if tie_weights is None else np.asarray(tie_weights, dtype=float)
        self.corner = np.asarray(corner, dtype=float)
        limit = (self.corner - self.index.fixed_totals[:3]) / self.ranges
        self._bound_depth(-INFINITY, INFINITY, np.where(np.isfinite(limit), limit, INFINITY))
        self._refresh_costs()

    def _bound_depth(self, lower: float, upper: float, limits: FloatArray) -> None:
        self.highs.changeColBounds(self.col_depth, lower, upper)
        for row, limit in zip(self.row_corner[:3], limits, strict=True):
            self.highs.changeRowBounds(int(row), -INFINITY, float(limit))

    def _refresh_costs(self) -> None:
        cost = self.totals @ self.weights * self.scale
        cost[self.artificial] = self.penalty
        if self.corner is not None:
            cost[self.col_depth] = self.scale
        self.highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)

    # ------------------------------------------------------------------ solving

    def prices(self, dual: FloatArray) -> Prices:
        """Row duals of the master as prices >= 0, pools it has not seen filled in."""
        dual = dual / self.scale

        def take(rows: IntArray, sign: float = -1.0) -> FloatArray:
            return np.where(rows >= 0, sign * dual[np.maximum(rows, 0)], 0.0)

        def single(row: int) -> float:
            return float(-dual[row]) if row >= 0 else 0.0

        index = self.index
        blank = Prices.zero(index, self.weights)
        count = np.zeros(len(index.data.workloads))
        if index.spreads.any():
            count = take(self.row_spread_count, 1.0)
        weights = self.weights + take(self.row_corner) / self.corner_unit
        raw = replace(
            blank,
            weights=np.maximum(weights, 0.0),
            cap=take(self.row_cap) / self.cap_unit,
            replica=take(self.row_replica),
            machine=take(self.row_machine),
            quota=take(self.row_quota),
            host=take(self.row_host),
            survive=take(self.row_survive),
            spot=take(self.row_spot),
            attain=take(self.row_attain, 1.0),
            floor=take(self.row_floor),
            spread=take(self.row_spread),
            spread_count=count,
            open=take(self.row_open),
            open_count=single(self.row_open_count),
            keep=take(self.row_keep),
            keep_count=single(self.row_keep_count),
            added=take(self.row_added),
            added_total=single(self.row_added_total),
            changed=single(self.row_changed),
        ).clipped()
        return with_default_replica_prices(index, raw, self.col_replica >= 0)

    def goal(self, bound: Bound) -> float:
        """What the bound says of this master's objective: of t, when a corner is set."""
        if self.corner is None:
            return bound.value
        pull = bound.prices.weights[:3]
        finite = np.isfinite(self.corner)
        return bound.value - float(pull[finite] @ self.corner[finite])

    def start(self, prices: Prices) -> None:
        """First columns: for each workload its two best variants at the prices."""
        found = evaluate_bound(self.index, prices)
        for variants in self.index.workload_variants:
            if len(variants):
                best = variants[np.argsort(found.variant_value[variants])[:2]]
                self.add_variants(best)
        active = np.flatnonzero(self.col_adopt >= 0)
        self.add_routes(self._best_routes(found, active))

    def _best_routes(self, found: Bound, variants: IntArray) -> IntArray:
        """The cheapest route of every group of the variants, int (n,)."""
        index = self.index
        chosen = []
        for v in variants:
            low, high = index.variant_group_start[v], index.variant_group_start[v + 1]
            if low == high:
                continue
            start = index.group_start[low : high + 1]
            reduced = found.reduced[start[0] : start[-1]]
            best = np.repeat(found.group_value[low:high], np.diff(start))
            hit = np.flatnonzero(reduced <= best + 1e-12 * (1.0 + np.abs(best)))
            group = np.searchsorted(start - start[0], hit, side="right") - 1
            _, first = np.unique(group, return_index=True)
            chosen.append(hit[first] + start[0])
        return np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)

    def generate(
        self,
        tolerance: float = 1e-5,
        deadline: float = float("inf"),
        max_iterations: int = 200,
        smoothing: float = 0.6,
        floor: float = 1e-9,
        on_bound: Callable[[Bound], None] | None = None,
    ) -> Relaxation:
        """Column generation until master and bound agree within the relative tolerance.

        Pricing happens at the master's prices and at a mixture with the best ones so far
        (Wentges smoothing): degenerate duals swing, their mixtures do not.
        """
        index = self.index
        best: Bound | None = None
        converged = False
        value, x = np.inf, np.zeros(0)
        iteration = 0
        while iteration < max_iterations:
            iteration += 1
            left = deadline - time.monotonic()
            if left <= 0 and best is not None:
                break
            end = run(self.highs, max(left, 0.5) if np.isfinite(left) else 1e6)
            if not end.has_solution or end.status != "optimal":
                if best is not None and end.status == "limit":
                    break
                raise SolverError(f"the relaxation stopped as {end.status}")
            solution = self.highs.getSolution()
            x, dual = np.array(solution.col_value), np.array(solution.row_dual)
            constant = float(self.weights @ index.fixed_totals)
            value = end.objective / self.scale + constant
            current = self.prices(dual)
            found = [evaluate_bound(index, current)]
            if best is not None and smoothing > 0.0:
                found.append(evaluate_bound(index, current.mixed(best.prices, smoothing)))
            for one in found:
                if best is None or self.goal(one) > self.goal(best):
                    best = one
                    if on_bound is not None:
                        on_bound(one)
            assert best is not None
            if value - self.goal(best) <= tolerance * max(abs(value), floor):
                converged = True
                break
            if not self._grow(found, dual):
                converged = True
                break
        assert best is not None
        return self._result(value, best, x, iteration, converged)

    def _grow(self, found: list[Bound], dual: FloatArray) -> bool:
        """Add what prices in at the master's prices (`found[0]`) ; False when nothing does."""
        index, data = self.index, self.index.data
        theta = dual[self.row_one] / self.scale
        value = found[0].variant_value - theta[data.variant_workload]
        tolerance = 1e-9 * (1.0 + np.abs(theta[data.variant_workload]))
        inactive = np.flatnonzero((self.col_adopt < 0) & (value < -tolerance) & index.variant_complete)
        best_first = inactive[np.argsort(value[inactive])]
        workload = data.variant_workload[best_first]
        _, first = np.unique(workload, return_index=True)
        before = self.highs.getNumCol()
        self.add_variants(best_first[first])
        active = np.flatnonzero(self.col_adopt >= 0)
        candidates = np.unique(np.concatenate([self._best_routes(one, active) for one in found]))
        row = self.row_group[index.route_group[candidates]]
        sigma = np.where(row < len(dual), dual[np.minimum(row, len(dual) - 1)], np.inf) / self.scale
        gain = sigma - found[0].reduced[candidates]
        self.add_routes(candidates[gain > 1e-9 * (1.0 + np.abs(sigma))])
        return self.highs.getNumCol() > before

    def _result(
        self, value: float, best: Bound, x: FloatArray, iteration: int, converged: bool
    ) -> Relaxation:
        def take(cols: IntArray) -> FloatArray:
            inside = (cols >= 0) & (cols < len(x))
            return np.where(inside, x[np.where(inside, cols, 0)], 0.0)

        routes = np.concatenate(self.routes_in) if self.routes_in else np.zeros(0, dtype=np.int64)
        serve = take(self.col_route[routes])
        used = serve > 1e-9
        extra = [c for c in self.artificial if c < len(x)]
        return Relaxation(
            value=value,
            bound=best,
            artificial=float(x[extra].sum()),
            adopt=take(self.col_adopt),
            routes=routes[used],
            serve=serve[used],
            buy=take(self.col_buy),
            rent=take(self.col_rent),
            iterations=iteration,
            converged=converged,
        )


def on_demand_prices(index: FleetIndex, weights: FloatArray) -> Prices:
    """Prices before anything is solved: an accelerator costs its cheapest rental in the slice."""
    data = index.data
    prices = Prices.zero(index, weights)
    cost = np.full(prices.machine.shape, np.inf)
    per_instance = index.purchase_totals @ prices.weights
    usable = data.machine_size[data.purchase_machine] * data.purchase_availability
    np.minimum.at(cost, data.purchase_machine, per_instance / usable[:, None])
    machine = np.where(np.isfinite(cost), cost, 0.0)
    unseen = np.zeros((len(data.pools), len(data.slices)), dtype=bool)
    return with_default_replica_prices(index, replace(prices, machine=machine), unseen)
