"""Objectives line by line, from the decisions; the lines of a total add up to it exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.fleet.data import (
    CHANGE_CARBON_LINE,
    CHANGE_COST_LINE,
    HOST_CARBON_LINES,
    HOST_COST_LINES,
    MARKETS,
    ROUTE_CARBON_LINES,
    ROUTE_COST_LINES,
    TRAINING_CARBON_LINES,
    TRAINING_COST_LINES,
    VARIANT_COST_LINES,
    FleetData,
    FloatArray,
)
from planner.answer.decisions import Decisions


def total(values: Iterable[float] | NDArray[np.float64]) -> float:
    """Sum without rounding on the way."""
    return math.fsum(np.asarray(values, dtype=float).ravel().tolist())


def cost_lines(data: FleetData, decisions: Decisions) -> dict[str, float]:
    """(O1), USD of the period: line name to value, zeros included."""
    paid = decisions.instances * data.purchase_cost_usd
    lines = {
        market: total(paid[data.purchase_market == place]) for place, market in enumerate(MARKETS)
    }
    lines["owned and committed"] = total(data.machine_fixed_cost_usd)
    served = decisions.serve[:, None] * data.route_cost_lines_usd[decisions.routes]
    lines |= {name: total(served[:, i]) for i, name in enumerate(ROUTE_COST_LINES)}
    for names, parts in (
        (VARIANT_COST_LINES, data.variant_cost_lines_usd[decisions.adopt]),
        (HOST_COST_LINES, data.host_cost_lines_usd[decisions.host]),
        (TRAINING_COST_LINES, data.training_cost_lines_usd[_trained(decisions)]),
    ):
        for i, name in enumerate(names):
            lines[name] = lines.get(name, 0.0) + total(parts[:, i])
    lines[CHANGE_COST_LINE] = total(data.machine_change_usd * added_accelerators(data, decisions))
    lines["region fixed"] = total(data.region_fixed_cost_usd[regions_in_use(data, decisions)])
    return lines


def carbon_lines(data: FleetData, decisions: Decisions) -> dict[str, float]:
    """(O2), kgCO2e of the period: line name to value, zeros included."""
    held = decisions.held(data)
    served = decisions.serve[:, None] * data.route_carbon_lines_kgco2e[decisions.routes]
    lines = {name: total(served[:, i]) for i, name in enumerate(ROUTE_CARBON_LINES)}
    running = decisions.running(data) * data.replica_carbon_kgco2e
    lines["serving energy"] += total(running)
    lines["idle energy"] = total(held * data.machine_idle_carbon_kgco2e)
    lines["embodied"] = total(held * data.machine_embodied_kgco2e)
    lines["index"] = total(data.variant_carbon_kgco2e[decisions.adopt])
    for names, parts in (
        (HOST_CARBON_LINES, data.host_carbon_lines_kgco2e[decisions.host]),
        (TRAINING_CARBON_LINES, data.training_carbon_lines_kgco2e[_trained(decisions)]),
    ):
        for i, name in enumerate(names):
            lines[name] = lines.get(name, 0.0) + total(parts[:, i])
    changes = data.machine_change_kgco2e * added_accelerators(data, decisions)
    lines[CHANGE_CARBON_LINE] += total(changes)
    return lines


def water_l(data: FleetData, decisions: Decisions) -> float:
    """(W), litres of the period."""
    return math.fsum(
        (
            total(decisions.serve * data.route_water_l[decisions.routes]),
            total(decisions.running(data) * data.replica_water_l),
            total(decisions.held(data) * data.machine_water_l),
            total(data.training_water_l[_trained(decisions)]),
        )
    )


def qoe(data: FleetData, decisions: Decisions) -> float:
    """(O3) as 1 - loss."""
    return 1.0 - total(decisions.serve * data.route_loss[decisions.routes])


def added_accelerators(data: FleetData, decisions: Decisions) -> FloatArray:
    """Accelerators of each machine held above the incumbent's peak, float (H,)."""
    peak = (data.machine_size[:, None] * decisions.held_at_once(data)).max(axis=1)
    return np.asarray(np.maximum(peak - data.machine_incumbent, 0.0))


def regions_in_use(data: FleetData, decisions: Decisions) -> NDArray[np.int64]:
    """Regions that answer anything, ascending."""
    used = np.unique(data.route_region[decisions.routes])
    return np.asarray(used[used >= 0])


def machine_cost_usd(data: FleetData, decisions: Decisions) -> FloatArray:
    """Cost of each machine over the period in all markets, float (H,)."""
    cost = data.machine_fixed_cost_usd.copy()
    paid = decisions.instances * data.purchase_cost_usd
    np.add.at(cost, data.purchase_machine, paid.sum(axis=1))
    return cost


def machine_carbon_kgco2e(data: FleetData, decisions: Decisions) -> FloatArray:
    """Idle energy and embodied carbon of each machine's held instances, and its replicas' energy
    without their work, float (H,)."""
    carbon = (decisions.held(data) * data.machine_carbon_kgco2e).sum(axis=1)
    np.add.at(
        carbon,
        data.pool_machine,
        (decisions.running(data) * data.replica_carbon_kgco2e).sum(axis=1),
    )
    return np.asarray(carbon)


def _trained(decisions: Decisions) -> NDArray[np.int64]:
    return np.asarray(decisions.train[decisions.train >= 0])
