"""The master: the linear relaxation of the fleet program over the columns seen so far.

Everything is warm: changing weights or caps changes costs and right-hand sides only, and keeps
basis, columns and rows. What enters is decided in `planner.solve.generation`.
"""

from __future__ import annotations

from dataclasses import replace

import highspy
import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.bound import Bound, Prices, caps_of, fair
from planner.solve.highs import INFINITY, add_columns, add_rows, new_highs, run
from planner.solve.index import FleetIndex

LAST_PENALTY = 1e9
COLUMN_TABLES = (
    "col_adopt", "col_route", "col_replica", "col_host", "col_train", "col_rent", "col_buy",
    "col_serves", "col_open", "col_keep",
)  # fmt: skip


class Master:
    """A growing linear program; see the module docstring."""

    first_penalty = 2e4
    """price of an artificial column in the scaled objective (about 1e4 in all); grows if needed"""
    last_penalty = LAST_PENALTY
    """the price at which it stops growing"""

    def __init__(
        self,
        index: FleetIndex,
        weights: FloatArray,
        *,
        scale: float = 1.0,
        ranges: FloatArray | None = None,
    ) -> None:
        data = index.data
        self.index = index
        self.weights = np.asarray(weights, dtype=float)
        self.caps = caps_of(index)
        # Primal simplex keeps its basis when columns enter; perturbed bounds cost it time.
        self.highs = new_highs(
            presolve="off",
            solver="simplex",
            simplex_strategy=4,
            primal_simplex_bound_perturbation_multiplier=0.0,
        )
        self.totals = np.zeros((0, 4))
        self.scale = scale
        self.penalty = self.first_penalty
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
        self.row_survive = np.full((V, R, T), -1)
        self.row_open = np.full((W, R), -1)
        self.row_spread = np.full((W, R), -1)
        self.row_keep = np.full((W, L), -1)
        self.row_attain, self.row_floor = np.full(V, -1), np.full(V, -1)
        self._build_totals()
        self.row_one = self._rows(W, 1.0, 1.0)
        self._build_machines(H, T, K)
        self._build_added(H, T)
        needy = [(int(row), 1.0) for row in self.row_one]
        needy += self._build_spread(W, R) + self._build_choices(W, R, L)
        self._build_purchases(T)
        needy += [(int(row), -1.0) for row in self.row_cap if row >= 0]
        for row, sign in needy:
            self._artificial(np.array([row]), np.array([sign]))

    # ------------------------------------------------------------------ building

    def _rows(
        self, count: int, upper: FloatArray | float, lower: FloatArray | float = -INFINITY
    ) -> IntArray:
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

    def _build_totals(self) -> None:
        """Rows of the caps (17), and of the corner with its depth column."""
        fixed = self.index.fixed_totals
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
                self.highs,
                np.zeros(1),
                np.zeros(1),
                np.zeros(1),
                self.row_corner[:3],
                np.zeros(3, dtype=np.int64),
                -np.ones(3),
            )
            self.totals = np.concatenate([self.totals, np.zeros((1, 4))])

    def _build_machines(self, H: int, T: int, K: int) -> None:
        """Rows (4), (5) and (9), without their columns."""
        index, data = self.index, self.index.data
        size = data.machine_size.astype(float)
        fixed = np.asarray(size[:, None] * data.machine_fixed, dtype=float)
        self.row_machine = self._rows(H * T, fixed.ravel()).reshape(H, T)
        self.row_quota = self._rows(K * T, np.repeat(data.quota_accelerators, T)).reshape(K, T)
        spot_groups = int(index.spot_group.max(initial=-1)) + 1
        self.row_spot = np.full((spot_groups, T), -1)
        if not np.isnan(data.spot_share_max):
            fixed_here = np.zeros((spot_groups, T))
            np.add.at(fixed_here, index.spot_group, fixed)
            limit = (data.spot_share_max * fixed_here).ravel()
            self.row_spot = self._rows(spot_groups * T, limit).reshape(spot_groups, T)

    def _build_added(self, H: int, T: int) -> None:
        """Rows (15) and the column `added`."""
        index, data = self.index, self.index.data
        size = data.machine_size.astype(float)
        self.row_added = np.full((H, T), -1)
        self.row_added_total = -1
        if index.counts_added:
            base = data.machine_incumbent[:, None] - size[:, None] * data.machine_fixed
            self.row_added = self._rows(H * T, base.ravel()).reshape(H, T)
            entries = [(self.row_added[:, t], np.arange(H), -np.ones(H)) for t in range(T)]
            if not np.isnan(data.max_added_accelerators):
                self.row_added_total = int(self._rows(1, data.max_added_accelerators)[0])
                entries.append((np.full(H, self.row_added_total), np.arange(H), np.ones(H)))
            totals = np.zeros((H, 4))
            totals[:, 0] = data.machine_change_usd
            totals[:, 1] = data.machine_change_kgco2e
            self._columns(totals, entries)

    def _build_spread(self, W: int, R: int) -> list[tuple[int, float]]:
        """Rows (12) and the column `serves`; the rows that need an artificial column."""
        index, data = self.index, self.index.data
        needy: list[tuple[int, float]] = []
        self.col_serves = np.full((W, R), -1)
        spread = np.flatnonzero(index.spreads)
        if len(spread):
            count = self._rows(len(spread), INFINITY, data.min_regions[spread].astype(float))
            needy += [(int(row), 1.0) for row in count]
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
        return needy

    def _build_choices(self, W: int, R: int, L: int) -> list[tuple[int, float]]:
        """Rows (13), (14) and (16) with `open` and `keep`; the rows that need an artificial."""
        index, data = self.index, self.index.data
        needy: list[tuple[int, float]] = []
        self.row_changed = -1
        if not np.isnan(data.max_changed_workloads):
            limit = data.max_changed_workloads - len(data.workloads)
            self.row_changed = int(self._rows(1, limit)[0])
            needy.append((self.row_changed, -1.0))
        self.row_open_count = -1
        self.col_open = np.full(R, -1)
        if index.opens:
            self.row_open[:] = self._rows(W * R, 0.0).reshape(W, R)
            legs = index.workload_legs
            entries = [(self.row_open[w], np.arange(R), np.full(R, -legs[w])) for w in range(W)]
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
            self.row_keep = self._rows(W * L, 0.0).reshape(W, L)
            entries = [(self.row_keep[w], np.arange(L), -np.ones(L)) for w in range(W)]
            entries.append((np.full(L, self.row_keep_count), np.arange(L), np.ones(L)))
            self.col_keep = self._columns(np.zeros((L, 4)), entries, 1.0)
        return needy

    def _build_purchases(self, T: int) -> None:
        data = self.index.data
        sliced = np.flatnonzero(data.purchase_per_slice)
        held = np.flatnonzero(~data.purchase_per_slice)
        self.col_rent[sliced] = self._slice_columns(sliced, T)
        if len(held):
            totals = self.index.purchase_totals[held].sum(axis=1)
            entries = [
                e for t in range(T) for e in self._purchase_entries(held, t, np.arange(len(held)))
            ]
            self.col_buy[held] = self._columns(totals, entries, data.purchase_limit[held])

    def _slice_columns(self, chosen: IntArray, T: int) -> IntArray:
        """A column per purchase and slice, (n, T)."""
        n = len(chosen)
        entries = [
            e for t in range(T) for e in self._purchase_entries(chosen, t, np.arange(n) * T + t)
        ]
        totals = self.index.purchase_totals[chosen].reshape(n * T, 4)
        limit = np.repeat(self.index.data.purchase_limit[chosen], T)
        return self._columns(totals, entries, limit).reshape(n, T)

    def _purchase_entries(
        self, chosen: IntArray, t: int, where: IntArray
    ) -> list[tuple[IntArray, IntArray, FloatArray]]:
        """What one instance of each chosen purchase does in slice t."""
        index, data = self.index, self.index.data
        machine = data.purchase_machine[chosen]
        size = data.machine_size[machine].astype(float)
        spot = (data.purchase_market[chosen] == 1).astype(float)
        share = 0.0 if np.isnan(data.spot_share_max) else data.spot_share_max
        entries = [
            (self.row_machine[machine, t], where, -size * data.purchase_availability[chosen]),
            (self.row_spot[index.spot_group[machine], t], where, size * (spot - share)),
            (self.row_added[machine, t], where, size),
        ]
        for k in range(len(data.quota_names)):
            counted = data.quota_purchase[k, chosen]
            row = np.full(len(chosen), self.row_quota[k, t])
            entries.append((row, where, np.where(counted, size, 0.0)))
        return entries

    def routes(self) -> IntArray:
        """Routes in the program, index numbers, int (n,)."""
        blank = [np.zeros(0, dtype=np.int64)]
        return np.concatenate(self.routes_in or blank)

    def _artificial(self, rows: IntArray, signs: FloatArray) -> None:
        """Columns that make a row satisfiable at a price no plan would pay."""
        n = len(rows)
        empty = np.zeros((n, 4))
        first = add_columns(
            self.highs,
            np.full(n, self.penalty),
            np.zeros(n),
            np.full(n, INFINITY),
            rows,
            np.arange(n),
            signs,
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
            workload = data.variant_workload[v]
            if not np.isnan(data.attainment_min[workload]):
                self.row_attain[v] = self._rows(1, INFINITY, 0.0)[0]
                self._artificial(self.row_attain[[v]], np.ones(1))
                rows.append(self.row_attain[[v]])
                vals.append(-index.variant_attainment_min[[v]])
            if not np.isnan(data.workload_loss_max[workload]):
                self.row_floor[v] = self._rows(1, 0.0)[0]
                self._artificial(self.row_floor[[v]], -np.ones(1))
                rows.append(self.row_floor[[v]])
                vals.append(-index.variant_loss_max[[v]])
            options = np.arange(index.training_start[v], index.training_start[v + 1])
            if len(options):
                self.row_train[v] = self._rows(1, 0.0, 0.0)[0]
                rows.append(self.row_train[[v]])
                vals.append(-np.ones(1))
            if self.row_keep_count >= 0:
                llms = np.flatnonzero(data.variant_llms[v])
                rows.append(self.row_keep[workload, llms])
                vals.append(np.ones(len(llms)))
            row, val = np.concatenate(rows), np.concatenate(vals)
            self.col_adopt[v] = self._columns(
                index.variant_totals[[v]], [(row, np.zeros(len(row), dtype=np.int64), val)], 1.0
            )[0]
            if len(options):
                self.col_train[options] = self._columns(
                    index.training_totals[options],
                    [
                        (
                            np.full(len(options), self.row_train[v]),
                            np.arange(len(options)),
                            np.ones(len(options)),
                        )
                    ],
                    1.0,
                )
            self._artificial(self.row_group[groups], np.ones(len(groups)))

    def add_routes(self, routes: IntArray) -> None:
        """Bring routes in (their variants must be in), with the rows they touch."""
        index = self.index
        routes = np.unique(routes[self.col_route[routes] < 0])
        n = len(routes)
        if n == 0:
            return
        self._add_replicas(routes)
        self._ensure_host_rows(routes)
        self._ensure_survive_rows(routes)
        where, one = np.arange(n), np.ones(n)
        share, weight = index.share[routes], index.region_weight[routes]
        place, region = index.pool_slice[routes], index.region_row[routes]
        first_leg = np.where(index.route_leg[routes] == 0, region, -1)
        entries = [(self.row_group[index.route_group[routes]], where, one)]
        entries += [
            (_at(self.row_replica[:, :, row], place), where, share[:, row]) for row in range(4)
        ]
        for table, at, entry in (
            (self.row_host, index.host_row[routes], index.host_weight[routes]),
            (self.row_survive, index.survive_row[routes], index.survive_weight[routes]),
            (self.row_open, region, weight),
            (self.row_spread, first_leg, -weight),
        ):
            entries.append((_at(table, at), where, entry))
        variant = index.route_variant[routes]
        entries.append((self.row_attain[variant], where, index.attainment[routes]))
        entries.append((self.row_floor[variant], where, index.floor_loss[routes]))
        totals = np.stack(
            [index.cost[routes], index.carbon[routes], index.loss[routes], index.water[routes]],
            axis=1,
        )
        self.col_route[routes] = self._columns(totals, entries)
        self.routes_in.append(routes)

    def _add_replicas(self, routes: IntArray) -> None:
        """Replica columns, and the rows of (3) that can bind, of the pools the routes use."""
        index, data = self.index, self.index.data
        keys = np.unique(index.pool_slice[routes])
        p, t = np.divmod(keys[keys >= 0], len(data.slices))
        fresh = self.col_replica[p, t] < 0
        p, t = p[fresh], t[fresh]
        if len(p) == 0:
            return
        n, machine = len(p), self.row_machine[data.pool_machine[p], t]
        per_replica = data.pool_accelerators[p].astype(float)
        totals = index.replica_totals[p, t]
        columns = self._columns(totals, [(machine, np.arange(n), per_replica)])
        self.col_replica[p, t] = columns
        which, row = np.nonzero(index.pool_rows[p])
        n = len(which)
        zero, below = np.zeros(n), np.full(n, -INFINITY)
        first = add_rows(self.highs, below, zero, np.arange(n), columns[which], -np.ones(n))
        self.row_replica[p[which], t[which], row] = first + np.arange(n)

    def _ensure_survive_rows(self, routes: IntArray) -> None:
        """Rows of (8) that the routes touch: load in the region minus share x adopt <= 0."""
        keys = np.unique(self.index.survive_row[routes])
        keys = keys[keys >= 0]
        keys = keys[self.row_survive.reshape(-1)[keys] < 0]
        n = len(keys)
        if n == 0:
            return
        variant = keys // (self.row_survive.shape[1] * self.row_survive.shape[2])
        first = add_rows(
            self.highs,
            np.full(n, -INFINITY),
            np.zeros(n),
            np.arange(n),
            self.col_adopt[variant],
            -self.index.variant_region_share[variant],
        )
        self.row_survive.reshape(-1)[keys] = first + np.arange(n)

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
            self.highs,
            np.full(n, -INFINITY),
            np.zeros(n),
            np.arange(n),
            self.col_host[v, r],
            -np.ones(n),
        )
        self.row_host[v, r, g] = first + np.arange(n)

    # ------------------------------------------------------------------ changing

    def set_weights(self, weights: FloatArray) -> None:
        """Minimise other weights of cost, carbon, loss and water; the basis stays."""
        self.weights = np.asarray(weights, dtype=float)
        self.corner = None
        if self.ranges is not None:
            self._bound_depth(0.0, 0.0, np.full(3, INFINITY))
        self.refresh_costs()

    def set_corner(self, corner: FloatArray, tie_weights: FloatArray | None = None) -> None:
        """Minimise the depth t with f_i <= corner_i + ranges_i t (Pascoletti and Serafini 1984).

        An infinite corner coordinate drops its row. `tie_weights` (4,) are added to t.
        """
        assert self.ranges is not None, "build the master with `ranges` to use corners"
        self.weights = np.zeros(4) if tie_weights is None else np.asarray(tie_weights, dtype=float)
        self.corner = np.asarray(corner, dtype=float)
        limit = (self.corner - self.index.fixed_totals[:3]) / self.ranges
        self._bound_depth(-INFINITY, INFINITY, np.where(np.isfinite(limit), limit, INFINITY))
        self.refresh_costs()

    def _bound_depth(self, lower: float, upper: float, limits: FloatArray) -> None:
        self.highs.changeColBounds(self.col_depth, lower, upper)
        for row, limit in zip(self.row_corner[:3], limits, strict=True):
            self.highs.changeRowBounds(int(row), -INFINITY, float(limit))

    def scale_to(self, value: float) -> None:
        """Scale the objective so that about this value becomes 1e4, unless it was scaled before."""
        if self.scale == 1.0 and value > 0:
            self.scale = 1e4 / value
            self.refresh_costs()

    def refresh_costs(self) -> None:
        """Hand the costs of all columns to HiGHS again: weights, scale or penalty have changed."""
        cost = self.totals @ self.weights * self.scale
        cost[self.artificial] = self.penalty
        if self.corner is not None:
            cost[self.col_depth] = self.scale
        self.highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)

    def charge(self, columns: IntArray, totals: FloatArray) -> None:
        """Count these columns with other totals, float (n, 4), in the objective and the corner."""
        cost = totals @ self.weights * self.scale
        self.highs.changeColsCost(len(cost), columns.astype(np.int32), cost)
        if self.corner is None:
            return
        for row, unit, value in zip(
            self.row_corner[:3], self.corner_unit[:3], totals.T[:3], strict=True
        ):
            for column, entry in zip(columns, value / unit, strict=True):
                self.highs.changeCoeff(int(row), int(column), float(entry))

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
        return fair(index, raw)

    def goal(self, bound: Bound) -> float:
        """What the bound says of this master's objective: of t, when a corner is set."""
        if self.corner is None:
            return bound.value
        pull = bound.prices.weights[:3]
        finite = np.isfinite(self.corner)
        return bound.value - float(pull[finite] @ self.corner[finite])

    def profile_prices(self) -> Prices:
        """Prices before any route: what one more accelerator of each machine costs in each slice
        when it is bought for a load of the shape of total demand (duals of that small program).

        A machine that cannot be bought takes the mean of its accelerator elsewhere: free it would
        seem to answer everything.
        """
        data = self.index.data
        interactive = data.item_slice >= 0
        rate = (
            np.bincount(
                data.item_slice[interactive],
                data.item_requests[interactive],
                minlength=len(data.slices),
            )
            / data.slice_hours
        )
        profile = np.maximum(rate / max(rate.max(), 1e-12), 1e-3)
        # A load so small that no limit or quota speaks, on machines that can be bought at all.
        sold = np.isin(
            np.arange(len(data.machines)), data.purchase_machine[data.purchase_limit > 0]
        )
        self._bound_machines(np.where(sold[:, None], -1e-3 * profile, 0.0))
        run(self.highs, 60.0)
        solution = self.highs.getSolution()
        prices = self.prices(np.array(solution.row_dual))
        self._bound_machines(data.machine_size.astype(float)[:, None] * data.machine_fixed)
        kind = np.array(data.machine_accelerator)
        price = prices.machine.copy()
        for h in np.flatnonzero(~sold):
            same = sold & (kind == kind[h])
            price[h] = price[same].mean(axis=0) if same.any() else price.max(axis=0)
        guess = replace(Prices.zero(self.index, self.weights), machine=price, spot=prices.spot)
        return fair(self.index, guess)

    def _bound_machines(self, upper: FloatArray) -> None:
        rows = self.row_machine.ravel().astype(np.int32)
        self.highs.changeRowsBounds(
            len(rows), rows, np.full(len(rows), -INFINITY), np.ascontiguousarray(upper.ravel())
        )

    def purge(self, keep: int) -> None:
        """Drop the dearest nonbasic routes when more than twice `keep` are in; the basis stays."""
        routes = self.routes()
        if len(routes) <= 2 * keep:
            return
        basis = self.highs.getBasis()
        status = np.array([int(s) for s in basis.col_status])
        reduced = np.array(self.highs.getSolution().col_dual)
        columns = self.col_route[routes]
        basic = status[columns] == int(highspy.HighsBasisStatus.kBasic)
        rank = np.where(basic, -np.inf, reduced[columns])
        order = np.argsort(rank)
        stay = max(keep, int(basic.sum()))
        gone = np.sort(columns[order[stay:]])
        self.col_route[routes[order[stay:]]] = -1
        self.routes_in = [routes[order[:stay]]]
        self.highs.deleteCols(len(gone), gone.astype(np.int32))
        left = np.ones(len(status), dtype=bool)
        left[gone] = False
        number = np.cumsum(left) - 1
        for name in COLUMN_TABLES:
            table = getattr(self, name)
            setattr(self, name, np.where(table >= 0, number[np.maximum(table, 0)], -1))
        self.artificial = [int(number[c]) for c in self.artificial]
        if self.ranges is not None:
            self.col_depth = int(number[self.col_depth])
        self.totals = self.totals[left]
        basis.col_status = [s for s, kept in zip(basis.col_status, left, strict=True) if kept]
        self.highs.setBasis(basis)


def _at(numbers: IntArray, place: IntArray) -> IntArray:
    """The number at each place of a flattened table, which may be empty; -1 where place is -1."""
    return np.append(numbers, -1)[place]
