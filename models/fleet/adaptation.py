"""What an adapted llm needs before it serves: equations (6) and (7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.fleet.data import FleetData
from models.fleet.rows import Routes, constraint, grouped, linear, serve_terms
from models.fleet.variables import has_host


def train_adopted(program: Any, data: FleetData) -> Any:
    """(6) sum over o of v of train_o = adopt_v, for all v with training options; no unit.

    Price: what the fine-tune costs at its best place and hour.
    """
    every = np.ones(len(data.training_variant), dtype=bool)
    return constraint(
        (
            v,
            (
                0.0,
                linear(
                    ([program.train[o] for o in options.tolist()], [1.0] * len(options)),
                    ([program.adopt[v]], [-1.0]),
                ),
                0.0,
            ),
        )
        for (v,), options in grouped([data.training_variant], every)
    )


def host_where_served(program: Any, data: FleetData) -> Any:
    """(7) sum over j of v in r from g, answer leg, of origin_weight serve_j <= host_vr; shares.

    For all (v, r) whose copy costs something and all origins g. The weights of a workload and
    origin add up to 1, so the left side is at most 1, and with host = 0 every route in it is 0.
    Price: what the copy is worth to the users of origin g.
    """
    routes = Routes.of(data)
    hosted = (data.route_region >= 0) & (routes.leg == 0)
    hosted &= has_host(data)[routes.variant, np.maximum(data.route_region, 0)]
    weight = data.item_origin_weight[routes.item]
    origin = data.item_origin[routes.item]
    return constraint(
        (
            (v, r, g),
            (
                None,
                linear(
                    serve_terms(program, members, weight[members]), ([program.host[v, r]], [-1.0])
                ),
                0.0,
            ),
        )
        for (v, r, g), members in grouped([routes.variant, data.route_region, origin], hosted)
    )
