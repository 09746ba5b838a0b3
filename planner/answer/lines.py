"""Objectives line by line, from the decisions; the lines of a total add up to it exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.fleet.data import (
    MARKETS,
    ROUTE_CARBON_LINES,
    ROUTE_COST_LINES,
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
    instances = (decisions.buy[:, None] + decisions.rent).astype(float)
    paid = instances * data.purchase_cost_usd
    lines = {
        market: total(paid[data.purchase_market == place]) for place, market in enumerate(MARKETS)
    }
    lines["owned and committed"] = total(data.machine_fixed_cost_usd)
    served = decisions.serve[:, None] * data.route_cost_lines_usd[decisions.routes]
    lines |= {name: total(served[:, i]) for i, name in enumerate(ROUTE_COST_LINES)}
    adopted = data.variant_cost_lines_usd[decisions.adopt]
    lines |= {name: total(adopted[:, i]) for i, name in enumerate(VARIANT_COST_LINES)}
    lines["migration"] += data.change_usd_per_accelerator * added_accelerators(data, decisions)
    lines["index hosting"] = total(data.host_cost_usd[decisions.host])
    lines["training compute"] = total(data.training_cost_usd[_trained(decisions)])
    lines["region fixed"] = total(data.region_fixed_cost_usd[regions_in_use(data, decisions)])
    return lines


def carbon_lines(data: FleetData, decisions: Decisions) -> dict[str, float]:
    """(O2), kgCO2e of the period: line name to value, zeros included."""
    held = decisions.held(data).astype(float)
    served = decisions.serve[:, None] * data.route_carbon_lines_kgco2e[decisions.routes]
    lines = {name: total(served[:, i]) for i, name in enumerate(ROUTE_CARBON_LINES)}
    lines["idle energy"] = total(held * data.machine_idle_carbon_kgco2e)
    lines["embodied"] = total(held * data.machine_embodied_kgco2e)
    lines["index"] = total(
        [
            *data.variant_carbon_kgco2e[decisions.adopt].tolist(),
            *data.host_carbon_kgco2e[decisions.host].tolist(),
        ]
    )
    lines["training"] = total(data.training_carbon_kgco2e[_trained(decisions)])
    return lines


def water_l(data: FleetData, decisions: Decisions) -> float:
    """(W), litres of the period."""
    return math.fsum(
        (
            total(decisions.serve * data.route_water_l[decisions.routes]),
            total(decisions.held(data) * data.machine_water_l),
            total(data.training_water_l[_trained(decisions)]),
        )
    )


def qoe(data: FleetData, decisions: Decisions) -> float:
    """(O3) as 1 - loss."""
    return 1.0 - total(decisions.serve * data.route_loss[decisions.routes])


def added_accelerators(data: FleetData, decisions: Decisions) -> float:
    """Accelerators held above the incumbent's peak; 0 where change costs nothing."""
    if data.change_usd_per_accelerator <= 0:
        return 0.0
    peak = (data.machine_size[:, None] * decisions.held(data)).max(axis=1)
    return total(np.maximum(peak - data.machine_incumbent, 0.0))


def regions_in_use(data: FleetData, decisions: Decisions) -> NDArray[np.int64]:
    """Regions that answer anything, ascending."""
    used = np.unique(data.route_region[decisions.routes])
    return np.asarray(used[used >= 0])


def machine_cost_usd(data: FleetData, decisions: Decisions) -> FloatArray:
    """Cost of each machine over the period in all markets, float (H,)."""
    cost = data.machine_fixed_cost_usd.copy()
    paid = (decisions.buy[:, None] + decisions.rent) * data.purchase_cost_usd
    np.add.at(cost, data.purchase_machine, paid.sum(axis=1))
    return cost


def machine_carbon_kgco2e(data: FleetData, decisions: Decisions) -> FloatArray:
    """Idle energy and embodied carbon of each machine's held instances, float (H,)."""
    return np.asarray((decisions.held(data) * data.machine_carbon_kgco2e).sum(axis=1))


def _trained(decisions: Decisions) -> NDArray[np.int64]:
    return np.asarray(decisions.train[decisions.train >= 0])
