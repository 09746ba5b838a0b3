"""A plan's decisions carried over to other candidates: a start for a re-solve, and a quick plan.

What the plan decides and the candidates still allow is kept; the rest takes what is cheapest at
the prices. Machines follow the load: rentals are topped up, commitments that nothing needs any
more are dropped. The result is a plan of the program if it keeps every rule, which is for the
independent checker to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from models.fleet.data import MARKETS, FloatArray, IntArray
from planner.plan import FleetLine, Plan, RoutingLine
from planner.solve.bound import Bound
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution, finished, obeys_limits, replicas_needed

NOTHING: Mapping[str, str] = MappingProxyType({})

ItemKey = tuple[str, str, str, str | None]


def carried(
    index: FleetIndex,
    bound: Bound,
    plan: Plan,
    dominated: Mapping[str, str] = NOTHING,
    dominated_pools: Mapping[str, str] = NOTHING,
) -> Solution | None:
    """The plan's decisions on the data of `index`; None where limits on machines do not allow it.

    `bound` says what routes and variants cost at prices. What the plan has on a machine or in a
    configuration that is dominated here goes to the one that dominates it.
    """
    plan = _on_undominated(index, _in_undominated(plan, dominated_pools), dominated)
    adopt = _adopted(index, bound, plan)
    if adopt is None:
        return None
    routes, serve, by_hour = _routes(index, bound, plan, adopt)
    train = _training(index, bound, plan, adopt)
    buy, rent, hold = _purchases(index, plan)
    buy, rent = trimmed(index, replicas_needed(index, routes, serve - by_hour), buy, rent)
    parts = (adopt, routes, serve, buy, rent.astype(float), train, by_hour, hold)
    for spare in (False, True):
        found = finished(index, *parts, spare=spare)
        if obeys_limits(index, found):
            return found
    return None


def _in_undominated(plan: Plan, dominated: Mapping[str, str]) -> Plan:
    """The same answers from configurations that are not dominated: they take no more
    accelerators of the same type for anything."""
    accelerator = {row.pool: row.accelerator for row in plan.replicas}

    def routed(line: RoutingLine) -> RoutingLine:
        if line.pool is None:
            return line
        region, offer, config = line.pool.split("/", maxsplit=2)
        other = dominated.get(f"{accelerator.get(line.pool)}/{config}")
        if other is None:
            return line
        return replace(line, pool=f"{region}/{offer}/{other.partition('/')[2]}")

    return replace(plan, routing=tuple(map(routed, plan.routing)))


def _on_undominated(index: FleetIndex, plan: Plan, dominated: Mapping[str, str]) -> Plan:
    """The same accelerators held and used, on machines that are not dominated: the size of a
    dominated one is a multiple of theirs, and its replicas run on them too."""
    size = dict(zip(index.data.machines, index.data.machine_size.tolist(), strict=True))
    there = {name: other for name, other in dominated.items() if other in size}

    def routed(line: RoutingLine) -> RoutingLine:
        if line.pool is None:
            return line
        region, offer, config = line.pool.split("/", maxsplit=2)
        other = there.get(f"{region}/{offer}")
        return line if other is None else replace(line, pool=f"{other}/{config}")

    def held(line: FleetLine) -> FleetLine:
        other = there.get(f"{line.region}/{line.offer}")
        if other is None:
            return line
        return replace(
            line,
            offer=other.partition("/")[2],
            accelerators=size[other],
            instances=line.instances * line.accelerators // size[other],
            hours=None if line.hours is None else line.hours * line.accelerators / size[other],
        )

    return replace(
        plan,
        routing=tuple(map(routed, plan.routing)),
        fleet=tuple(map(held, plan.fleet)),
    )


def _adopted(index: FleetIndex, bound: Bound, plan: Plan) -> IntArray | None:
    """The plan's variants, or the cheapest of a workload at the prices; None: it has none."""
    data = index.data
    at = {name: v for v, name in enumerate(data.variants)}
    adopt = np.full(len(data.workloads), -1)
    wanted = {row.workload: at.get(row.variant, -1) for row in plan.adoption}
    for w in np.unique(data.item_workload):
        able = index.workload_variants[w]
        if not len(able):
            return None
        kept = wanted.get(data.workloads[w], -1)
        adopt[w] = kept if kept in able else able[np.argmin(bound.variant_value[able])]
    return adopt


def _routes(
    index: FleetIndex, bound: Bound, plan: Plan, adopt: IntArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """The plan's routes of the adopted variants, what they serve and what of that by the hour;
    groups it says nothing of take the cheapest."""
    data = index.data
    lines: dict[tuple[ItemKey, int], list[tuple[tuple[object, ...], float, float]]]
    lines = defaultdict(list)
    for line in plan.routing:
        key = (line.workload, line.length_class, line.origin, line.slice)
        place = (line.pool, line.region, line.served_slice)
        lines[key, line.leg].append((place, line.share, line.by_hour))
    kept = {row.workload: row.variant for row in plan.adoption}
    routes: list[int] = []
    serve: list[float] = []
    by_hour: list[float] = []
    for v in adopt[adopt >= 0]:
        same = kept.get(data.workloads[data.variant_workload[v]]) == data.variants[v]
        for group in range(index.variant_group_start[v], index.variant_group_start[v + 1]):
            span = range(index.group_start[group], index.group_start[group + 1])
            asked = (
                lines.get((_item(index, group), int(index.group_leg[group])), []) if same else []
            )
            there = {_place(index, j): j for j in span} if asked else {}
            found = [
                (there[place], share, apart)
                for place, share, apart in asked
                if place in there and share > 0
            ]
            if not found:
                best = span.start + int(np.argmin(bound.reduced[span.start : span.stop]))
                found = [(best, 1.0, 0.0)]
            routes += [route for route, _, _ in found]
            serve += [share for _, share, _ in found]
            by_hour += [apart for _, _, apart in found]
    kept_routes = np.array(routes, dtype=np.int64)
    able = index.by_hour[kept_routes] > 0.0
    return kept_routes, np.array(serve), np.where(able, by_hour, 0.0)


def _item(index: FleetIndex, group: int) -> ItemKey:
    data, item = index.data, index.group_item[group]
    part = data.item_slice[item]
    return (
        data.workloads[data.item_workload[item]],
        data.item_class[item],
        data.origins[data.item_origin[item]],
        data.slices[part] if part >= 0 else None,
    )


def _place(index: FleetIndex, route: int) -> tuple[object, ...]:
    data, pool, region = index.data, index.pool[route], index.region[route]
    return (
        data.pools[pool] if pool >= 0 else None,
        data.regions[region] if region >= 0 else None,
        data.slices[index.slice[route]],
    )


def _training(index: FleetIndex, bound: Bound, plan: Plan, adopt: IntArray) -> IntArray:
    """The plan's training runs, or the cheapest ones at the weights."""
    data = index.data
    weights = bound.prices.weights + bound.prices.cap
    train = np.full(len(data.variants), -1)
    planned = {(t.variant, f"{t.region}/{t.offer}", t.slice) for t in plan.training}
    for v in adopt[adopt >= 0]:
        options = np.arange(index.training_start[v], index.training_start[v + 1])
        if len(options):
            named = [
                o
                for o in options
                if (
                    data.variants[v],
                    data.machines[data.training_machine[o]],
                    data.slices[data.training_slice[o]],
                )
                in planned
            ]
            cheapest = options[np.argmin(index.training_totals[options] @ weights)]
            train[v] = named[0] if named else cheapest
    return train


def _purchases(index: FleetIndex, plan: Plan) -> tuple[IntArray, IntArray, FloatArray]:
    """Instances the plan holds of each purchase: all period (B,), by slice and by the hour, both
    (B, T)."""
    data = index.data
    at = {
        (data.machines[h], MARKETS[m]): b
        for b, (h, m) in enumerate(zip(data.purchase_machine, data.purchase_market, strict=True))
    }
    slices = {name: t for t, name in enumerate(data.slices)}
    buy = np.zeros(len(data.purchase_machine), dtype=np.int64)
    rent = np.zeros((len(buy), len(slices)), dtype=np.int64)
    hold = np.zeros(rent.shape)
    for line in plan.fleet:
        b = at.get((f"{line.region}/{line.offer}", line.market))
        if b is None:
            continue
        if line.slice is None:
            buy[b] += line.instances
        elif line.slice in slices and line.hours is not None:
            t = slices[line.slice]
            hold[b, t] += line.hours / data.slice_hours[t]
        elif line.slice in slices:
            rent[b, slices[line.slice]] += line.instances
    return buy, rent, hold


def trimmed(
    index: FleetIndex, replicas: IntArray, buy: IntArray, rent: IntArray
) -> tuple[IntArray, IntArray]:
    """Commitments and spot machines cut to what the replicas need, commitments served first."""
    data = index.data
    size = data.machine_size.astype(float)
    need = np.zeros((len(data.machines), len(data.slices)))
    np.add.at(need, data.pool_machine, replicas * data.pool_accelerators[:, None])
    need = np.maximum(need - size[:, None] * data.machine_fixed, 0.0)
    buy, rent = buy.copy(), rent.copy()
    for b in np.flatnonzero(buy):
        h = data.purchase_machine[b]
        buy[b] = min(buy[b], int(np.ceil(need[h].max() / size[h] - 1e-9)))
        need[h] = np.maximum(need[h] - size[h] * buy[b], 0.0)
    for b in np.flatnonzero((data.purchase_market == MARKETS.index("spot")) & rent.any(axis=1)):
        h = data.purchase_machine[b]
        usable = size[h] * data.purchase_availability[b]
        rent[b] = np.minimum(rent[b], np.ceil(need[h] / usable - 1e-9).astype(np.int64))
        need[h] = np.maximum(need[h] - usable * rent[b], 0.0)
    return buy, rent
