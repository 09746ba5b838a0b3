"""Replicas carry the load and machines carry the replicas: equations (3) and (4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.fleet.data import CAPACITY_ROWS, TRIFLE, BoolArray, FleetData
from models.fleet.procurement import held_terms
from models.fleet.rows import constraint, grouped, linear, serve_terms


def replica_capacity(program: Any, data: FleetData) -> Any:
    """(3) sum over j on pool p in slice t of share_ji serve_j <= replicas_pt; replicas.

    One row per capacity row i (work, slots, kv, prefill) that can bind. Price: value of one more
    replica, as far as row i is what limits it; the rows of a pool add up to a replica's price.
    """
    rows = binding_rows(data)
    own = data.route_pool >= 0

    def every_row() -> Any:
        for (p, t), routes in grouped([data.route_pool, data.route_slice], own):
            running = ([program.replicas[p, t]], [-1.0])
            for i in np.flatnonzero(rows[p]).tolist():
                load = serve_terms(program, routes, data.route_share[routes, i])
                yield (p, t, CAPACITY_ROWS[i]), (None, linear(load, running), 0.0)

    return constraint(every_row())


def trifle_capacity(program: Any, data: FleetData) -> Any:
    """(3b) serve_j <= replicas_pt, for all j that take less than `TRIFLE` of a replica; shares.

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
                linear(([program.serve[j]], [1.0]), ([program.replicas[p, when]], [-1.0])),
                0.0,
            ),
        )
        for j, p, when in zip(
            trifles.tolist(), pool[trifles].tolist(), t[trifles].tolist(), strict=True
        )
    )


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
