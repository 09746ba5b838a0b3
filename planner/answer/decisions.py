"""What was decided, in the order of FleetData, and the same as lines of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.fleet.data import MARKETS, BoolArray, FleetData, FloatArray, IntArray
from planner.candidates.kinds import PoolInfo
from planner.instance.facts import Facts
from planner.plan import FleetLine, ReplicaLine, RoutingLine, TrainingLine

if TYPE_CHECKING:
    from planner.solve.engine import EngineResult

OWNED = "owned"
TRACE = 1e-6
"""What a part is above a whole number of machines by rounding alone."""
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class Decisions:
    """Values of the program's variables; index letters as in `models.fleet.data`."""

    adopt: IntArray
    """int (W,) variant of each workload"""
    routes: IntArray
    """int (n,) routes in use, numbered as in FleetData"""
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
    by_hour: FloatArray
    """float (n,) the part of `serve` that machines held by the hour serve"""
    hold: FloatArray
    """float (B, T) instances held by the hour: their hours over those of the slice"""

    @classmethod
    def of(cls, result: EngineResult) -> Decisions:
        """The engine's solution with its routes numbered as in FleetData."""
        found = result.solution
        return cls(
            adopt=found.adopt,
            routes=result.index.order[found.routes],
            serve=found.serve,
            replicas=found.replicas,
            buy=found.buy,
            rent=found.rent,
            host=found.host,
            train=found.train,
            by_hour=found.by_hour,
            hold=found.hold,
        )

    @property
    def instances(self) -> FloatArray:
        """Instances held of each purchase on the mean over each slice, float (B, T)."""
        return np.asarray(self.buy[:, None] + self.rent + self.hold)

    def held(self, data: FleetData) -> FloatArray:
        """Instances held on the mean over a slice, float (H, T): owned, committed and rented."""
        return self._by_machine(data, self.instances)

    def held_at_once(self, data: FleetData) -> FloatArray:
        """Most instances held at any one time of a slice, float (H, T)."""
        return self._by_machine(data, self.buy[:, None] + self.rent + at_once(self.hold))

    def running(self, data: FleetData) -> FloatArray:
        """Replicas running on the mean over a slice, float (P, T)."""
        return np.asarray(self.replicas + replicas_by_hour(data, self))

    @staticmethod
    def _by_machine(data: FleetData, instances: FloatArray) -> FloatArray:
        held = data.machine_fixed.astype(np.float64)
        np.add.at(held, data.purchase_machine, instances)
        return held


def at_once(parts: FloatArray) -> FloatArray:
    """Whole machines or replicas that so many parts of a slice take at one time."""
    return np.maximum(np.ceil(parts - TRACE), parts > 0.0)


def leg_weights(data: FleetData, check_share: FloatArray) -> FloatArray:
    """Share of the requests whose score each group decides, float (Q,).

    `check_share` (V,) is 0 for variants without a check.
    """
    share = check_share[data.group_variant]
    return np.asarray(np.where(data.group_leg == 1, share, 1.0 - share))


def leg_loads(data: FleetData, check_share: FloatArray) -> FloatArray:
    """Requests of each group per request of the workload, float (Q,)."""
    return np.asarray(np.where(data.group_leg == 1, check_share[data.group_variant], 1.0))


# ------------------------------------------------------------------ lines of the plan


def fleet_lines(data: FleetData, decisions: Decisions) -> tuple[FleetLine, ...]:
    """Instances held, by machine: owned, committed for the period, rented by slice or hour."""
    lines = []
    once, hours = at_once(decisions.hold), decisions.hold * data.slice_hours
    for h in range(len(data.machines)):
        region, offer = split_machine(data, h)
        held = _fixed(data, h)
        for b in np.flatnonzero(data.purchase_machine == h):
            market = MARKETS[data.purchase_market[b]]
            held.append((market, None, int(decisions.buy[b]), None))
            held += [
                (market, in_slice, int(decisions.rent[b, t]), None)
                for t, in_slice in enumerate(data.slices)
            ]
            held += [
                (market, in_slice, int(once[b, t]), float(hours[b, t]))
                for t, in_slice in enumerate(data.slices)
            ]
        lines += [
            FleetLine(
                region=region,
                offer=offer,
                accelerator=data.machine_accelerator[h],
                market=market,
                slice=in_slice,
                accelerators=int(data.machine_size[h]),
                instances=instances,
                hours=hours,
            )
            for market, in_slice, instances, hours in held
            if instances > 0
        ]
    return tuple(lines)


def declared_lines(lines: Iterable[FleetLine], facts: Facts) -> Iterator[FleetLine]:
    """The lines, machines held anyway told apart by the market that ``owned.csv`` declares."""
    held = {machine.machine: dict(machine.fixed_by_market) for machine in facts.machines}
    slices = {part.slice: t for t, part in enumerate(facts.instance.slices)}
    for line in lines:
        if line.market != OWNED:
            yield line
            continue
        parts = held[f"{line.region}/{line.offer}"]
        steady = all(len(set(counts)) == 1 for counts in parts.values())
        for name in [line.slice] if line.slice is not None or steady else list(slices):
            for market, counts in parts.items():
                instances = counts[slices[name] if name is not None else 0]
                declared = "" if market == OWNED else market
                if instances:
                    yield replace(line, slice=name, instances=instances, declared=declared)


def _fixed(data: FleetData, machine: int) -> list[tuple[str, str | None, int, float | None]]:
    """Owned and committed instances: one line, or one per slice where some end in the period."""
    counts = data.machine_fixed[machine].tolist()
    if len(set(counts)) == 1:
        return [(OWNED, None, counts[0], None)]
    by_slice = zip(data.slices, counts, strict=True)
    return [(OWNED, in_slice, count, None) for in_slice, count in by_slice]


def split_machine(data: FleetData, machine: int) -> tuple[str, str]:
    """(region, offer) of a machine; offers may hold a slash, the region is known."""
    region = data.regions[data.machine_region[machine]]
    return region, data.machines[machine].removeprefix(f"{region}/")


def replica_lines(
    data: FleetData, decisions: Decisions, pools: tuple[PoolInfo, ...]
) -> tuple[ReplicaLine, ...]:
    """Replicas running, by pool and slice, all of the slice and by the hour."""
    parts = replicas_by_hour(data, decisions)
    running = [
        *((p, t, int(decisions.replicas[p, t]), None) for p, t in _places(decisions.replicas)),
        *((p, t, int(at_once(parts)[p, t]), parts[p, t]) for p, t in _places(parts)),
    ]
    return tuple(
        ReplicaLine(
            pool=data.pools[p],
            region=pools[p].region,
            offer=pools[p].offer,
            accelerator=pools[p].accelerator,
            llm=pools[p].llm,
            weights=pools[p].weights,
            accelerators=int(data.pool_accelerators[p]),
            precision=pools[p].precision,
            engine=pools[p].engine,
            operating_tpot_s=pools[p].operating_tpot_s,
            lane_tokens=pools[p].lane_tokens,
            slice=data.slices[t],
            replicas=replicas,
            hours=None if part is None else float(part * data.slice_hours[t]),
        )
        for p, t, replicas, part in running
    )


def replicas_by_hour(data: FleetData, decisions: Decisions) -> FloatArray:
    """Replicas that run by the hour: their hours over those of the slice, float (P, T). Each serves
    one route at a time, at its full load."""
    parts = np.zeros((len(data.pools), len(data.slices)))
    routes = decisions.routes[decisions.by_hour > 0.0]
    full = data.route_share[routes].max(axis=1, initial=0.0)
    place = data.route_pool[routes], data.route_slice[routes]
    np.add.at(parts, place, full * decisions.by_hour[decisions.by_hour > 0.0])
    return parts


def _places(counts: IntArray | FloatArray) -> list[tuple[int, int]]:
    return [(p, t) for p, t in np.argwhere(counts > 0).tolist()]


def routing_lines(
    data: FleetData, decisions: Decisions, loads: FloatArray
) -> tuple[RoutingLine, ...]:
    """Where each demand item is answered; `loads` (Q,) as of `leg_loads`."""
    lines = []
    served = (decisions.routes, decisions.serve, decisions.by_hour)
    for j, share, by_hour in zip(*(values.tolist() for values in served), strict=True):
        group, pool, region = data.route_group[j], data.route_pool[j], data.route_region[j]
        item, in_slice = data.group_item[group], data.route_slice[j]
        requests = share * data.item_requests[item] * loads[group]
        demand_slice = data.item_slice[item]
        lines.append(
            RoutingLine(
                workload=data.workloads[data.item_workload[item]],
                length_class=data.item_class[item],
                origin=data.origins[data.item_origin[item]],
                slice=data.slices[demand_slice] if demand_slice >= 0 else None,
                leg=int(data.group_leg[group]),
                region=data.regions[region] if region >= 0 else None,
                pool=data.pools[pool] if pool >= 0 else None,
                served_slice=data.slices[in_slice],
                share=share,
                requests_per_s=float(requests / (SECONDS_PER_HOUR * data.slice_hours[in_slice])),
                by_hour=by_hour,
            )
        )
    return tuple(lines)


def hosting_lines(data: FleetData, decisions: Decisions) -> tuple[tuple[str, str], ...]:
    """(variant, region) of every copy of an index or adapter."""
    return tuple((data.variants[v], data.regions[r]) for v, r in np.argwhere(decisions.host))


def training_lines(data: FleetData, decisions: Decisions) -> tuple[TrainingLine, ...]:
    """Where and when the adopted fine-tunes run."""
    lines = []
    for v in np.flatnonzero(decisions.train >= 0):
        option = decisions.train[v]
        region, offer = split_machine(data, int(data.training_machine[option]))
        lines.append(
            TrainingLine(
                workload=data.workloads[data.variant_workload[v]],
                variant=data.variants[v],
                region=region,
                offer=offer,
                slice=data.slices[data.training_slice[option]],
            )
        )
    return tuple(lines)
