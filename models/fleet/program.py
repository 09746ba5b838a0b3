"""The fleet program: a table of contents of ``models/FORMULATION.md``.

Pyomo states the mathematics whole; every constraint of the list below is one function, and the
component that it writes carries the function's name.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from models.fleet.adaptation import host_where_served, train_adopted
from models.fleet.capacity import (
    capacity_by_hour,
    machine_capacity,
    part_by_hour,
    replica_capacity,
    trifle_capacity,
)
from models.fleet.data import FleetData
from models.fleet.demand import adopt_one, serve_demand
from models.fleet.objectives import declare_totals, minimize
from models.fleet.placement import (
    open_regions,
    open_regions_count,
    spread_regions,
    spread_regions_count,
    survive_region_loss,
)
from models.fleet.policy import (
    cap_totals,
    limit_added_accelerators,
    limit_added_accelerators_total,
    limit_changed_workloads,
    limit_llms,
    limit_llms_count,
    meet_attainment,
    set_cap,
    workload_qoe_floor,
)
from models.fleet.procurement import hold_at_once, limit_spot_share, quota, stock_at_once
from models.fleet.variables import declare_variables

__all__ = ["CONSTRAINTS", "build_program", "minimize", "set_cap"]

CONSTRAINTS = (
    adopt_one,  # (1)
    serve_demand,  # (2)
    replica_capacity,  # (3)
    trifle_capacity,  # (3b)
    part_by_hour,  # (3c)
    machine_capacity,  # (4)
    capacity_by_hour,  # (4b)
    quota,  # (5)
    hold_at_once,  # (5b)
    stock_at_once,  # (5c)
    train_adopted,  # (6)
    host_where_served,  # (7)
    survive_region_loss,  # (8)
    limit_spot_share,  # (9)
    meet_attainment,  # (10)
    workload_qoe_floor,  # (11)
    spread_regions,  # (12)
    spread_regions_count,  # (12b)
    open_regions,  # (13)
    open_regions_count,  # (13b)
    limit_llms,  # (14)
    limit_llms_count,  # (14b)
    limit_added_accelerators,  # (15)
    limit_added_accelerators_total,  # (15b)
    limit_changed_workloads,  # (16)
)


def build_program(data: FleetData) -> Any:
    """The whole program as a pyomo ConcreteModel, ready to minimise cost.

    Variables are indexed by position in `data`. `program.total["cost" | "carbon" | "qoe-loss" |
    "water"]`, `program.cost_lines` and `program.carbon_lines` are its expressions; `minimize`
    chooses another objective, `set_cap` moves the caps.
    """
    program = pyo.ConcreteModel("fleet")
    declare_variables(program, data)
    declare_totals(program, data)
    for constraint in CONSTRAINTS:
        program.add_component(constraint.__name__, constraint(program, data))
    cap_totals(program, data)  # (17)
    return program
