"""Where service happens: equations (8), (12) and (13)."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.fleet.data import FleetData
from models.fleet.rows import Routes, constraint, grouped, linear, ruled, serve_terms
from models.fleet.variables import opens, workload_legs


def survive_region_loss(program: Any, data: FleetData) -> Any:
    """(8) sum over j of v in r, t, answer leg, of slice_weight serve_j <= region_share_max adopt_v.

    Shares of the workload's interactive requests of slice t: when r is lost, the rest is already
    served elsewhere (N-1 without re-routing). Built where the limit is below 1, for every variant,
    because one alone serves. Price: value of one more share of the slice's demand in that region.
    """
    routes = Routes.of(data)
    limited = (data.region_share_max < 1.0)[routes.workload]
    limited &= (data.route_region >= 0) & (routes.leg == 0) & (data.item_slice[routes.item] >= 0)
    weight = data.item_slice_weight[routes.item]
    share = data.region_share_max[data.variant_workload]
    return constraint(
        (
            (v, r, t),
            (
                None,
                linear(
                    serve_terms(program, members, weight[members]),
                    ([program.adopt[v]], [-share[v]]),
                ),
                0.0,
            ),
        )
        for (v, r, t), members in grouped(
            [routes.variant, data.route_region, data.route_slice], limited
        )
    )


def spread_regions(program: Any, data: FleetData) -> Any:
    """(12) sum over j of w in r, answer leg, of weight serve_j >= min_region_share serves_wr.

    Shares of the workload's requests, for workloads with min_regions > 1. Price: what the last
    share kept in r costs.
    """
    routes = Routes.of(data)
    spread = (data.min_regions > 1)[routes.workload] & (data.route_region >= 0) & (routes.leg == 0)
    weight = data.item_weight[routes.item]
    return constraint(
        (
            (w, r),
            (
                0.0,
                linear(
                    serve_terms(program, members, weight[members]),
                    ([program.serves[w, r]], [-data.min_region_share]),
                ),
                None,
            ),
        )
        for (w, r), members in grouped([routes.workload, data.route_region], spread)
    )


def spread_regions_count(program: Any, data: FleetData) -> Any:
    """(12b) sum over r of serves_wr >= min_regions_w, where min_regions_w > 1; regions.

    Price: what the last required region costs.
    """
    reached: dict[int, list[Any]] = {w: [] for w in np.flatnonzero(data.min_regions > 1).tolist()}
    for (w, _), variable in program.serves.items():
        reached[w].append(variable)
    return constraint(
        (w, (float(data.min_regions[w]), linear((serves, [1.0] * len(serves))), None))
        for w, serves in reached.items()
    )


def open_regions(program: Any, data: FleetData) -> Any:
    """(13) sum over j of w in r, every leg, of weight serve_j <= legs_w open_r, for all w, r.

    legs_w is 2 where some variant of w has a check leg, else 1: each leg adds up to at most 1.
    Price: what opening r is worth to workload w.
    """
    if not opens(data):
        return constraint(())
    routes = Routes.of(data)
    legs = workload_legs(data)
    weight = data.item_weight[routes.item]
    return constraint(
        (
            (w, r),
            (
                None,
                linear(
                    serve_terms(program, members, weight[members]),
                    ([program.open[r]], [-float(legs[w])]),
                ),
                0.0,
            ),
        )
        for (w, r), members in grouped([routes.workload, data.route_region], data.route_region >= 0)
    )


def open_regions_count(program: Any, data: FleetData) -> Any:
    """(13b) sum over r of open_r <= max_regions; regions, hosted pseudo-regions included.

    Price: value of one more region.
    """
    if not ruled(data.max_regions):
        return constraint(())
    opened = list(program.open.values())
    return constraint([(0, (None, linear((opened, [1.0] * len(opened))), data.max_regions))])
