"""Plans in the program's own numbers: what one is, completing one, and whether limits are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.bound import SPOT, caps_of
from planner.solve.index import FleetIndex

SERVE_TOLERANCE = 1e-9
TRACE = 1e-6
"""Shares from a solver carry its tolerance: a millionth of a replica is not a replica."""


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
    by_hour: FloatArray
    """float (n,) the part of `serve` that machines held by the hour serve"""
    hold: FloatArray
    """float (B, T) instances held by the hour: their hours over those of the slice"""

    @property
    def most(self) -> IntArray:
        """Instances of each rental that are held at any one time, int (B, T)."""
        return self.rent + at_once(self.hold)

    @property
    def mean(self) -> FloatArray:
        """Instances of each purchase held over each slice, float (B, T)."""
        return np.asarray(self.buy[:, None] + self.rent + self.hold)


def at_once(hold: FloatArray) -> IntArray:
    """Whole instances that are held by the hour at one time, int (B, T)."""
    return np.maximum(np.ceil(hold - TRACE), hold > 0.0).astype(np.int64)


def held_instances(index: FleetIndex, solution: Solution) -> IntArray:
    """Instances held at once per machine and slice, int (H, T)."""
    data = index.data
    held = data.machine_fixed.astype(np.int64)
    np.add.at(held, data.purchase_machine, solution.buy[:, None] + solution.most)
    return held


def replicas_by_hour(index: FleetIndex, routes: IntArray, by_hour: FloatArray) -> FloatArray:
    """Replicas that run by the hour: their hours over those of the slice, float (P, T)."""
    parts = np.zeros((len(index.data.pools), len(index.data.slices)))
    used = np.flatnonzero(by_hour)
    mine = routes[used]
    full = index.share[mine].max(axis=1, initial=0.0)
    np.add.at(parts, (index.pool[mine], index.slice[mine]), full * by_hour[used])
    return parts


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
    totals += np.einsum("bt,btm->m", solution.mean, index.purchase_totals)
    running = solution.replicas + replicas_by_hour(index, routes, solution.by_hour)
    totals += np.einsum("pt,ptm->m", running, index.replica_totals)
    if index.opens:
        used = np.unique(index.region[routes])
        totals[0] += data.region_fixed_cost_usd[used[used >= 0]].sum()
    if index.counts_added:
        held = held_instances(index, solution)
        peak = (data.machine_size[:, None] * held).max(axis=1)
        added = np.maximum(peak - data.machine_incumbent, 0.0)
        totals[0] += data.machine_change_usd @ added
        totals[1] += data.machine_change_kgco2e @ added
    return totals


def whole_plan(
    index: FleetIndex,
    adopt: FloatArray,
    routes: IntArray,
    serve: FloatArray,
    buy: FloatArray,
    rent: FloatArray,
    train: FloatArray,
    by_hour: FloatArray,
    hold: FloatArray,
) -> Solution:
    """The plan behind values of the program's variables: those of variants (V,), purchases (B,) and
    (B, T) and training options (O,), and of some routes; integers are whole within tolerance."""
    data = index.data
    adopted = np.flatnonzero(np.rint(adopt))
    chosen = np.full(len(data.workloads), -1)
    chosen[data.variant_workload[adopted]] = adopted
    # Within tolerances a variant that is not adopted may answer a trace.
    used = (serve > SERVE_TOLERANCE) & np.isin(index.route_variant[routes], adopted)
    options = np.argsort(train, kind="stable")
    runs = np.full(len(data.variants), -1)
    # Of several options of a variant the last, which has the largest share, is kept.
    runs[data.training_variant[options]] = options
    runs[np.setdiff1d(np.arange(len(runs)), adopted)] = -1
    bought = np.rint(buy).astype(np.int64)
    parts = (chosen, routes[used], serve[used], bought, rent, runs, by_hour[used], hold)
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
    by_hour: FloatArray,
    hold: FloatArray,
    *,
    spare: bool = False,
) -> Solution:
    """Complete a solution: shares that sum to one, whole rentals, hosts, totals recomputed."""
    data = index.data
    kept = without_traces(index, routes, serve)
    routes, serve, by_hour = routes[kept], serve[kept], by_hour[kept]
    group = index.route_group[routes]
    total = np.bincount(group, serve, minlength=len(index.group_item))[group]
    serve = serve / total
    by_hour = _untraced_hours(index, routes, serve, by_hour / total)
    hold = _needed_hours(index, routes, by_hour, hold)
    replicas = replicas_needed(index, routes, serve - by_hour)
    host = np.zeros(index.has_host.shape, dtype=bool)
    row = index.host_row[routes]
    pair = row[row >= 0] // len(data.origins)
    host.reshape(-1)[pair] = True
    rentals = whole_rentals(index, replicas, buy, rent, spare=spare)
    solution = Solution(
        *(adopt, routes, serve, replicas, buy, rentals, host, train, np.zeros(4), by_hour, hold)
    )
    return replace(solution, totals=totals_of(index, solution))


def _untraced_hours(
    index: FleetIndex, routes: IntArray, serve: FloatArray, by_hour: FloatArray
) -> FloatArray:
    """What is served by the hour, float (n,), where a solver's tolerance alone neither holds a
    machine by the hour nor leaves a replica something to serve."""
    by_hour = np.clip(by_hour, 0.0, np.where(index.by_hour[routes] > 0.0, serve, 0.0))
    place = index.pool_slice[routes]
    # A hosted llm, at place -1, serves nothing by the hour.
    left = np.append(_pool_loads(index, routes, serve - by_hour), np.inf)[place]
    apart = np.append(_pool_loads(index, routes, by_hour), 0.0)[place]
    only = (left <= TRACE) & (left < apart) & (index.by_hour[routes] > 0.0)
    none = (apart <= TRACE) & (apart <= left)
    return np.asarray(np.where(only, serve, np.where(none, 0.0, by_hour)))


def _needed_hours(
    index: FleetIndex, routes: IntArray, by_hour: FloatArray, hold: FloatArray
) -> FloatArray:
    """Instances held by the hour just as long as (4b) needs them, in the markets of `hold`; where
    that names none, in the first of the machine. Float (B, T)."""
    data = index.data
    need = np.zeros((len(data.machines), len(data.slices)))
    used = np.flatnonzero(by_hour)
    cell = data.pool_machine[index.pool[routes[used]]], index.slice[routes[used]]
    np.add.at(need, cell, index.by_hour[routes[used]] * by_hour[used])
    machine = data.purchase_machine
    usable = np.where(data.purchase_per_slice, data.purchase_availability, 0.0)[:, None]
    first = np.full(len(data.machines), -1)
    listed = np.flatnonzero(data.purchase_per_slice)[::-1]
    first[machine[listed]] = listed
    is_first = (first[machine] == np.arange(len(machine)))[:, None]
    held = np.zeros_like(need)
    hold = np.maximum(hold, 0.0)
    np.add.at(held, machine, usable * hold)
    # Beside others, a solver's tolerance alone would count as one more held at once.
    hold = np.where(usable * hold > TRACE * held[machine], hold, 0.0)
    hold = np.where((held <= 0.0)[machine] & is_first, 1.0, hold)
    held = np.zeros_like(need)
    np.add.at(held, machine, usable * hold)
    return np.asarray(hold * (need / np.where(held > 0.0, held, 1.0))[machine])


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
    needed -= size[:, None] * data.machine_fixed
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
        peak = data.machine_size[:, None] * held_instances(index, solution)
        added = np.maximum(peak.max(axis=1) - data.machine_incumbent, 0.0).sum()
        if added > data.max_added_accelerators + 1e-6:
            return False
    if (spot_shares(index, solution) > data.spot_share_max + 1e-6).any():
        return False
    return not overdrawn_machines(index, solution).any()


def spot_shares(index: FleetIndex, solution: Solution) -> FloatArray:
    """Share of the accelerators held that are spot, of each (region, accelerator) group and slice,
    float (S, T); 0 where none are held. What is held by the hour counts with its hours."""
    data = index.data
    held = solution.mean * data.machine_size[data.purchase_machine][:, None]
    group = index.spot_group[data.purchase_machine]
    count = int(index.spot_group.max(initial=-1)) + 1
    spot, every = np.zeros((count, held.shape[1])), np.zeros((count, held.shape[1]))
    np.add.at(spot, group, np.where((data.purchase_market == SPOT)[:, None], held, 0.0))
    np.add.at(every, group, held)
    np.add.at(every, index.spot_group, data.machine_fixed * data.machine_size[:, None])
    return np.asarray(np.where(spot > 0, spot / np.maximum(every, 1e-300), 0.0))


def overdrawn_machines(index: FleetIndex, solution: Solution) -> BoolArray:
    """bool (H,): machines of which more is held than stock or quotas allow, or less than the
    replicas need."""
    data = index.data
    machine = data.purchase_machine
    instances = solution.buy[:, None] + solution.rent
    most = solution.buy[:, None] + solution.most
    size = data.machine_size[machine][:, None].astype(float)
    held = instances * size
    wrong = np.asarray((instances > data.purchase_limit[:, None]).any(axis=1))
    wrong |= np.asarray((most > data.purchase_stock[:, None]).any(axis=1))
    counted = data.quota_purchase.astype(float) @ (most * size)
    over = (counted > data.quota_accelerators[:, None] + 1e-6).any(axis=1)
    wrong |= data.quota_purchase[over].any(axis=0)
    found = np.zeros(len(data.machines), dtype=bool)
    found[machine[wrong]] = True
    short = np.zeros((len(data.machines), held.shape[1]))
    np.add.at(short, data.pool_machine, solution.replicas * data.pool_accelerators[:, None])
    np.add.at(short, machine, -held * data.purchase_availability[:, None])
    fixed_here = data.machine_fixed * data.machine_size[:, None]
    found |= np.asarray((short > fixed_here + 1e-6).any(axis=1))
    return found


def keeps_promises(index: FleetIndex, solution: Solution) -> bool:
    """Whether every workload's attainment, QoE floor and spread over regions are kept: the rules
    that rounding never touches, but putting parts of two plans together may."""
    data, routes, serve = index.data, solution.routes, solution.serve
    workload = index.route_workload[routes]
    count = len(data.workloads)
    reached = np.bincount(workload, index.attainment[routes] * serve, minlength=count)
    lost = np.bincount(workload, index.floor_loss[routes] * serve, minlength=count)
    most = data.workload_loss_max * index.workload_qoe_weight
    spread = np.zeros((count, len(data.regions)))
    first = (index.region_row[routes] >= 0) & (index.route_leg[routes] == 0)
    np.add.at(
        spread.reshape(-1),
        index.region_row[routes][first],
        (index.region_weight[routes] * serve)[first],
    )
    regions = (spread >= data.min_region_share - 1e-9).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return not (
            (reached < data.attainment_min - 1e-9).any()
            or (lost > most + 1e-12).any()
            or (regions[index.spreads] < data.min_regions[index.spreads]).any()
        )


def without_traces(index: FleetIndex, routes: IntArray, serve: FloatArray) -> BoolArray:
    """Which routes are left, bool (n,), without pools that a solver's tolerance alone uses.

    The only route of an item stays, however little it asks of its pool.
    """
    place, group = index.pool_slice[routes], index.route_group[routes]
    # A hosted llm, at place -1, is never idle.
    idle = np.append(_pool_loads(index, routes, serve) <= TRACE, False)[place]
    answered = np.bincount(group[~idle], minlength=len(index.group_item)) > 0
    return np.asarray(~(idle & answered[group]))


def replicas_needed(index: FleetIndex, routes: IntArray, serve: FloatArray) -> IntArray:
    """Replicas each pool needs in each slice for the given routing, int (P, T)."""
    load = _pool_loads(index, routes, serve)
    whole = np.maximum(np.ceil(load - TRACE), load > 0.0)
    return whole.astype(np.int64).reshape(len(index.data.pools), len(index.data.slices))


def _pool_loads(index: FleetIndex, routes: IntArray, serve: FloatArray) -> FloatArray:
    """Replicas that the routing asks of each pool in each slice, float (P * T,)."""
    key = index.pool_slice[routes]
    served = key >= 0
    load = np.zeros((len(index.data.pools) * len(index.data.slices), 4))
    np.add.at(load, key[served], index.share[routes[served]] * serve[served, None])
    return np.asarray(load.max(axis=1))
