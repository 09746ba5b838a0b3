"""Solve a fleet program with HiGHS through Pyomo, for tests only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib import appsi

from models.fleet.program import minimize


def optimum(program: Any, objective: str | Mapping[str, float]) -> float:
    """Least value of the objective, proved to a relative gap of 1e-9; inf when infeasible."""
    minimize(program, objective)
    solver = appsi.solvers.Highs()
    solver.config.load_solution = False
    solver.config.mip_gap = 1e-9
    solver.highs_options = {"threads": 1, "mip_abs_gap": 1e-9, "mip_feasibility_tolerance": 1e-8,
                            "primal_feasibility_tolerance": 1e-8}  # fmt: skip
    result = solver.solve(program)
    kind = appsi.base.TerminationCondition
    if result.termination_condition in (kind.infeasible, kind.infeasibleOrUnbounded):
        return float(np.inf)
    assert result.termination_condition == kind.optimal, result.termination_condition
    result.solution_loader.load_vars()
    return float(result.best_feasible_objective)


def values(program: Any) -> dict[str, float]:
    """The totals of the solution last loaded."""
    return {name: float(pyo.value(program.total[name])) for name in program.total}
