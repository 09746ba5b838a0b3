"""Large neighbourhood search: free a part of the plan, let branch and bound re-decide it.

A neighbourhood keeps every route the plan uses and adds good alternatives (lowest reduced
costs, open pools first) for the freed part; the answer is never worse than the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.index import FleetIndex, best_per_group, routes_of
from planner.solve.restricted import Solution


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """What is freed, and the columns it may use."""

    name: str
    variants: IntArray
    routes: IntArray


def open_pools(index: FleetIndex, solution: Solution) -> BoolArray:
    """Pool-slices with a replica, bool (P * T,)."""
    return np.asarray(solution.replicas.reshape(-1) > 0)


def neighbourhood(
    index: FleetIndex,
    solution: Solution,
    reduced: FloatArray,
    freed: BoolArray,
    variants: IntArray,
    name: str,
    *,
    most_routes: int = 4000,
) -> Neighbourhood:
    """The plan's routes, and for freed groups (bool (Q,)) the best routes of `variants`.

    Half of the alternatives come from pools that already run, half from all pools.
    """
    mine = routes_of(index, variants)
    mine = mine[freed[index.route_group[mine]]]
    groups = max(len(np.unique(index.route_group[mine])), 1)
    keep = int(np.clip(most_routes // (2 * groups), 1, 12))
    running = open_pools(index, solution)
    pool_slice = index.pool_slice[mine]
    hot = mine[(pool_slice < 0) | running[np.maximum(pool_slice, 0)]]
    chosen = [
        solution.routes,
        best_per_group(index, reduced[hot], hot, keep),
        best_per_group(index, reduced[mine], mine, keep),
    ]
    every = np.unique(np.concatenate([variants, solution.adopt]))
    return Neighbourhood(name, every, np.unique(np.concatenate(chosen)))


def random_neighbourhood(
    index: FleetIndex,
    solution: Solution,
    reduced: FloatArray,
    rng: np.random.Generator,
    most_routes: int,
) -> Neighbourhood:
    """One of: some slices, some workloads, some regions; at random."""
    data = index.data
    kind = rng.choice(["slices", "workloads", "machines"])
    adopted = solution.adopt
    slices = np.where(data.item_slice >= 0, data.item_slice, -1)[index.group_item]
    workload = data.item_workload[index.group_item]
    if kind == "slices":
        count = int(rng.integers(1, max(2, len(data.slices) // 3) + 1))
        chosen = rng.choice(len(data.slices), size=min(count, len(data.slices)), replace=False)
        freed = np.isin(slices, chosen) | (slices < 0)
    elif kind == "workloads":
        count = int(rng.integers(1, max(2, len(data.workloads) // 3) + 1))
        chosen = rng.choice(len(data.workloads), size=min(count, len(data.workloads)), replace=False)
        freed = np.isin(workload, chosen)
    else:
        used = np.unique(data.pool_machine[index.pool[solution.routes[index.pool[solution.routes] >= 0]]])
        count = int(rng.integers(1, max(2, len(used) // 3) + 1))
        chosen = rng.choice(used, size=min(count, len(used)), replace=False) if len(used) else used
        pool = index.pool[solution.routes]
        touched = solution.routes[(pool >= 0) & np.isin(data.pool_machine[np.maximum(pool, 0)], chosen)]
        freed = np.zeros(len(index.group_item), dtype=bool)
        freed[index.route_group[touched]] = True
    return neighbourhood(
        index, solution, reduced, freed, np.unique(adopted), str(kind), most_routes=most_routes
    )
