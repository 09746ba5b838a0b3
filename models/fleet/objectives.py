"""Cost, carbon, QoE loss and water as sums of named lines, and the objective to minimise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import ArrayLike

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
from models.fleet.rows import Terms, by_hour_terms, linear, serve_terms
from models.fleet.variables import has_host

TOTALS = ("cost", "carbon", "qoe-loss", "water")


def declare_totals(program: Any, data: FleetData) -> None:
    """Attach the lines and totals: `cost_lines`, `carbon_lines` and `total`, all expressions."""
    program.cost_lines = _expressions(cost_expression(program, data))
    program.carbon_lines = _expressions(carbon_expression(program, data))
    totals = {
        "cost": sum(program.cost_lines.values()),
        "carbon": sum(program.carbon_lines.values()),
        "qoe-loss": loss_expression(program, data),
        "water": water_expression(program, data),
    }
    program.total = _expressions(totals)
    program.weight = pyo.Param(list(TOTALS), mutable=True, initialize=0.0)
    program.minimise = pyo.Objective(list(TOTALS), rule=lambda m, name: m.total[name])
    program.minimise_weighted = pyo.Objective(
        expr=sum(program.weight[name] * program.total[name] for name in TOTALS)
    )
    minimize(program, "cost")


def minimize(program: Any, objective: str | Mapping[str, float]) -> None:
    """Activate one objective: the name of a total, or weights by name (others weigh 0).

    Raises KeyError for a name outside `TOTALS`.
    """
    program.minimise.deactivate()
    program.minimise_weighted.deactivate()
    if isinstance(objective, str):
        program.minimise[objective].activate()
        return
    if unknown := set(objective) - set(TOTALS):
        raise KeyError(f"unknown totals {sorted(unknown)}; known: {', '.join(TOTALS)}")
    for name in TOTALS:
        program.weight[name] = float(objective.get(name, 0.0))
    program.minimise_weighted.activate()


def cost_expression(program: Any, data: FleetData) -> dict[str, Any]:
    """(O1) cost in USD for the period, by line.

    Markets and owned machines, route lines, variant lines, copies, training, regions, migration.
    """
    lines = {
        market: linear(_purchases(program, data, data.purchase_cost_usd, market=m))
        for m, market in enumerate(MARKETS)
    }
    lines["owned and committed"] = linear(constant=data.machine_fixed_cost_usd.sum())
    for i, name in enumerate(ROUTE_COST_LINES):
        lines[name] = linear(_routes(program, data.route_cost_lines_usd[:, i]))
    parts: dict[str, list[Terms]] = {name: [] for name in VARIANT_COST_LINES}
    for i, name in enumerate(VARIANT_COST_LINES):
        parts[name].append(_indexed(program.adopt, data.variant_cost_lines_usd[:, i]))
    for i, name in enumerate(HOST_COST_LINES):
        copies = _hosts(program, data, data.host_cost_lines_usd[:, :, i])
        parts.setdefault(name, []).append(copies)
    for i, name in enumerate(TRAINING_COST_LINES):
        runs = _indexed(program.train, data.training_cost_lines_usd[:, i])
        parts.setdefault(name, []).append(runs)
    parts[CHANGE_COST_LINE] = [_added(program, data.machine_change_usd)]
    lines |= {name: linear(*terms) for name, terms in parts.items()}
    fixed = data.region_fixed_cost_usd
    lines["region fixed"] = linear((list(program.open.values()), [fixed[r] for r in program.open]))
    return lines


def carbon_expression(program: Any, data: FleetData) -> dict[str, Any]:
    """(O2) carbon in kgCO2e for the period, by line.

    Routes and running replicas, held instances, index, training, migration.
    """
    held = data.machine_fixed
    lines = {
        name: linear(_routes(program, data.route_carbon_lines_kgco2e[:, i]))
        for i, name in enumerate(ROUTE_CARBON_LINES)
    }
    work = data.route_carbon_lines_kgco2e[:, ROUTE_CARBON_LINES.index("serving energy")]
    running = _replicas(program, data, data.replica_carbon_kgco2e)
    lines["serving energy"] = linear(_routes(program, work), running)
    for name, per_instance in (
        ("idle energy", data.machine_idle_carbon_kgco2e),
        ("embodied", data.machine_embodied_kgco2e),
    ):
        lines[name] = linear(
            _purchases(program, data, per_instance[data.purchase_machine]),
            constant=(held * per_instance).sum(),
        )
    parts = {"index": [_indexed(program.adopt, data.variant_carbon_kgco2e)]}
    for i, name in enumerate(HOST_CARBON_LINES):
        copies = _hosts(program, data, data.host_carbon_lines_kgco2e[:, :, i])
        parts.setdefault(name, []).append(copies)
    for i, name in enumerate(TRAINING_CARBON_LINES):
        runs = _indexed(program.train, data.training_carbon_lines_kgco2e[:, i])
        parts.setdefault(name, []).append(runs)
    parts[CHANGE_CARBON_LINE].append(_added(program, data.machine_change_kgco2e))
    return lines | {name: linear(*terms) for name, terms in parts.items()}


def loss_expression(program: Any, data: FleetData) -> Any:
    """(O3) QoE loss = 1 - QoE: sum over routes of loss_j serve_j; no unit, in [0, 1]."""
    return linear(_routes(program, data.route_loss))


def water_expression(program: Any, data: FleetData) -> Any:
    """(W) water in litres for the period: routes, replicas, held instances, training."""
    return linear(
        _routes(program, data.route_water_l),
        _replicas(program, data, data.replica_water_l),
        _purchases(program, data, data.machine_water_l[data.purchase_machine]),
        _indexed(program.train, data.training_water_l),
        constant=(data.machine_fixed * data.machine_water_l).sum(),
    )


def _expressions(parts: Mapping[str, Any]) -> Any:
    return pyo.Expression(list(parts), initialize=dict(parts))


def _routes(program: Any, coefficients: FloatArray) -> Terms:
    return serve_terms(program, np.arange(len(coefficients)), coefficients)


def _replicas(program: Any, data: FleetData, per_replica: FloatArray) -> Terms:
    """Terms of the running replicas, by the hour too; `per_replica` float (P, T)."""
    charged = [(p, t) for p, t in program.replicas if per_replica[p, t]]
    routes = np.flatnonzero(data.route_by_hour)
    full = data.route_share[routes].max(axis=1, initial=0.0)
    each = full * per_replica[data.route_pool[routes], data.route_slice[routes]]
    apart, values = by_hour_terms(program, routes, each)
    running = [program.replicas[at] for at in charged]
    return running + apart, [float(per_replica[at]) for at in charged] + values


def _indexed(variable: Any, coefficients: ArrayLike) -> Terms:
    """Terms of a variable indexed 0..n-1; zero coefficients are left out."""
    values = np.asarray(coefficients, dtype=float)
    used = np.flatnonzero(values).tolist()
    return [variable[i] for i in used], values[used].tolist()


def _added(program: Any, per_accelerator: FloatArray) -> Terms:
    """Terms of the accelerators above the incumbent's peak; `per_accelerator` float (H,)."""
    charged = [h for h in program.added if per_accelerator[h]]
    return [program.added[h] for h in charged], per_accelerator[charged].tolist()


def _hosts(program: Any, data: FleetData, coefficients: FloatArray) -> Terms:
    values = coefficients[has_host(data)].tolist()
    return list(program.host.values()), values


def _purchases(
    program: Any, data: FleetData, per_slice: FloatArray, market: int | None = None
) -> Terms:
    """Terms of all purchases (of one market), by the hour too; `per_slice` float (B, T) of one."""
    chosen = np.ones(len(data.purchase_market), dtype=bool)
    if market is not None:
        chosen = data.purchase_market == market
    values, whole = per_slice.tolist(), per_slice.sum(axis=1).tolist()
    rent = [
        (variable, values[b][t])
        for family in (program.rent, program.hold)
        for (b, t), variable in family.items()
        if chosen[b]
    ]
    buy = [(program.buy[b], whole[b]) for b in program.buy if chosen[b]]
    return [variable for variable, _ in rent + buy], [value for _, value in rent + buy]
