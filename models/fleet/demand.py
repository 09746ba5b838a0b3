"""All demand is served, under one variant per workload: equations (1) and (2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.fleet.data import FleetData
from models.fleet.rows import constraint, grouped, linear, serve_terms


def adopt_one(program: Any, data: FleetData) -> Any:
    """(1) sum over v of w of adopt_v = 1, for all workloads w; no unit.

    Price: what the whole workload costs in the relaxation, per workload.
    """
    every = np.ones(len(data.variants), dtype=bool)
    return constraint(
        (
            w,
            (
                1.0,
                linear(([program.adopt[v] for v in variants.tolist()], [1.0] * len(variants))),
                1.0,
            ),
        )
        for (w,), variants in grouped([data.variant_workload], every)
    )


def serve_demand(program: Any, data: FleetData) -> Any:
    """(2) sum over routes j of group q of serve_j = adopt_v(q), for all q; shares of the item.

    The aggregate form: one row per item, variant and leg ties service to adoption. Price: what
    serving the whole item under that variant costs at the margin.
    """
    every = np.ones(len(data.route_group), dtype=bool)
    variant = data.group_variant.tolist()
    return constraint(
        (
            q,
            (
                0.0,
                linear(
                    serve_terms(program, routes, np.ones(len(routes))),
                    ([program.adopt[variant[q]]], [-1.0]),
                ),
                0.0,
            ),
        )
        for (q,), routes in grouped([data.route_group], every)
    )
