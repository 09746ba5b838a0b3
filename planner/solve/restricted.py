"""Integer programs over a few variants and routes: where plans come from.

A `Restricted` program is the fleet program itself over the columns it is given: every answer is
a feasible plan of the whole program, and no statement about the whole is ever drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import highspy
import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.bound import caps_of
from planner.solve.highs import Outcome, run
from planner.solve.index import FleetIndex
from planner.solve.master import Master

SERVE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Solution:
    """A plan of the program in index numbers; `totals` recomputed from the columns themselves."""

    adopt: IntArray
    """int (W,) variant of each workload"""
    routes: IntArray
    """int (n,) routes used, index order"""
    serve: FloatArray
    """float (n,) share of the item each serves, positive"""
    replicas: IntArray
    """int (P, T)"""
    buy: IntArray
    """int (B,)"""
    rent: IntArray
    """int (B, T)"""
    host: BoolArray
    """bool (V, R)"""
    train: IntArray
    """int (V,) training option of adopted variants that have one, else -1"""
    totals: FloatArray
    """float (4,) cost USD, carbon kgCO2e, QoE loss, water l"""


def held_instances(index: FleetIndex, buy: IntArray, rent: IntArray) -> IntArray:
    """Instances held per machine and slice, int (H, T)."""
    data = index.data
    held = np.repeat(data.machine_fixed[:, None], len(data.slices), axis=1).astype(np.int64)
    np.add.at(held, data.purchase_machine, buy[:, None] + rent)
    return held


def totals_of(index: FleetIndex, solution: Solution) -> FloatArray:
    """Cost, carbon, loss and water of a solution, from its decisions, float (4,)."""
    data = index.data
    routes = solution.routes
    totals = index.fixed_totals.copy()
    per_route = np.stack(
        [index.cost[routes], index.carbon[routes], index.loss[routes], index.water[routes]]
    )
    totals += per_route @ solution.serve
    totals += index.variant_totals[solution.adopt].sum(axis=0)
    chosen = solution.train[solution.train >= 0]
    totals += index.training_totals[chosen].sum(axis=0)
    totals[0] += (data.host_cost_usd * solution.host).sum()
    totals[1] += (data.host_carbon_kgco2e * solution.host).sum()
    instances = solution.buy[:, None] + solution.rent
    totals += np.einsum("bt,btm->m", instances.astype(float), index.purchase_totals)
    if index.opens:
        used = np.unique(index.region[routes])
        totals[0] += data.region_fixed_cost_usd[used[used >= 0]].sum()
    if data.change_usd_per_accelerator > 0:
        held = held_instances(index, solution.buy, solution.rent)
        peak = (data.machine_size[:, None] * held).max(axis=1)
        added = np.maximum(peak - data.machine_incumbent, 0.0)
        totals[0] += data.change_usd_per_accelerator * added.sum()
    return totals


class Restricted(Master):
    """The mixed-integer program over given variants and routes."""

    def __init__(
        self,
        index: FleetIndex,
        weights: FloatArray,
        variants: IntArray,
        routes: IntArray,
        caps: FloatArray | None = None,
        scale: float = 1.0,
        ranges: FloatArray | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.whole = whole
        super().__init__(index, weights, caps, scale=scale, ranges=ranges, all_replicas=True)
        self.add_variants(variants)
        self.add_routes(routes)
        self.highs.setOptionValue("presolve", "on")
        self.highs.setOptionValue("solver", "choose")
        self._mark_integers()
        self._close_unused()

    def _close_unused(self) -> None:
        """Purchases of machines that no given route can use stay at zero."""
        data = self.index.data
        pool = np.unique(self.index.pool[np.concatenate(self.routes_in)])
        used = np.zeros(len(data.machines), dtype=bool)
        used[data.pool_machine[pool[pool >= 0]]] = True
        idle = np.flatnonzero(~used[data.purchase_machine])
        columns = np.concatenate([self.col_rent[idle].ravel(), self.col_buy[idle]])
        columns = columns[columns >= 0].astype(np.int32)
        if len(columns):
            zero = np.zeros(len(columns))
            self.highs.changeColsBounds(len(columns), columns, zero, zero)

    def _mark_integers(self) -> None:
        # Rentals of single accelerators are rounded afterwards (`whole_rentals`): exact enough,
        # and most of the integers are gone.
        rounded = by_the_piece(self.index) & (not self.whole)
        rent = np.where(rounded[:, None], -1, self.col_rent)
        integers = [
            cols[cols >= 0].ravel()
            for cols in (
                self.col_adopt, self.col_replica, self.col_host, rent,
                self.col_buy, self.col_serves, self.col_open, self.col_keep, self.col_train,
            )
        ]  # fmt: skip
        every = np.concatenate(integers).astype(np.int32)
        kinds = np.full(len(every), highspy.HighsVarType.kInteger)
        self.highs.changeColsIntegrality(len(every), every, kinds)
        # An artificial column in a plan would be a lie: none is allowed here.
        if self.artificial:
            cols = np.array(self.artificial, dtype=np.int32)
            self.highs.changeColsBounds(len(cols), cols, np.zeros(len(cols)), np.zeros(len(cols)))

    def solve(
        self,
        time_limit_s: float,
        gap: float,
        start: Solution | None = None,
    ) -> tuple[Solution | None, Outcome]:
        """Branch and bound; the best solution found, or None, and why it stopped."""
        self.highs.setOptionValue("mip_rel_gap", gap)
        if start is not None:
            self._set_start(start)
        end = run(self.highs, time_limit_s)
        if not end.has_solution:
            return None, end
        found = self._solution(np.array(self.highs.getSolution().col_value))
        return (found if obeys_limits(self.index, found) else None), end

    def solve_rounded(
        self, time_limit_s: float, gap: float, start: Solution | None = None
    ) -> tuple[Solution | None, Outcome]:
        """Branch and bound on whole machines only; replicas are rounded up afterwards.

        Much easier than the whole program, and a good start for it.
        """
        data = self.index.data
        free = (data.purchase_market == 0) & ~data.quota_purchase.any(axis=0)
        sold = np.isin(data.pool_machine, data.purchase_machine[free])
        # Where no more can be rented, or a quota binds, rounding up would break it: those stay.
        replica = np.where(sold[:, None], self.col_replica, -1)
        columns = replica[replica >= 0].astype(np.int32)
        loose = np.full(len(columns), highspy.HighsVarType.kContinuous)
        self.highs.changeColsIntegrality(len(columns), columns, loose)
        found = self.solve(time_limit_s, gap, start)
        whole = np.full(len(columns), highspy.HighsVarType.kInteger)
        self.highs.changeColsIntegrality(len(columns), columns, whole)
        return found

    def keep(self, solution: Solution, freed: BoolArray) -> None:
        """Hold the routes of groups that are not freed (bool (Q,)) at the solution's shares."""
        routes = np.concatenate(self.routes_in)
        held = routes[~freed[self.index.route_group[routes]]]
        share = np.zeros(len(self.index.pool))
        share[solution.routes] = solution.serve
        columns = self.col_route[held].astype(np.int32)
        self.highs.changeColsBounds(len(columns), columns, share[held], share[held])

    def _set_start(self, start: Solution) -> None:
        """Hand the integers of a known plan to HiGHS, which completes the rest."""
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
        ):
            inside = cols >= 0
            value[cols[inside]] = np.asarray(given, dtype=float)[inside]
        inside = self.col_route[start.routes] >= 0
        in_cols = np.concatenate(self.routes_in) if self.routes_in else np.zeros(0, dtype=np.int64)
        value[self.col_route[in_cols]] = 0.0
        value[self.col_route[start.routes[inside]]] = start.serve[inside]
        known = np.flatnonzero(~np.isnan(value)).astype(np.int32)
        self.highs.setSolution(len(known), known, value[known])

    def _solution(self, x: FloatArray) -> Solution:
        index, data = self.index, self.index.data

        def whole(cols: IntArray) -> IntArray:
            return np.where(cols >= 0, np.rint(x[np.maximum(cols, 0)]), 0.0).astype(np.int64)

        adopted = np.flatnonzero(whole(self.col_adopt))
        adopt = np.full(len(data.workloads), -1)
        adopt[data.variant_workload[adopted]] = adopted
        routes = np.concatenate(self.routes_in)
        serve = x[self.col_route[routes]]
        used = serve > SERVE_TOLERANCE
        options = np.flatnonzero(whole(self.col_train))
        train = np.full(len(data.variants), -1)
        train[data.training_variant[options]] = options
        rent = np.where(self.col_rent >= 0, x[np.maximum(self.col_rent, 0)], 0.0)
        parts = (adopt, routes[used], serve[used], whole(self.col_buy), rent, train)
        least = finished(index, *parts)
        # Fewer machines than the program held may leave too few beside the spot ones.
        return least if obeys_limits(index, least) else finished(index, *parts, spare=True)


def finished(
    index: FleetIndex,
    adopt: IntArray,
    routes: IntArray,
    serve: FloatArray,
    buy: IntArray,
    rent: FloatArray,
    train: IntArray,
    *,
    spare: bool = False,
) -> Solution:
    """Complete a solution: shares that sum to one, whole rentals, hosts, totals recomputed."""
    data = index.data
    group = index.route_group[routes]
    total = np.bincount(group, serve, minlength=len(index.group_item))
    serve = serve / total[group]
    replicas = replicas_needed(index, routes, serve)
    host = np.zeros(index.has_host.shape, dtype=bool)
    row = index.host_row[routes]
    pair = row[row >= 0] // len(data.origins)
    host.reshape(-1)[pair] = True
    rentals = whole_rentals(index, replicas, buy, rent, spare=spare)
    solution = Solution(adopt, routes, serve, replicas, buy, rentals, host, train, np.zeros(4))
    return replace(solution, totals=totals_of(index, solution))


def by_the_piece(index: FleetIndex) -> BoolArray:
    """bool (B,): rentals of one-accelerator machines that are sold on demand too."""
    data = index.data
    sold = np.zeros(len(data.machines), dtype=bool)
    sold[data.purchase_machine[data.purchase_market == 0]] = True
    single = (data.machine_size == 1) & sold
    return np.asarray(single[data.purchase_machine] & data.purchase_per_slice)


def whole_rentals(
    index: FleetIndex, replicas: IntArray, buy: IntArray, rent: FloatArray, *, spare: bool = False
) -> IntArray:
    """Spot rounded down by the piece, on-demand topped up to what the replicas need, (B, T).

    With `spare`, on-demand machines that `rent` holds beyond the need stay.
    """
    data = index.data
    piece = by_the_piece(index)
    whole = np.where(piece[:, None], np.floor(rent + 1e-6), np.rint(rent)).astype(np.int64)
    on_demand = data.purchase_market == 0
    needed = np.zeros((len(data.machines), len(data.slices)))
    np.add.at(needed, data.pool_machine, replicas * data.pool_accelerators[:, None])
    size = data.machine_size.astype(float)
    needed -= (size * data.machine_fixed)[:, None]
    machine = data.purchase_machine
    others = np.where(on_demand[:, None], 0, whole) * data.purchase_availability[:, None]
    np.add.at(needed, machine, -size[machine][:, None] * (others + buy[:, None]))
    short = np.maximum(np.ceil(needed / size[:, None] - 1e-6), 0.0).astype(np.int64)
    first = np.full(len(data.machines), -1)
    listed = np.flatnonzero(on_demand)[::-1]
    first[machine[listed]] = listed
    top_up = (first[machine] == np.arange(len(machine))) & on_demand
    held = np.where((on_demand & spare)[:, None], whole, 0)
    whole[on_demand] = 0
    whole[top_up] = short[machine[top_up]]
    return np.maximum(whole, held)


def obeys_limits(index: FleetIndex, solution: Solution) -> bool:
    """Whether the rounded purchases keep stock, quotas, the spot share, changes and caps."""
    data = index.data
    caps = caps_of(index)
    if (solution.totals > caps + 1e-6 * np.abs(caps)).any():
        return False
    if not np.isnan(data.max_added_accelerators):
        peak = data.machine_size[:, None] * held_instances(index, solution.buy, solution.rent)
        added = np.maximum(peak.max(axis=1) - data.machine_incumbent, 0.0).sum()
        if added > data.max_added_accelerators + 1e-6:
            return False
    instances = solution.buy[:, None] + solution.rent
    if (instances > data.purchase_limit[:, None]).any():
        return False
    size = data.machine_size[data.purchase_machine].astype(float)
    held = instances * size[:, None]
    counted = data.quota_purchase.astype(float) @ held
    if (counted > data.quota_accelerators[:, None] + 1e-6).any():
        return False
    if not np.isnan(data.spot_share_max):
        groups = int(index.spot_group.max(initial=-1)) + 1
        spot, every = np.zeros((groups, held.shape[1])), np.zeros((groups, held.shape[1]))
        group = index.spot_group[data.purchase_machine]
        np.add.at(spot, group, np.where((data.purchase_market == 1)[:, None], held, 0.0))
        np.add.at(every, group, held)
        fixed = np.zeros(groups)
        np.add.at(fixed, index.spot_group, data.machine_fixed * data.machine_size)
        if (spot > data.spot_share_max * (every + fixed[:, None]) + 1e-6).any():
            return False
    short = np.zeros((len(data.machines), held.shape[1]))
    np.add.at(short, data.pool_machine, solution.replicas * data.pool_accelerators[:, None])
    usable = held * data.purchase_availability[:, None]
    np.add.at(short, data.purchase_machine, -usable)
    fixed_here = (data.machine_fixed * data.machine_size)[:, None]
    return bool((short <= fixed_here + 1e-6).all())


def replicas_needed(index: FleetIndex, routes: IntArray, serve: FloatArray) -> IntArray:
    """Replicas each pool needs in each slice for the given routing, int (P, T)."""
    data = index.data
    shape = (len(data.pools), len(data.slices))
    key = index.pool_slice[routes]
    served = key >= 0
    load = np.zeros((shape[0] * shape[1], 4))
    np.add.at(load, key[served], index.share[routes[served]] * serve[served, None])
    # Shares from a solver carry its tolerance: a millionth of a replica is not a replica.
    return np.asarray(np.ceil(load.max(axis=1) - 1e-6).astype(np.int64).reshape(shape))
