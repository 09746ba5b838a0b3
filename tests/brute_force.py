"""The true optimum of a tiny fleet by enumeration; shares no code with the program.

Everything integer is enumerated (adoption, purchases, replicas, copies, open regions, regions
that count for the spread), and what is left, the routing, is a small linear program (scipy).
Candidates are visited in the order of a bound that ignores capacity, so most are never solved.
Caps on totals are not supported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product

import numpy as np
from scipy.optimize import linprog

from models.fleet.data import FleetData, FloatArray

Subset = tuple[int, ...]


def best_value(data: FleetData, weights: Mapping[str, float]) -> float:
    """Least weighted sum of cost, carbon, qoe-loss and water over all plans; inf without a plan."""
    assert np.isnan(
        [data.cost_max_usd, data.carbon_max_kgco2e, data.water_max_l, data.loss_max]
    ).all()
    w = np.array([weights.get(name, 0.0) for name in ("cost", "carbon", "qoe-loss", "water")])
    capacities, held_values, counts, onces = purchases(data, w)
    route_value = w @ np.array(
        [
            data.route_cost_usd,
            data.route_carbon_kgco2e,
            data.route_loss,
            data.route_water_l,
        ]
    )
    candidates = []
    for adopted, adoption_value in adoptions(data, w):
        groups = [q for q in range(len(data.group_item)) if data.group_variant[q] in adopted]
        for region_set, copies, spread, place_value in placements(data, w, adopted):
            routes = allowed_routes(data, groups, region_set, copies)
            by_group = [[j for j in routes if data.route_group[j] == q] for q in groups]
            if not all(by_group):
                continue
            least = sum(min(route_value[j] for j in members) for members in by_group)
            for n, (capacity, held_value) in enumerate(zip(capacities, held_values, strict=True)):
                value = adoption_value + place_value + held_value
                room = capacity.sum() + len(region_set) + len(copies)
                key = (value + least, -room, value)
                candidates.append((*key, groups, routes, spread, capacity, counts[n], onces[n]))
    candidates.sort(key=lambda c: c[:2])
    may = may_hold(data)
    best, solved = np.inf, {}
    for bound, _, value, groups, routes, spread, capacity, count, once in candidates:
        if bound >= best:
            break
        # By the hour first without limits, which many ways to buy share, then as it is.
        freely = (w, None, np.where(may, data.purchase_limit[:, None], 0.0))
        for replicas, run_value in replica_choices(data, w, routes, capacity):
            if bound + run_value >= best:
                continue
            for hours in (freely, (w, count, once)) if may.any() else (None,):
                held = () if hours is None or hours is freely else (count.tobytes(), once.tobytes())
                key = (tuple(routes), spread, tuple(sorted(replicas.items())), held)
                if key not in solved:
                    solved[key] = route(data, groups, routes, spread, replicas, route_value, hours)
                if value + run_value + solved[key] >= best:
                    break
            else:
                best = value + run_value + solved[key]
    return float(best)


def may_hold(data: FleetData) -> FloatArray:
    """Where a rental may be held by the hour, because batch can be served on it, (B, T)."""
    found = np.zeros((len(data.purchase_machine), len(data.slices)), dtype=bool)
    for j in range(len(data.route_group)):
        if data.item_slice[data.group_item[data.route_group[j]]] < 0 and data.route_pool[j] >= 0:
            for b in range(len(found)):
                same = data.purchase_machine[b] == data.pool_machine[data.route_pool[j]]
                found[b, data.route_slice[j]] |= same and data.purchase_per_slice[b]
    return found


def purchases(
    data: FleetData, w: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Every way to buy that matters: usable accelerators (n, H, T), least value (n,), instances
    held all slice and, at one time, by the hour (n, B, T); what the hours cost is not in it."""
    H, T, B = len(data.machines), len(data.slices), len(data.purchase_machine)
    axes = [
        range(int(data.purchase_limit[b]) + 1)
        for b in range(B)
        for _ in range(T if data.purchase_per_slice[b] else 1)
    ]
    hours = may_hold(data)
    limited = bool(data.quota_names) or (data.machine_change_usd > 0).any()
    limited = limited or not np.isnan(data.max_added_accelerators)
    limited = np.isfinite(data.purchase_stock) | limited
    by_hour = [(b, t) for b, t in np.argwhere(hours).tolist() if limited[b]]
    axes += [range(int(data.purchase_limit[b]) + 1) for b, _ in by_hour]
    grid = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
    count, column = np.zeros((len(grid), B, T)), 0
    for b in range(B):
        width = T if data.purchase_per_slice[b] else 1
        count[:, b, :] = grid[:, column : column + width]
        column += width
    once = np.where(hours, data.purchase_limit[:, None], 0.0) + np.zeros_like(count)
    counted = np.zeros_like(count)
    for b, t in by_hour:
        once[:, b, t] = counted[:, b, t] = grid[:, column]
        column += 1
    size = data.machine_size
    accelerators = (count + counted) * size[data.purchase_machine][None, :, None]
    good = (count + counted <= data.purchase_stock[:, None]).all(axis=(1, 2))
    for k in range(len(data.quota_names)):
        inside = accelerators[:, data.quota_purchase[k], :].sum(axis=1)
        good &= (inside <= data.quota_accelerators[k]).all(axis=1)
    held = np.zeros((len(grid), H, T)) + (size[:, None] * data.machine_fixed)[None]
    spot, usable = np.zeros_like(held), held.copy()
    for b in range(B):
        h = data.purchase_machine[b]
        held[:, h] += accelerators[:, b]
        spot[:, h] += accelerators[:, b] * (data.purchase_market[b] == 1)
        available = data.purchase_availability[b] if data.purchase_per_slice[b] else 1.0
        usable[:, h] += available * count[:, b] * size[h]
    if not np.isnan(data.spot_share_max) and not hours.any():
        for r, name in set(zip(data.machine_region, data.machine_accelerator, strict=True)):
            same = [
                h
                for h in range(H)
                if (data.machine_region[h], data.machine_accelerator[h]) == (r, name)
            ]
            limit = data.spot_share_max * held[:, same].sum(axis=1)
            good &= (spot[:, same].sum(axis=1) <= limit + 1e-9).all(axis=1)
    added = np.maximum((held - data.machine_incumbent[None, :, None]).max(axis=2), 0.0)
    if not np.isnan(data.max_added_accelerators):
        good &= added.sum(axis=1) <= data.max_added_accelerators + 1e-9
    change = w[0] * data.machine_change_usd + w[1] * data.machine_change_kgco2e
    value = w[0] * data.machine_fixed_cost_usd.sum() + added @ change
    value = value + w[0] * np.einsum("nbt,bt->n", count, data.purchase_cost_usd)
    instances = np.zeros_like(held) + data.machine_fixed
    for b in range(B):
        instances[:, data.purchase_machine[b]] += count[:, b]
    value = value + w[1] * np.einsum("nht,ht->n", instances, data.machine_carbon_kgco2e)
    value = value + w[3] * np.einsum("nht,ht->n", instances, data.machine_water_l)
    usable = np.floor(usable + 1e-9)
    best: dict[bytes, int] = {}
    for n in np.flatnonzero(good)[np.argsort(value[good], kind="stable")]:
        held_so = count[n].tobytes() + once[n].tobytes() if hours.any() else b""
        best.setdefault(usable[n].tobytes() + held_so, n)
    chosen = list(best.values())
    return usable[chosen], value[chosen], count[chosen], once[chosen]


def adoptions(data: FleetData, w: FloatArray) -> Iterator[tuple[set[int], float]]:
    """Every allowed choice of variants with the value of its own lines and best training."""
    options = []
    for workload in range(len(data.workloads)):
        items = {d for d in range(len(data.item_workload)) if data.item_workload[d] == workload}
        complete = []
        for v in np.flatnonzero(data.variant_workload == workload):
            own = data.group_variant == v
            legs = set(data.group_leg[own])
            if (
                all(set(data.group_item[own & (data.group_leg == leg)]) == items for leg in legs)
                and legs
            ):
                complete.append(int(v))
        options.append(complete)
    for adopted in product(*options):
        llms = data.variant_llms[list(adopted)].any(axis=0).sum()
        changed = sum(not data.variant_is_incumbent[v] for v in adopted)
        if llms > data.max_llms or changed > data.max_changed_workloads:  # NaN compares false
            continue
        value = 0.0
        for v in adopted:
            value += w[0] * data.variant_cost_lines_usd[v].sum()
            value += w[1] * data.variant_carbon_kgco2e[v]
            trained = data.training_variant == v
            if trained.any():
                value += (
                    w[0] * data.training_cost_usd
                    + w[1] * data.training_carbon_kgco2e
                    + w[3] * data.training_water_l
                )[trained].min()
        yield set(adopted), value


def placements(
    data: FleetData, w: FloatArray, adopted: set[int]
) -> Iterator[tuple[Subset, frozenset[tuple[int, int]], tuple[Subset, ...], float]]:
    """Open regions, copies (variant, region), counted regions per workload; the value of all."""
    regions = range(len(data.regions))
    counted = not np.isnan(data.max_regions) or (data.region_fixed_cost_usd > 0).any()
    priced = (data.host_cost_usd > 0) | (data.host_carbon_kgco2e > 0)
    copies = [(v, r) for v in sorted(adopted) for r in regions if priced[v, r]]
    spreads = [list(combinations(regions, int(n))) if n > 1 else [()] for n in data.min_regions]
    for opened in _subsets(regions) if counted else [tuple(regions)]:
        if len(opened) > data.max_regions:
            continue
        region_value = w[0] * data.region_fixed_cost_usd[list(opened)].sum() if counted else 0.0
        for chosen in _subsets(copies):
            copy_value = sum(
                w[0] * data.host_cost_usd[c] + w[1] * data.host_carbon_kgco2e[c] for c in chosen
            )
            for spread in product(*spreads):
                yield opened, frozenset(chosen), spread, region_value + copy_value


def allowed_routes(
    data: FleetData, groups: list[int], opened: Subset, copies: frozenset[tuple[int, int]]
) -> list[int]:
    """Routes of the groups whose region is open and whose copy, where one costs, exists."""
    priced = (data.host_cost_usd > 0) | (data.host_carbon_kgco2e > 0)
    chosen = []
    for j, q in enumerate(data.route_group):
        r, v = int(data.route_region[j]), int(data.group_variant[q])
        if q not in groups or (r >= 0 and r not in opened):
            continue
        if r >= 0 and data.group_leg[q] == 0 and priced[v, r] and (v, r) not in copies:
            continue
        chosen.append(j)
    return chosen


def replica_choices(
    data: FleetData, w: FloatArray, routes: list[int], capacity: FloatArray
) -> Iterator[tuple[dict[tuple[int, int], int], float]]:
    """Replicas by (pool, slice) and what running them is worth, as far as the load can ever use
    them; where running is worth nothing, those that fill the machines."""
    running = w[1] * data.replica_carbon_kgco2e + w[3] * data.replica_water_l
    load: dict[tuple[int, int], FloatArray] = {}
    for j in routes:
        if data.route_pool[j] >= 0:
            key = (int(data.route_pool[j]), int(data.route_slice[j]))
            load[key] = load.get(key, np.zeros(4)) + data.route_share[j]
    choices = []
    for h, t in product(range(len(data.machines)), range(len(data.slices))):
        pools = [p for p, s in load if s == t and data.pool_machine[p] == h]
        most = [int(np.ceil(load[p, t].max())) for p in pools]
        size = [int(data.pool_accelerators[p]) for p in pools]
        fits = [
            n for n in product(*(range(m + 1) for m in most)) if np.dot(n, size) <= capacity[h, t]
        ]
        full = [
            n
            for n in fits
            if running[pools, t].any()
            or not any(
                n[i] < most[i] and np.dot(n, size) + size[i] <= capacity[h, t]
                for i in range(len(n))
            )
        ]
        choices.append([{(p, t): k for p, k in zip(pools, n, strict=True)} for n in full])
    for parts in product(*choices):
        replicas = {key: n for part in parts for key, n in part.items()}
        yield replicas, float(sum(running[key] * n for key, n in replicas.items()))


def route(
    data: FleetData,
    groups: list[int],
    routes: list[int],
    spread: tuple[Subset, ...],
    replicas: dict[tuple[int, int], int],
    route_value: FloatArray,
    hours: tuple[FloatArray, FloatArray | None, FloatArray] | None = None,
) -> float:
    """Least value of routing all groups through the replicas; inf where it is impossible.

    `hours`: weights, instances held all slice (None: without a limit on the share of spot) and, at
    most, by the hour: then batch may be served by the hour too, in as many more columns, on
    machines that as many more columns hold.
    """
    j = np.array(routes)
    item = data.group_item[data.route_group[j]]
    workload, leg = data.item_workload[item], data.group_leg[data.route_group[j]]
    region, pool, slices = data.route_region[j], data.route_pool[j], data.route_slice[j]
    equal = np.array([data.route_group[j] == q for q in groups], dtype=float)
    rows: list[FloatArray] = []
    limits: list[float] = []
    for (p, t), n in replicas.items():
        for i in range(4):
            rows.append(((pool == p) & (slices == t)) * data.route_share[j, i])
            limits.append(n)
    for w in range(len(data.workloads)):
        mine = workload == w
        if data.region_share_max[w] < 1.0:
            for r, t in product(range(len(data.regions)), range(len(data.slices))):
                here = mine & (region == r) & (slices == t) & (leg == 0)
                rows.append(here * data.item_slice_weight[item])
                limits.append(data.region_share_max[w])
        if not np.isnan(data.attainment_min[w]):
            rows.append(-(mine * data.item_weight[item] * data.route_attainment[j]))
            limits.append(-data.attainment_min[w])
        if not np.isnan(data.workload_loss_max[w]):
            share = data.item_qoe_weight[data.item_workload == w].sum()
            rows.append(mine * data.route_loss[j])
            limits.append(data.workload_loss_max[w] * share)
        for r in spread[w]:
            rows.append(-1.0 * (mine & (region == r) & (leg == 0)) * data.item_weight[item])
            limits.append(-data.min_region_share)
    value, above = route_value[j], np.array(rows).reshape(-1, len(j))
    bounds, right = [(0.0, 1.0)] * len(j), np.ones(len(groups))
    if hours is not None:
        plain = (value, above, equal)
        value, above, equal, more, spots = _by_hour(data, j, len(replicas) * 4, hours, *plain)
        bounds += more
        limits += spots
        right = np.concatenate([right, np.zeros(len(equal) - len(right))])
    scale = max(1.0, float(np.abs(value).max()))
    result = linprog(
        value / scale,
        A_ub=above if len(above) else None,
        b_ub=np.array(limits) if len(above) else None,
        A_eq=equal,
        b_eq=right,
        bounds=bounds,
    )
    return float(result.fun) * scale if result.status == 0 else np.inf


def _by_hour(
    data: FleetData,
    j: FloatArray,
    replica_rows: int,
    hours: tuple[FloatArray, FloatArray | None, FloatArray],
    value: FloatArray,
    above: FloatArray,
    equal: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, list[tuple[float, float]], list[float]]:
    """Costs and rows with a column more for each batch route, that loads no replica, and for each
    instance held by the hour; the bounds of those columns, and the limits of rows on spot."""
    w, count, once = hours
    pool, slices = data.route_pool[j], data.route_slice[j]
    batch = data.item_slice[data.group_item[data.route_group[j]]] < 0
    own = np.flatnonzero(batch & (pool >= 0))
    machine, places = data.pool_machine[pool[own]], np.argwhere(once > 0)
    held = data.purchase_machine[places[:, 0]]
    unit = [
        w[0] * data.purchase_cost_usd[b, t]
        + w[1] * data.machine_carbon_kgco2e[h, t]
        + w[3] * data.machine_water_l[h, t]
        for (b, t), h in zip(places, held, strict=True)
    ]
    apart = np.where(np.arange(len(above))[:, None] < replica_rows, 0.0, above[:, own])
    above = np.hstack([above, apart, np.zeros((len(above), len(places)))])
    equal = np.hstack([equal, equal[:, own], np.zeros((len(equal), len(places)))])
    for h, t in product(range(len(data.machines)), range(len(data.slices))):
        full = data.route_share[j[own]].max(axis=1) * data.pool_accelerators[pool[own]]
        need = ((machine == h) & (slices[own] == t)) * full / data.machine_size[h]
        usable = ((held == h) & (places[:, 1] == t)) * data.purchase_availability[places[:, 0]]
        equal = np.vstack([equal, np.concatenate([np.zeros(len(j)), need, -usable])])
    bounds = [(0.0, 1.0)] * len(own) + [(0.0, float(once[b, t])) for b, t in places]
    limits: list[float] = []
    if count is not None:
        spots, limits = _spot_rows(data, count, places)
        blank = np.zeros((len(spots), len(j) + len(own)))
        above = np.vstack([above, np.hstack([blank, spots])])
    full = data.route_share[j[own]].max(axis=1)
    place = pool[own], slices[own]
    running = w[1] * data.replica_carbon_kgco2e[place] + w[3] * data.replica_water_l[place]
    apart_value = value[own] + full * running
    return np.concatenate([value, apart_value, unit]), above, equal, bounds, limits


def _spot_rows(
    data: FleetData, count: FloatArray, places: FloatArray
) -> tuple[FloatArray, list[float]]:
    """Rows over instances held by the hour at (purchase, slice), what is held all slice given."""
    rows, limits = [np.zeros((0, len(places)))], []
    if np.isnan(data.spot_share_max):
        return rows[0], limits
    kind = list(zip(data.machine_region.tolist(), data.machine_accelerator, strict=True))
    for same, t in product(set(kind), range(len(data.slices))):
        mine = [h for h in range(len(kind)) if kind[h] == same]
        left = data.spot_share_max * sum(
            data.machine_size[h] * data.machine_fixed[h, t] for h in mine
        )
        row = np.zeros(len(places))
        for b in range(len(data.purchase_machine)):
            if data.purchase_machine[b] in mine:
                size = data.machine_size[data.purchase_machine[b]]
                weight = size * ((data.purchase_market[b] == 1) - data.spot_share_max)
                left -= weight * count[b, t]
                row += weight * ((places[:, 0] == b) & (places[:, 1] == t))
        rows.append(row[None])
        limits.append(left + 1e-9)
    return np.vstack(rows), limits


def _subsets(things: object) -> list[tuple]:  # type: ignore[type-arg]
    everything = list(things)  # type: ignore[call-overload]
    return [s for n in range(len(everything) + 1) for s in combinations(everything, n)]
