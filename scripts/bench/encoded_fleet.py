"""The fleet as a plain evolutionary algorithm would state it: no decoder of ours, no dual prices.

Genes in [0, 1]: the variant of each workload; for each workload and slice the two places (region
and accelerator) that serve it, by rank among all places ordered by static cost, and the share of
the first; three weights of that order; for each machine how much is committed, in which way, and
how much is spot. Arithmetic repairs the rest: the best route of each group at a place, shares that
respect the limit of one region where the second place allows it, replicas rounded up, machines
bought under them. What is broken still (stock, quotas, promises) counts as a violation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pymoo.core.problem import ElementwiseProblem

from planner.solve.bound import caps_of
from planner.solve.index import FleetIndex
from planner.solve.solution import (
    Solution,
    finished,
    keeps_promises,
    obeys_limits,
    overdrawn_machines,
    replicas_needed,
)

WEIGHT_DECADES = 4.0
"""The weights of the three objectives lie within that many powers of ten."""
SPOT, COMMITTED = 1, 2
"""Markets: spot; from here on all are held all period."""


class EncodedFleet(ElementwiseProblem):  # type: ignore[misc]
    """Cost, carbon and loss of a vector of genes, and how much it violates."""

    def __init__(self, index: FleetIndex, found: Callable[[np.ndarray], None]) -> None:
        self.index, self.found = index, found
        data = index.data
        self.variants = [v[index.variant_complete[v]] for v in index.workload_variants]
        self.slots = 2 * (len(data.slices) + 1)
        workloads, machines = len(self.variants), len(data.machines)
        self.shapes = [workloads, 3 * workloads * self.slots, 3, 3 * machines]
        self._order_routes()
        n_var = sum(self.shapes)
        super().__init__(
            n_var=n_var, n_obj=3, n_ieq_constr=1, xl=np.zeros(n_var), xu=np.ones(n_var)
        )

    def _order_routes(self) -> None:
        """Routes by group and place, and their static objectives per whole group."""
        index, data = self.index, self.index.data
        groups = int(index.spot_group.max(initial=-1)) + 1
        machine = data.pool_machine[np.maximum(index.pool, 0)]
        own = index.pool >= 0
        place = np.where(own, index.spot_group[machine], groups + index.region + 1)
        self.places = groups + len(data.regions) + 1
        self.place_region = np.full(self.places, -1)
        self.place_region[place] = index.region
        self.order = np.lexsort((place, index.route_group))
        key = index.route_group[self.order] * self.places + place[self.order]
        self.segment = np.cumsum(np.append(0, np.diff(key) != 0))
        self.segment_start = np.flatnonzero(np.append(True, np.diff(key) != 0))
        first = self.order[self.segment_start]
        self.segment_place = place[first]
        item, leg = index.route_item[first], index.route_leg[first]
        time = np.where(data.item_slice[item] >= 0, data.item_slice[item], len(data.slices))
        self.segment_slot = leg * (len(data.slices) + 1) + time
        self.segment_group = index.route_group[first]
        self.static = self._static(machine, own)[self.order]

    def _static(self, machine: np.ndarray, own: np.ndarray) -> np.ndarray:
        """float (J, 3): the route's own lines and its share of the cheapest machines."""
        index, data = self.index, self.index.data
        size = data.machine_size[data.purchase_machine][:, None] * 1.0
        usd = np.full((len(data.machines), len(data.slices)), np.inf)
        per = data.purchase_cost_usd / size / data.purchase_availability[:, None]
        np.minimum.at(usd, data.purchase_machine, per)
        usd[~np.isfinite(usd)] = 0.0
        kg = data.machine_carbon_kgco2e / data.machine_size[:, None] + data.machine_running_kgco2e
        held = index.share.max(axis=1) * data.pool_accelerators[np.maximum(index.pool, 0)] * own
        static = np.stack(
            [
                index.cost + held * usd[machine, index.slice],
                index.carbon + held * kg[machine, index.slice],
                index.loss,
            ],
            axis=1,
        )
        return static / np.maximum(static.mean(axis=0), 1e-12)

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        plan = self.plan_of(x)
        violation = self._violation(plan)
        if violation <= 0.0:
            self.found(plan.totals[:3])
        out["F"] = plan.totals[:3]
        out["G"] = np.array([violation])

    def plan_of(self, x: np.ndarray) -> Solution:
        """The plan that the genes say, repaired by arithmetic."""
        index, data = self.index, self.index.data
        variant, routing, weights, market = np.split(x, np.cumsum(self.shapes)[:-1])
        adopt = np.array([v[_pick(g, len(v))] for v, g in zip(self.variants, variant, strict=True)])
        static_weights = 10.0 ** (WEIGHT_DECADES * (weights - 1.0))
        genes = routing.reshape(len(adopt), self.slots, 3)
        served: dict[int, float] = {}
        for w, v in enumerate(adopt):
            self._route(w, int(v), genes[w], static_weights, served)
        routes = np.array(sorted(served), dtype=np.int64)
        serve = np.array([served[route] for route in routes])
        buy, rent = self._purchases(routes, serve, market.reshape(-1, 3))
        train = np.full(len(data.variants), -1)
        for v in adopt:
            options = np.flatnonzero(data.training_variant == v)
            if len(options):
                train[v] = options[np.argmin(data.training_cost_usd[options])]
        return finished(index, adopt, routes, serve, buy, rent, train)

    def _route(
        self, w: int, v: int, genes: np.ndarray, weights: np.ndarray, served: dict[int, float]
    ) -> None:
        """Shares of routes of a workload's variant, into `served`."""
        index = self.index
        low, high = np.searchsorted(
            self.segment_group, index.variant_group_start[[v, v + 1]]
        ).tolist()
        start = self.segment_start[low]
        end = self.segment_start[high] if high < len(self.segment_start) else len(self.order)
        score = self.static[start:end] @ weights
        least = np.minimum.reduceat(score, self.segment_start[low:high] - start)
        hits = np.flatnonzero(score == least[self.segment[start:end] - low])
        segments, first = np.unique(self.segment[start + hits], return_index=True)
        best = self.order[start + hits[first]]
        slot, place = self.segment_slot[segments], self.segment_place[segments]
        group = self.segment_group[segments]
        most = float(np.nan_to_num(index.data.region_share_max[w], nan=1.0))
        for s in np.unique(slot):
            mine = np.flatnonzero(slot == s)
            total = np.bincount(place[mine], least[mine], minlength=self.places)
            count = np.bincount(place[mine], minlength=self.places)
            whole = np.flatnonzero(count == len(np.unique(group[mine])))
            ranked = whole[np.argsort(total[whole], kind="stable")]
            if not len(ranked):
                for g in np.unique(group[mine]):
                    those = mine[group[mine] == g]
                    served[int(best[those[np.argmin(least[those])]])] = 1.0
                continue
            one = ranked[_pick(genes[s, 0] ** 2, len(ranked))]
            apart = ranked[self.place_region[ranked] != self.place_region[one]]
            others = apart if most < 1.0 and len(apart) else ranked
            two = others[_pick(genes[s, 1] ** 2, len(others))]
            share = min(max(genes[s, 2], 1.0 - most), most) if most < 1.0 else genes[s, 2]
            if one == two or (most >= 1.0 and share > 0.8):
                share = 1.0
            for chosen, part in ((one, share), (two, 1.0 - share)):
                if part > 0.0:
                    for route in best[mine[place[mine] == chosen]].tolist():
                        served[route] = part

    def _purchases(
        self, routes: np.ndarray, serve: np.ndarray, genes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Committed (B,) and rented on spot (B, T); on-demand is topped up by `finished`."""
        data = self.index.data
        replicas = replicas_needed(self.index, routes, serve)
        need = np.zeros((len(data.machines), len(data.slices)))
        np.add.at(need, data.pool_machine, replicas * data.pool_accelerators[:, None])
        need = np.maximum(need / data.machine_size[:, None] - data.machine_fixed, 0.0)
        buy = np.zeros(len(data.purchase_machine), dtype=np.int64)
        rent = np.zeros((len(buy), len(data.slices)))
        for h in np.flatnonzero(need.any(axis=1)):
            mine = np.flatnonzero(data.purchase_machine == h)
            held = mine[data.purchase_market[mine] >= COMMITTED]
            spot = mine[data.purchase_market[mine] == SPOT]
            rest = need[h]
            if len(held):
                b = held[_pick(genes[h, 1], len(held))]
                buy[b] = min(np.round(genes[h, 0] * rest.max()), data.purchase_limit[b])
                rest = np.maximum(rest - buy[b] * data.purchase_availability[b], 0.0)
            if len(spot):
                b = spot[0]
                part = min(genes[h, 2], float(np.nan_to_num(data.spot_share_max, nan=1.0)))
                wanted = np.floor(part * rest)  # of what is held, so that the limit on spot is kept
                rent[b] = np.minimum(wanted, data.purchase_limit[b])
        return buy, rent

    def _violation(self, plan: Solution) -> float:
        """0 for a plan that keeps every rule; otherwise how much it breaks, added up."""
        index, data = self.index, self.index.data
        routes, serve = plan.routes, plan.serve
        row = index.survive_row[routes]
        limited = row >= 0
        load = np.bincount(row[limited], (index.survive_weight[routes] * serve)[limited])
        limit = index.variant_region_share[
            np.arange(len(load)) // len(data.slices) // len(data.regions)
        ]
        broken = float(np.maximum(load - limit - 1e-9, 0.0).sum())
        caps = caps_of(index)
        capped = np.isfinite(caps)
        over = plan.totals[capped] / caps[capped] - 1.0 - 1e-9
        broken += float(np.maximum(over, 0.0).sum())
        broken += float(overdrawn_machines(index, plan).sum())
        workload = index.route_workload[routes]
        reached = np.bincount(workload, index.attainment[routes] * serve)
        lost = np.bincount(workload, index.floor_loss[routes] * serve)
        most = data.workload_loss_max * index.workload_qoe_weight
        broken += float(np.nansum(np.maximum(data.attainment_min - reached - 1e-9, 0.0)))
        broken += float(np.nansum(np.maximum(lost - most - 1e-12, 0.0)))
        if broken > 0.0 or (obeys_limits(index, plan) and keeps_promises(index, plan)):
            return broken
        return 1.0


def _pick(gene: float, count: int) -> int:
    """A place among `count` by a gene in [0, 1]."""
    return min(int(gene * count), count - 1)
