"""Replicas carry the load and machines carry the replicas: equations (3), (4) and (4b)."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.fleet.data import CAPACITY_ROWS, TRIFLE, BoolArray, FleetData
from models.fleet.procurement import held_terms
from models.fleet.rows import by_hour_terms, constraint, grouped, linear, serve_terms


def replica_capacity(program: Any, data: FleetData) -> Any:
    """(3) sum over j on p in slice t of share_ji (serve_j - by_hour_j) <= replicas_pt; replicas.

    One row per capacity row i (work, slots, kv, prefill) that can bind. Price: value of one more
    replica, as far as row i is what limits it; the rows of a pool add up to a replica's price.
    """
    rows = binding_rows(data)
    own = data.route_pool >= 0

    def every_row() -> Any:
        for (p, t), routes in grouped([data.route_pool, data.route_slice], own):
            running = ([program.replicas[p, t]], [-1.0])
            for i in np.flatnonzero(rows[p]).tolist():
                share = data.route_share[routes, i]
                load = serve_terms(program, routes, share)
                apart = by_hour_terms(program, routes, -share)
                yield (p, t, CAPACITY_ROWS[i]), (None, linear(load, apart, running), 0.0)

    return constraint(every_row())


def trifle_capacity(program: Any, data: FleetData) -> Any:
    """(3b) serve_j - by_hour_j <= replicas_pt, for all j that take less than `TRIFLE` of a replica.

    True of whole plans by (3); solvers let (3) miss by about a millionth, within which a trifle
    would be served by nothing. Price: none of its own in a bound.
    """
    pool, t = data.route_pool, data.route_slice
    trifles = np.flatnonzero((pool >= 0) & (data.route_share.max(axis=1, initial=0.0) < TRIFLE))
    return constraint(
        (
            j,
            (
                None,
                linear(
                    ([program.serve[j]], [1.0]),
                    by_hour_terms(program, np.array([j]), [-1.0]),
                    ([program.replicas[p, when]], [-1.0]),
                ),
                0.0,
            ),
        )
        for j, p, when in zip(
            trifles.tolist(), pool[trifles].tolist(), t[trifles].tolist(), strict=True
        )
    )


def part_by_hour(program: Any, data: FleetData) -> Any:
    """(3c) by_hour_j <= serve_j, for all j of batch demand on a machine that is rented; shares.

    Price: 0 in any relaxation, where a part of a machine costs the same by the slice.
    """
    return constraint(
        (j, (None, linear(([part], [1.0]), ([program.serve[j]], [-1.0])), 0.0))
        for j, part in program.by_hour.items()
    )


def capacity_by_hour(program: Any, data: FleetData) -> Any:
    """(4b) sum over j on h, t of instances_j by_hour_j = sum of availability_b hold_bt; instances.

    A machine held by the hour serves one batch route at a time, at that route's full load, so
    the largest of a route's four rows counts. Price: value of one more instance held for the slice.
    """
    instances, machine = data.route_by_hour, data.purchase_machine
    able = instances > 0.0
    if not able.any():
        return constraint(())
    pool = np.where(able, data.route_pool, 0)
    availability = data.purchase_availability.tolist()
    held: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for b, t in program.hold:
        held.setdefault((int(machine[b]), t), []).append((b, t))

    def every_row() -> Any:
        for (h, t), routes in grouped([data.pool_machine[pool], data.route_slice], able):
            rented = held[h, t]
            hold = [program.hold[key] for key in rented], [-availability[b] for b, _ in rented]
            need = by_hour_terms(program, routes, instances[routes])
            yield (h, t), (0.0, linear(need, hold), 0.0)

    return constraint(every_row())


def machine_capacity(program: Any, data: FleetData) -> Any:
    """(4) sum over p on h of G_p replicas_pt <= size_h x usable instances_ht; accelerators.

    Usable: fixed + bought + availability x rented. A replica never spans machines, because G_p
    divides size_h. Price: value of one more accelerator on machine h in slice t.
    """
    size, fixed = data.machine_size.tolist(), data.machine_fixed.tolist()
    accelerators = data.pool_accelerators.tolist()
    pools, slices = np.array(list(program.replicas), dtype=np.int64).reshape(-1, 2).T
    held = held_terms(program, data, usable=True)
    return constraint(
        (
            (h, t),
            (
                None,
                linear(
                    (
                        [program.replicas[p, t] for p in pools[members].tolist()],
                        [accelerators[p] for p in pools[members].tolist()],
                    ),
                    (held[h, t][0], [-size[h] * value for value in held[h, t][1]]),
                ),
                float(size[h] * fixed[h][t]),
            ),
        )
        for (h, t), members in grouped(
            [data.pool_machine[pools], slices], np.ones(len(pools), dtype=bool)
        )
    )


def binding_rows(data: FleetData) -> BoolArray:
    """Rows of (3) that can bind, bool (P, 4).

    A row is left out when another row of the pool is at least as large on every route; of two
    rows equal on every route the first stays.
    """
    pools, rows = len(data.pools), len(CAPACITY_ROWS)
    own = data.route_pool >= 0
    share, pool = data.route_share[own], data.route_pool[own]
    keep = np.ones((pools, rows), dtype=bool)
    for i in range(rows):
        for other in range(rows):
            if i != other:
                above = np.bincount(pool, share[:, i] > share[:, other], minlength=pools) > 0
                below = np.bincount(pool, share[:, i] < share[:, other], minlength=pools) > 0
                keep[:, i] &= above | (~below & (i < other))
    return keep
