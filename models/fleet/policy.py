"""What users and owners insist on: equations (10), (11), (14) to (17)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.fleet.data import FleetData
from models.fleet.procurement import held_terms
from models.fleet.rows import (
    Routes,
    constraint,
    grouped,
    linear,
    ruled,
    serve_terms,
    workload_qoe_weight,
)
from models.fleet.variables import counts_added


def meet_attainment(program: Any, data: FleetData) -> Any:
    """(10) sum over j of v of weight attainment_j serve_j >= attainment_min_w adopt_v; requests.

    A mix of probabilities, never of percentiles, as a share of requests; for every variant, because
    one alone serves. Price: cost of one more share of requests that meet both latency targets.
    """
    routes = Routes.of(data)
    weight = data.item_weight[routes.item] * data.route_attainment
    least = data.attainment_min[data.variant_workload]
    return constraint(
        (
            v,
            (
                0.0,
                linear(
                    serve_terms(program, members, weight[members]),
                    ([program.adopt[v]], [-least[v]]),
                ),
                None,
            ),
        )
        for (v,), members in grouped([routes.variant], ruled(least)[routes.variant])
    )


def workload_qoe_floor(program: Any, data: FleetData) -> Any:
    """(11) sum over j of v of loss_j serve_j <= workload_loss_max_w qoe_weight_w adopt_v; QoE loss.

    qoe_weight_w is the workload's share in the mean QoE, so that workload_loss_max_w limits the
    workload's own mean; for every variant, because one alone serves. Price: value of one more unit
    of loss in the *overall* mean.
    """
    routes = Routes.of(data)
    limit = (data.workload_loss_max * workload_qoe_weight(data))[data.variant_workload]
    return constraint(
        (
            v,
            (
                None,
                linear(
                    serve_terms(program, members, data.route_loss[members]),
                    ([program.adopt[v]], [-limit[v]]),
                ),
                0.0,
            ),
        )
        for (v,), members in grouped([routes.variant], ruled(limit)[routes.variant])
    )


def limit_llms(program: Any, data: FleetData) -> Any:
    """(14) sum over v of w that use l of adopt_v <= keep_l, for all w, l; no unit.

    One row per workload and llm is tighter than one per variant, and the same at integer points
    because (1) adopts one variant. Price: what keeping l is worth to w.
    """
    if not ruled(data.max_llms):
        return constraint(())
    variant, llm = np.nonzero(data.variant_llms)
    return constraint(
        (
            (w, k),
            (
                None,
                linear(
                    (
                        [program.adopt[v] for v in variant[members].tolist()],
                        [1.0] * len(members),
                    ),
                    ([program.keep[k]], [-1.0]),
                ),
                0.0,
            ),
        )
        for (w, k), members in grouped(
            [data.variant_workload[variant], llm], np.ones(len(llm), dtype=bool)
        )
    )


def limit_llms_count(program: Any, data: FleetData) -> Any:
    """(14b) sum over l of keep_l <= max_llms; llms, hosted ones included.

    Price: value of one more llm in service.
    """
    if not ruled(data.max_llms):
        return constraint(())
    kept = list(program.keep.values())
    return constraint([(0, (None, linear((kept, [1.0] * len(kept))), data.max_llms))])


def limit_added_accelerators(program: Any, data: FleetData) -> Any:
    """(15) size_h held_ht - incumbent_h <= added_h, for all h, t; accelerators.

    Owned instances count as held. Price: cost of one accelerator more than the incumbent's peak.
    """
    if not counts_added(data):
        return constraint(())
    size = data.machine_size.astype(float)
    allowed = data.machine_incumbent[:, None] - size[:, None] * data.machine_fixed
    return constraint(
        (
            (h, t),
            (
                None,
                linear(
                    (variables, [size[h] * value for value in counts]),
                    ([program.added[h]], [-1.0]),
                ),
                float(allowed[h, t]),
            ),
        )
        for (h, t), (variables, counts) in held_terms(program, data, usable=False).items()
    )


def limit_added_accelerators_total(program: Any, data: FleetData) -> Any:
    """(15b) sum over h of added_h <= max_added_accelerators; accelerators.

    Price: value of permission for one more accelerator.
    """
    if not ruled(data.max_added_accelerators):
        return constraint(())
    added = list(program.added.values())
    limit = data.max_added_accelerators
    return constraint([(0, (None, linear((added, [1.0] * len(added))), limit))])


def limit_changed_workloads(program: Any, data: FleetData) -> Any:
    """(16) sum over incumbent v of adopt_v >= W - max_changed_workloads; workloads.

    A workload without an incumbent variant in the data counts as changed. Price: value of
    permission to change one more workload.
    """
    if not ruled(data.max_changed_workloads):
        return constraint(())
    kept = [program.adopt[v] for v in np.flatnonzero(data.variant_is_incumbent).tolist()]
    least = len(data.workloads) - data.max_changed_workloads
    return constraint([(0, (least, linear((kept, [1.0] * len(kept))), None))])


def cap_totals(program: Any, data: FleetData) -> Any:
    """(17) cost, carbon, QoE loss and water <= their caps; USD, kgCO2e, 1, litres.

    The right-hand sides are mutable (`program.cap`); rows without a cap are inactive, and
    `set_cap` switches them on. Price: what one more unit of the capped total is worth, for
    example USD per kgCO2e when cost is minimised.
    """
    caps = {
        "cost": data.cost_max_usd,
        "carbon": data.carbon_max_kgco2e,
        "qoe-loss": data.loss_max,
        "water": data.water_max_l,
    }
    program.cap = pyo.Param(
        list(caps),
        mutable=True,
        initialize={name: value if ruled(value) else 0.0 for name, value in caps.items()},
    )
    program.cap_totals = pyo.Constraint(
        list(caps), rule=lambda m, name: m.total[name] <= m.cap[name]
    )
    for name, value in caps.items():
        if not ruled(value):
            program.cap_totals[name].deactivate()
    return program.cap_totals


def set_cap(program: Any, total: str, limit: float | None) -> None:
    """Move the cap on a total (``cost``, ``carbon``, ``qoe-loss``, ``water``); None lifts it."""
    if limit is None:
        program.cap_totals[total].deactivate()
    else:
        program.cap[total] = limit
        program.cap_totals[total].activate()
