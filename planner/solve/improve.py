"""Large neighbourhood search: free a part of the plan, let branch and bound re-decide it.

A neighbourhood keeps every route the plan uses and adds good alternatives (lowest reduced
costs, open pools first) for the freed part; the answer is never worse than the plan. Given
variants, commitments and copies, slices are nearly independent: they come first, each alone, and
what is won in several of them at once is put together (`grafted`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.aim import Aim
from planner.solve.index import FleetIndex, best_per_group, routes_of, routes_with
from planner.solve.solution import Solution, finished, keeps_promises, obeys_limits

KINDS = ("slices", "workloads", "machines")
SLICE_GAP = 1e-4
NO_ROUTES: IntArray = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """What is freed, and the columns it may use."""

    name: str
    variants: IntArray
    routes: IntArray
    freed: BoolArray
    """bool (Q,) groups that may change; the others keep their routes and shares"""


def slices_by_length(index: FleetIndex) -> list[int]:
    """The longest first."""
    order: list[int] = np.argsort(-index.data.slice_hours, kind="stable").tolist()
    return order


def polished_slice(
    index: FleetIndex,
    aim: Aim,
    base: Solution,
    routes: IntArray,
    t: int,
    limit_s: float,
    *,
    batch: bool = False,
) -> Solution | None:
    """The plan with everything in one slice decided again over the given routes; commitments,
    copies and all other slices stay. With `batch`, batch demand may move between the slice and
    what the others have to spare."""
    item_slice = index.data.item_slice[index.group_item]
    freed = (item_slice == t) | (batch & (item_slice < 0))
    mine = routes[freed[index.route_group[routes]] & (index.slice[routes] == t)]
    mine = routes_with(index, mine, base.adopt)
    program = aim.program(index, np.unique(base.adopt), np.union1d(mine, base.routes))
    program.keep(base, freed, t)
    found, _ = program.solve(limit_s, SLICE_GAP, base)
    return found


def few_routes(
    index: FleetIndex, plan: Solution, support: IntArray, reduced: FloatArray
) -> IntArray:
    """Routes to improve a plan with: its own, those that a relaxation uses, and for every group the
    best one on pools that run and the best of all.

    Few: a slice over more of them gets less far in its time.
    """
    mine = routes_of(index, np.unique(plan.adopt[plan.adopt >= 0]))
    hot = mine[_or_hosted(open_pools(index, plan), index.pool_slice[mine])]
    best = [best_per_group(index, reduced[routes], routes, 1) for routes in (hot, mine)]
    return np.unique(np.concatenate([plan.routes, support, *best]))


def grafted(index: FleetIndex, best: Solution, found: Solution, t: int) -> Solution | None:
    """`best` with slice `t` of `found`; None where they differ in more than what interactive
    demand is served by, or where the two together keep not every promise."""
    when = index.data.item_slice[index.group_item[index.route_group]]
    names = ("adopt", "buy", "train")
    same = all(np.array_equal(getattr(best, name), getattr(found, name)) for name in names)
    ours, theirs = when[best.routes] < 0, when[found.routes] < 0
    same = same and np.array_equal(best.routes[ours], found.routes[theirs])
    if not same or not np.array_equal(best.serve[ours], found.serve[theirs]):
        return None
    by_hour = best.by_hour.copy()
    there = index.slice[best.routes[ours]] == t
    by_hour[ours] = np.where(there, found.by_hour[theirs], by_hour[ours])
    ours, theirs = when[best.routes] != t, when[found.routes] == t
    routes = np.concatenate([best.routes[ours], found.routes[theirs]])
    serve = np.concatenate([best.serve[ours], found.serve[theirs]])
    by_hour = np.concatenate([by_hour[ours], found.by_hour[theirs]])
    order = np.argsort(routes)
    rent, hold = best.rent.astype(np.float64), best.hold.copy()
    rent[:, t], hold[:, t] = found.rent[:, t], found.hold[:, t]
    parts = (best.adopt, routes[order], serve[order], best.buy, rent, best.train)
    made = finished(index, *parts, by_hour[order], hold)
    return made if obeys_limits(index, made) and keeps_promises(index, made) else None


def open_pools(index: FleetIndex, solution: Solution) -> BoolArray:
    """Pool-slices with a replica, bool (P * T,)."""
    return np.asarray(solution.replicas.reshape(-1) > 0)


def _or_hosted(true: BoolArray, place: IntArray) -> BoolArray:
    """What is true at each place; at -1, where no pool serves, it always is."""
    return np.append(true, True)[place]


def neighbourhood(
    index: FleetIndex,
    solution: Solution,
    reduced: FloatArray,
    freed: BoolArray,
    variants: IntArray,
    name: str,
    allowed: BoolArray,
    known: IntArray,
    *,
    most_routes: int = 6000,
) -> Neighbourhood:
    """The plan's routes, and for freed groups (bool (Q,)) the best routes of `variants`.

    Only pools in `allowed` (bool (P,)) are offered. Half of the alternatives come from pools that
    already run, half from all pools. Where the routes of another good plan are `known`, they are
    the alternatives, beside the best ones of pools that run: a smaller program gets further.
    """
    mine = routes_of(index, variants)
    other = routes_with(index, known[freed[index.route_group[known]]], variants)
    mine = mine[freed[index.route_group[mine]] & _or_hosted(allowed, index.pool[mine])]
    groups = max(len(np.unique(index.route_group[mine])), 1)
    keep = int(np.clip(most_routes // (2 * groups), 1, 12))
    hot = mine[_or_hosted(open_pools(index, solution), index.pool_slice[mine])]
    if len(known):
        chosen = [solution.routes, other, best_per_group(index, reduced[hot], hot, 1)]
    else:
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
    *,
    variant_value: FloatArray | None = None,
    known: IntArray = NO_ROUTES,
) -> Neighbourhood:
    """Free about `share` of the slices, workloads or machines in use, drawn at random.

    Freed workloads may also change to one of their next best variants at the prices
    (`variant_value`, float (V,)). `known`: routes of another good plan.
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
        machine = np.append(data.pool_machine, -1)[pool]
        used = np.unique(machine[machine >= 0])
        chosen = used[_draw(rng, len(used), share)] if len(used) else used
        freed = np.zeros(len(item), dtype=bool)
        freed[index.route_group[solution.routes[np.isin(machine, chosen)]]] = True
    machines = _some_machines(index, solution, rng)
    allowed = np.isin(data.pool_machine, machines)
    several = np.unique(np.concatenate(variants))
    return neighbourhood(index, solution, reduced, freed, several, kind, allowed, known)


def _some_machines(
    index: FleetIndex, solution: Solution, rng: np.random.Generator, extra: int = 3
) -> IntArray:
    """The machines in use and a few others: equal offers side by side only confuse the search."""
    data = index.data
    pool = index.pool[solution.routes]
    used = np.unique(data.pool_machine[pool[pool >= 0]])
    others = np.setdiff1d(np.unique(data.pool_machine), used)
    drawn = rng.choice(others, size=min(extra, len(others)), replace=False)
    return np.concatenate([used, drawn])


def _draw(rng: np.random.Generator, count: int, share: float) -> IntArray:
    size = min(max(1, int(np.ceil(share * count))), count)
    return np.asarray(rng.choice(count, size=size, replace=False))
