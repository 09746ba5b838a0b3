"""Integer programs over a few variants and routes: where plans come from.

A `Restricted` program is the fleet program itself over the columns it is given: every answer is
a feasible plan of the whole program, and no statement about the whole is ever drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import highspy
import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
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
    ) -> None:
        super().__init__(index, weights, caps, scale=scale, all_replicas=True)
        self.add_variants(variants)
        self.add_routes(routes)
        self.highs.setOptionValue("presolve", "on")
        self.highs.setOptionValue("solver", "choose")
        self._mark_integers()

    def _mark_integers(self) -> None:
        integers = [
            cols[cols >= 0].ravel()
            for cols in (
                self.col_adopt, self.col_replica, self.col_host, self.col_rent,
                self.col_buy, self.col_serves, self.col_open, self.col_keep, self.col_train,
            )
        ]
        every = np.concatenate(integers).astype(np.int32)
        kinds = np.full(len(every), highspy.HighsVarType.kInteger)
        self.highs.changeColsIntegrality(len(every), every, kinds)
        # An artificial column in a plan would be a lie: none is allowed here.
        if self.artificial:
            cols = np.array(self.artificial, dtype=np.int32)
            self.highs.changeColsBounds(len(cols), cols, np.zeros(len(cols)), np.zeros(len(cols)))

    def solve(
        self, time_limit_s: float, gap: float, start: Solution | None = None, cutoff: float | None = None
    ) -> tuple[Solution | None, Outcome]:
        """Branch and bound; the best solution found, or None, and why it stopped."""
        self.highs.setOptionValue("mip_rel_gap", gap)
        if cutoff is not None:
            self.highs.setOptionValue("objective_bound", float(cutoff * self.scale))
        if start is not None:
            self._set_start(start)
        end = run(self.highs, time_limit_s)
        if not end.has_solution:
            return None, end
        return self._solution(np.array(self.highs.getSolution().col_value)), end

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
        return finished(
            index, adopt, routes[used], serve[used], whole(self.col_buy), whole(self.col_rent), train
        )


def finished(
    index: FleetIndex,
    adopt: IntArray,
    routes: IntArray,
    serve: FloatArray,
    buy: IntArray,
    rent: IntArray,
    train: IntArray,
) -> Solution:
    """Complete a solution: shares that sum to one, hosts where served, totals recomputed."""
    data = index.data
    group = index.route_group[routes]
    total = np.bincount(group, serve, minlength=len(index.group_item))
    serve = serve / total[group]
    replicas = replicas_needed(index, routes, serve)
    host = np.zeros(index.has_host.shape, dtype=bool)
    row = index.host_row[routes]
    pair = row[row >= 0] // len(data.origins)
    host.reshape(-1)[pair] = True
    solution = Solution(adopt, routes, serve, replicas, buy, rent, host, train, np.zeros(4))
    return replace(solution, totals=totals_of(index, solution))


def replicas_needed(index: FleetIndex, routes: IntArray, serve: FloatArray) -> IntArray:
    """Replicas each pool needs in each slice for the given routing, int (P, T)."""
    data = index.data
    shape = (len(data.pools), len(data.slices))
    key = index.pool_slice[routes]
    served = key >= 0
    load = np.zeros((shape[0] * shape[1], 4))
    np.add.at(load, key[served], index.share[routes[served]] * serve[served, None])
    # Shares from a solver carry its tolerance: a millionth of a replica is not a replica.
    return np.ceil(load.max(axis=1) - 1e-6).astype(np.int64).reshape(shape)
