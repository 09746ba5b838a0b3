"""The true optimum of a fleet whose slices touch only through adoption and copies.

As `tests.brute_force`, but for more machines than a grid over purchases can hold. For every
adoption and every set of copies each slice is on its own: replicas are counted up from none in the
order of what holding them is worth, each vector is routed by a linear program, and the count stops
where holding alone is worth as much as the best plan found. It shares no code with the program,
and does not use the planner's limits of purchases.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from models.fleet.data import FleetData, FloatArray, IntArray
from tests.brute_force import adoptions, allowed_routes, placements, route

Replicas = tuple[int, ...]


def best_value_by_slice(data: FleetData, weights: Mapping[str, float]) -> float:
    """Least weighted sum of cost, carbon, qoe-loss and water over all plans; inf without a plan."""
    _require_slices_apart(data)
    w = np.array([weights.get(name, 0.0) for name in ("cost", "carbon", "qoe-loss", "water")])
    figures = [data.route_cost_usd, data.route_carbon_kgco2e, data.route_loss, data.route_water_l]
    route_value = w @ np.array(figures)
    held = np.zeros((len(data.machines), len(data.slices)))
    held[data.purchase_machine] = w[0] * data.purchase_cost_usd
    held += w[1] * data.machine_carbon_kgco2e + w[3] * data.machine_water_l
    running = w[1] * data.machine_running_kgco2e + w[3] * data.machine_running_water_l
    free = replace(data, attainment_min=np.full(len(data.workloads), np.nan))  # see below
    candidates = []
    for adopted, adoption_value in adoptions(data, w):
        groups = np.flatnonzero(np.isin(data.group_variant, list(adopted)))
        for opened, copies, _, place_value in placements(data, w, adopted):
            routes = np.array(allowed_routes(data, groups.tolist(), opened, copies), dtype=int)
            least = _least(data, groups, routes, route_value)
            candidates.append((adoption_value + place_value + sum(least), routes, groups, least))
    best = np.inf
    for bound, routes, groups, least in sorted(candidates, key=lambda c: c[0]):
        total = bound
        for t in range(len(data.slices)):
            if total < best:
                mine = groups[data.item_slice[data.group_item[groups]] == t]
                there = routes[data.route_slice[routes] == t]
                slice_least, most = least[t], best - total + least[t]
                costs = held[:, t], running[:, t]
                found = _slice_value(free, mine, there, route_value, costs, slice_least, most)
                total += found - slice_least
        best = min(best, total)
    return float(best)


def _require_slices_apart(data: FleetData) -> None:
    """What `tiny` has, checked: anything else could join slices or limit what may be held."""
    assert (data.purchase_market == 0).all(), "no spot, nothing committed"
    assert data.purchase_per_slice.all()
    assert len(set(data.purchase_machine)) == len(data.purchase_machine)
    assert np.isinf(data.purchase_stock).all()
    assert not data.quota_names
    assert not data.machine_fixed.any()
    assert not data.machine_incumbent.any()
    assert (data.route_slice == data.item_slice[data.group_item[data.route_group]]).all()
    assert (data.route_pool >= 0).all()
    assert (data.min_regions == 1).all()
    limits = [data.cost_max_usd, data.carbon_max_kgco2e, data.water_max_l, data.loss_max]
    assert np.isnan([*limits, *data.region_share_max, *data.workload_loss_max]).all()
    # Every route alone reaches the attainment asked for: those rows can exclude nothing.
    assert data.route_attainment.min() >= np.nanmax(data.attainment_min)


def _least(
    data: FleetData, groups: IntArray, routes: IntArray, route_value: FloatArray
) -> list[float]:
    """Value of the cheapest routes of each slice whatever is held; inf where a group has none."""
    total = [0.0] * len(data.slices)
    for q in groups:
        mine = route_value[routes[data.route_group[routes] == q]]
        total[data.item_slice[data.group_item[q]]] += float(mine.min(initial=np.inf))
    return total


def _slice_value(
    data: FleetData,
    groups: IntArray,
    routes: IntArray,
    route_value: FloatArray,
    costs: tuple[FloatArray, FloatArray],
    least: float,
    most: float,
) -> float:
    """Least value of holding, running and routing in one slice, or `most` if nothing is below that;
    `costs` (H,) of an instance held and of an accelerator that runs."""
    held, running = costs
    pools = np.unique(data.route_pool[routes])
    t = int(data.route_slice[routes[0]])
    load = [data.route_share[routes[data.route_pool[routes] == p]].sum(axis=0).max() for p in pools]
    enough = np.ceil(np.array(load)).astype(int)  # more replicas than carry everything are no use
    machine, size = data.pool_machine[pools], data.pool_accelerators[pools]

    def value_of_holding(replicas: Replicas) -> float:
        used = np.bincount(machine, size * np.array(replicas), minlength=len(held))
        return float(np.ceil(used / data.machine_size) @ held + used @ running)

    def routed(replicas: Replicas) -> float:
        held_here = {(int(p), t): n for p, n in zip(pools, replicas, strict=True)}
        spread = ((),) * len(data.workloads)
        return route(data, list(groups), list(routes), spread, held_here, route_value)

    everything = tuple(int(n) for n in enough)
    best = min(most, value_of_holding(everything) + routed(everything))
    for replicas, value in _by_value(everything, value_of_holding):
        if value + least >= best:
            break
        open_pools = pools[np.array(replicas) > 0]
        open_routes = routes[np.isin(data.route_pool[routes], open_pools)]
        if value + sum(_least(data, groups, open_routes, route_value)) < best:
            best = min(best, value + routed(replicas))
    return best


def _by_value(
    most: Replicas, value_of: Callable[[Replicas], float]
) -> Iterator[tuple[Replicas, float]]:
    """Every vector up to `most`, each once, by a value that never falls with more replicas."""
    none = (0,) * len(most)
    waiting = [(value_of(none), none, 0)]
    while waiting:
        value, replicas, last = heapq.heappop(waiting)
        yield replicas, value
        for at in range(last, len(most)):
            if replicas[at] < most[at]:
                more = (*replicas[:at], replicas[at] + 1, *replicas[at + 1 :])
                heapq.heappush(waiting, (value_of(more), more, at))
