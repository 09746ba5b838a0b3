"""`planner plan --solver NAME`: the stated program solved whole by another solver, through Pyomo.

The answer goes the way of every other: a plan is built from the decisions and checked from the
instance alone. Beside the solver's own bound stands what dual prices of the relaxation prove.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib import appsi
from pyomo.opt import TerminationCondition

from models.fleet.data import FleetData, FloatArray
from models.fleet.program import build_program
from models.fleet.program import minimize as set_objective
from planner.errors import InfeasibleError, PlannerError, SolverError
from planner.solve.assignments import Cases
from planner.solve.diagnose import explain, impossible_whole
from planner.solve.engine import EngineResult, unit_weights
from planner.solve.generation import Generation, Relaxation
from planner.solve.index import FleetIndex
from planner.solve.master import Master
from planner.solve.options import EngineOptions, Progress, ProgressListener, relative_gap
from planner.solve.solution import Solution, obeys_limits, whole_plan

PRICES_SHARE = 0.2
"""Most of the time for the relaxation, whose prices prove what they can."""
LEAST_SOLVER_S = 1.0
TOLERANCE = 1e-6
"""Solvers prove within their tolerances: this share of a bound is not claimed."""
WHOLE = 1e-4
"""How far an integer may be from a whole number."""


@dataclass(frozen=True)
class Interface:
    """How Pyomo calls a solver and what it calls its limits."""

    name: str
    """as people write it"""
    pyomo: str
    time_limit: str = ""
    gap: str = ""


SOLVERS = {
    "highs": Interface("HiGHS", "appsi_highs"),
    "cbc": Interface("CBC", "cbc", "sec", "ratioGap"),
    "glpk": Interface("GLPK", "glpk", "tmlim", "mipgap"),
    "scip": Interface("SCIP", "scip", "limits/time", "limits/gap"),
    "gurobi": Interface("Gurobi", "gurobi", "TimeLimit", "MIPGap"),
    "cplex": Interface("CPLEX", "cplex", "timelimit", "mip_tolerances_mipgap"),
    "xpress": Interface("Xpress", "xpress", "maxtime", "miprelstop"),
}
"""Name on the command line -> how it is called."""


def require_solver(name: str) -> None:
    """PlannerError, with those that are here, where the solver is unknown or not installed."""
    if name in SOLVERS and is_installed(name):
        return
    here = ", ".join(other for other in SOLVERS if is_installed(other))
    known = f"it is one of {', '.join(SOLVERS)}" if name not in SOLVERS else "it is not installed"
    raise PlannerError(f"solver {name!r}: {known}; installed here: {here}")


def is_installed(name: str) -> bool:
    """Whether Pyomo finds the solver's library, or its program on the path."""
    with _quiet_pyomo():
        return bool(pyo.SolverFactory(SOLVERS[name].pyomo).available(exception_flag=False))


def solve_whole(
    solver: str,
    data: FleetData,
    objective: str,
    options: EngineOptions,
    on_progress: ProgressListener | None = None,
    index: FleetIndex | None = None,
    *_: object,
) -> EngineResult:
    """What `planner.solve.engine.minimize` gives, by one of `SOLVERS`; a start is of no use to it.

    Raises InfeasibleError where the solver or the relaxation proves that there is no plan,
    SolverError where it finds none in time or fails. How well the time is kept is the solver's
    affair.
    """
    began = time.monotonic()
    index = index or FleetIndex.build(data)
    limit_s, called = options.time_limit_s, SOLVERS[solver]
    relaxation = _relaxed(index, objective, began + PRICES_SHARE * limit_s)
    if relaxation.artificial > TOLERANCE:
        raise explain(index, began + limit_s)
    if on_progress is not None:
        seen = Progress(f"{called.name} on the whole program", 0.0, np.inf, relaxation.bound.value)
        on_progress(seen)
    program = build_program(data)
    set_objective(program, objective)
    left = max(limit_s - (time.monotonic() - began), LEAST_SOLVER_S)
    ran = time.monotonic()
    found = _run(program, called, left, 0.5 * options.gap_relative)
    timings = {"relaxation and program": ran - began, called.name: time.monotonic() - ran}
    if found.infeasible:
        raise _impossible(index, called, began + limit_s)
    best = solution_of(program, index) if found.has_plan else None
    if best is None:
        raise SolverError(
            f"{called.name} found no plan in {left:.3g} s ({found.said}), and proved none "
            "impossible: allow more time (--time-limit), or plan without --solver"
        )
    value = float(best.totals @ unit_weights(objective))
    cases = Cases.of(relaxation.bound)
    searched = min(found.bound - TOLERANCE * abs(found.bound), value)
    bound = max(searched, cases.bound)
    gap = relative_gap(value, bound)
    return EngineResult(
        solution=best,
        index=index,
        value=value,
        bound=bound,
        status="optimal" if gap <= options.gap_relative else "limit",
        prices=relaxation.bound.prices,
        cases=cases,
        timings=timings,
        trace=(),
        proof="branch and bound" if searched > cases.bound else "dual prices",
        solver=called.name,
    )


def _relaxed(index: FleetIndex, objective: str, deadline: float) -> Relaxation:
    generation = Generation(Master(index, unit_weights(objective)))
    generation.start()
    return generation.generate(1e-4, deadline, must_solve=False)


def _impossible(index: FleetIndex, called: Interface, deadline: float) -> InfeasibleError:
    """What conflicts, where there is time to find that out; else that the solver says so."""
    proof = f"branch and bound of {called.name} on the whole program"
    try:
        return impossible_whole(index, deadline)
    except SolverError:
        return InfeasibleError(f"{proof} shows it; what conflicts was not found in time",
                               proof=proof)  # fmt: skip


# ------------------------------------------------------------------ calling the solver


@dataclass(frozen=True)
class Found:
    """What the solver says; its values are in the program."""

    has_plan: bool
    infeasible: bool
    bound: float
    """no plan has less; -inf where it says nothing"""
    said: str
    """why it stopped, in its own word"""


def _run(program: Any, called: Interface, limit_s: float, gap: float) -> Found:
    try:
        with _quiet_pyomo():
            if called.pyomo == "appsi_highs":
                return _run_highs(program, limit_s, gap)
            return _run_by_file(program, called, limit_s, gap)
    except Exception as error:
        raise SolverError(f"{called.name} failed: {error}") from error


def _run_highs(program: Any, limit_s: float, gap: float) -> Found:
    solver = appsi.solvers.Highs()
    solver.config.load_solution = False
    solver.config.time_limit = limit_s
    solver.config.mip_gap = gap
    # The engine's own programs run on one thread, and HiGHS has one number of them in a process.
    solver.highs_options = {"threads": 1}
    result = solver.solve(program)
    stopped = result.termination_condition
    has_plan = result.best_feasible_objective is not None
    if has_plan:
        result.solution_loader.load_vars()
    bound = result.best_objective_bound
    return Found(
        has_plan=has_plan and np.isfinite(result.best_feasible_objective),
        infeasible=stopped == appsi.base.TerminationCondition.infeasible,
        bound=-np.inf if bound is None else float(bound),
        said=stopped.name,
    )


def _run_by_file(program: Any, called: Interface, limit_s: float, gap: float) -> Found:
    """Solvers that read a file and write one."""
    limits = {called.time_limit: max(int(limit_s), 1), called.gap: gap}
    result = pyo.SolverFactory(called.pyomo).solve(program, load_solutions=False, options=limits)
    stopped = result.solver.termination_condition
    has_plan = len(result.solution) > 0 and stopped != TerminationCondition.infeasible
    bound = float(result.problem.lower_bound)
    if has_plan:
        program.solutions.load_from(result)
        if stopped == TerminationCondition.optimal:
            # Some give the value for the bound although they stopped within the gap.
            (objective,) = program.component_data_objects(pyo.Objective, active=True)
            value = float(pyo.value(objective))
            bound = min(bound if np.isfinite(bound) else value, value - gap * abs(value))
    return Found(has_plan, stopped == TerminationCondition.infeasible, bound, str(stopped))


@contextmanager
def _quiet_pyomo() -> Iterator[None]:
    """Pyomo's own remarks on a solver that stopped early are said in our words."""
    logger = logging.getLogger("pyomo")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


# ------------------------------------------------------------------ reading the answer


def solution_of(program: Any, index: FleetIndex) -> Solution | None:
    """The plan behind the values of the program's variables; None where they are not whole, or
    break a limit once they are."""
    data = index.data
    adopt, buy = np.zeros(len(data.variants)), np.zeros(len(data.purchase_machine))
    serve, train = np.zeros(len(data.route_group)), np.zeros(len(data.training_variant))
    rent, hold = np.zeros((2, len(buy), len(data.slices)))
    by_hour = np.zeros(len(serve))
    for variables, values in (
        (program.adopt, adopt),
        (program.serve, serve),
        (program.train, train),
        (program.buy, buy),
        (program.rent, rent),
        (program.by_hour, by_hour),
        (program.hold, hold),
    ):
        for key, variable in variables.items():
            values[key] = variable.value or 0.0
    if any(_fraction(values) > WHOLE for values in (adopt, buy, rent, train)):
        return None
    routes = np.flatnonzero(serve[index.order])
    serve, by_hour = serve[index.order][routes], by_hour[index.order][routes]
    found = whole_plan(index, adopt, routes, serve, buy, rent, train, by_hour, hold)
    return found if obeys_limits(index, found) else None


def _fraction(values: FloatArray) -> float:
    """How far the values are from whole ones."""
    return float(np.abs(values - np.rint(values)).max(initial=0.0))
