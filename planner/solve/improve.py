"""Large neighbourhood search: free a part of the plan, let branch and bound re-decide it.

A neighbourhood keeps every route the plan uses and adds good alternatives (lowest reduced
costs, open pools first) for the freed part; the answer is never worse than the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.index import FleetIndex, best_per_group, routes_of
from planner.solve.solution import Solution

KINDS = ("slices", "workloads", "machines")


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """What is freed, and the columns it may use."""

    name: str
    variants: IntArray
    routes: IntArray
    freed: BoolArray
    """bool (Q,) groups that may change; the others keep their routes and shares"""


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
    allowed: BoolArray,
    *,
    most_routes: int = 6000,
) -> Neighbourhood:
    """The plan's routes, and for freed groups (bool (Q,)) the best routes of `variants`.

    Only pools in `allowed` (bool (P,)) are offered. Half of the alternatives come from pools that
    already run, half from all pools.
    """
    mine = routes_of(index, variants)
    mine = mine[freed[index.route_group[mine]] & allowed[np.maximum(index.pool[mine], 0)]]
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
    return Neighbourhood(name, every, np.unique(np.concatenate(chosen)), freed)


def random_neighbourhood(
    index: FleetIndex,
    solution: Solution,
    reduced: FloatArray,
    rng: np.random.Generator,
    kind: str,
    share: float,
    variant_value: FloatArray | None = None,
) -> Neighbourhood:
    """Free about `share` of the slices, workloads or machines in use, drawn at random.

    Freed workloads may also change to one of their next best variants at the prices
    (`variant_value`, float (V,)).
    """
    data = index.data
    variants = [np.unique(solution.adopt)]
    values = np.zeros(len(data.variants)) if variant_value is None else variant_value
    item = index.group_item
    if kind == "slices":
        chosen = _draw(rng, len(data.slices), share)
        freed = np.isin(data.item_slice[item], chosen) | (data.item_slice[item] < 0)
    elif kind == "workloads":
        chosen = _draw(rng, len(data.workloads), share)
        freed = np.isin(data.item_workload[item], chosen)
        for workload in chosen if variant_value is not None else ():
            every = index.workload_variants[workload]
            variants.append(every[np.argsort(values[every])[:3]])
    else:
        pool = index.pool[solution.routes]
        machine = np.where(pool >= 0, data.pool_machine[np.maximum(pool, 0)], -1)
        used = np.unique(machine[machine >= 0])
        chosen = used[_draw(rng, len(used), share)] if len(used) else used
        freed = np.zeros(len(item), dtype=bool)
        freed[index.route_group[solution.routes[np.isin(machine, chosen)]]] = True
    machines = _some_machines(index, solution, rng)
    allowed = np.isin(data.pool_machine, machines)
    several = np.unique(np.concatenate(variants))
    return neighbourhood(index, solution, reduced, freed, several, kind, allowed)


def _some_machines(
    index: FleetIndex, solution: Solution, rng: np.random.Generator, extra: int = 3
) -> IntArray:
    """The machines in use and a few others: equal offers side by side only confuse the search."""
    data = index.data
    used = np.unique(data.pool_machine[solution.replicas.any(axis=1)])
    others = np.setdiff1d(np.unique(data.pool_machine), used)
    drawn = rng.choice(others, size=min(extra, len(others)), replace=False)
    return np.concatenate([used, drawn])


def _draw(rng: np.random.Generator, count: int, share: float) -> IntArray:
    size = min(max(1, int(np.ceil(share * count))), count)
    return np.asarray(rng.choice(count, size=size, replace=False))
