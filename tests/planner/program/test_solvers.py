"""`planner plan --solver`: another solver's answer is checked as ours is, and its proof named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.opt import TerminationCondition

import planner
from models.fleet.program import build_program
from models.fleet.program import minimize as set_objective
from planner.cli import run
from planner.errors import InfeasibleError, PlannerError, SolverError
from planner.program import solvers
from planner.program.solvers import SOLVERS, is_installed, solution_of, solve_whole
from planner.runs import read_run
from planner.solve.index import FleetIndex
from planner.solve.options import EngineOptions
from planner.verify import Proof, verify_proof
from tests.brute_force import best_value
from tests.fleet_examples import tiny_fleet
from tests.models.fleet.solving import optimum

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"
EXPECTED = json.loads((TINY / "expected.json").read_text(encoding="utf-8"))
EXACT = EngineOptions(gap_relative=1e-6, time_limit_s=30.0)
HERE = [name for name in SOLVERS if is_installed(name)]


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("objective", ["cost", "carbon", "qoe-loss"])
def test_the_answer_is_the_best_of_all_plans(name: str, objective: str) -> None:
    stated = planner.plan(TINY, minimize=objective, solver=name, gap=1e-4).certificate
    assert stated.value == pytest.approx(EXPECTED[objective], rel=1e-4)
    assert stated.bound <= EXPECTED[objective] * (1 + 1e-9)
    assert stated.status == "optimal"
    if stated.proof == "branch and bound":
        assert stated.solver == SOLVERS[name].name
        assert stated.bound_from_prices is not None and stated.bound_from_prices < stated.bound


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", HERE)
def test_bound_and_plan_enclose_the_truth(name: str, seed: int) -> None:
    data = tiny_fleet(seed)
    found = solve_whole(name, data, "cost", EXACT)
    truth = best_value(data, {"cost": 1.0})
    assert found.bound <= truth * (1 + 1e-9)
    assert found.value == pytest.approx(truth, rel=1e-5)


def test_the_run_folder_names_the_solver_and_proves_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert run(["plan", str(TINY), "--solver", "highs", "--output", str(folder), "--quiet"]) == 0
    assert "the branch and bound of HiGHS" in " ".join(capsys.readouterr().out.split())
    written = read_run(folder)
    assert written.request.solver == "highs"
    proved = verify_proof(planner.load(folder / "instance"), Proof.load(written.certificate))
    assert written.plan.certificate.bound_from_prices == proved
    assert run(["verify", str(folder)]) == 0


def test_what_no_plan_keeps_is_told_as_ever() -> None:
    with pytest.raises(InfeasibleError) as told:
        planner.plan(TINY, caps={"carbon": 1.0}, solver="highs")
    assert any("cap on carbon" in rule for rule in told.value.conflict)


@pytest.mark.parametrize("name", ["simplex", "xpress"])
def test_a_solver_that_is_not_here_is_told_with_those_that_are(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(solvers, "is_installed", lambda other: other == "highs")
    with pytest.raises(PlannerError, match=r"installed here: highs$"):
        planner.plan(TINY, solver=name)
    assert run(["plan", str(TINY), "--solver", name]) == 1
    assert "installed here: highs" in " ".join(capsys.readouterr().err.split())


# ------------------------------------------------------------------ what solvers may say


Answer = Callable[[Any], SimpleNamespace]


def said(
    monkeypatch: pytest.MonkeyPatch, stopped: TerminationCondition, lower: float, answer: Answer
) -> None:
    """A solver by file that says this, and gives the values that HiGHS finds."""

    def solve(program: Any, **_: object) -> SimpleNamespace:
        return SimpleNamespace(
            solution=answer(program),
            problem=SimpleNamespace(lower_bound=lower),
            solver=SimpleNamespace(termination_condition=stopped),
        )

    monkeypatch.setattr(
        solvers.pyo,
        "SolverFactory",
        lambda _: SimpleNamespace(solve=solve, available=lambda **_: True),
    )
    monkeypatch.setattr("pyomo.core.base.PyomoModel.ModelSolutions.load_from", lambda *_: None)


def solved(program: Any) -> list[int]:
    optimum(program, "cost")
    return [1]


def nothing(program: Any) -> list[int]:
    return []


def test_a_value_told_as_the_bound_is_worth_the_gap_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """GLPK stops within the gap, and Pyomo reads its value as the bound."""
    data = tiny_fleet(0)
    truth = best_value(data, {"cost": 1.0})
    said(monkeypatch, TerminationCondition.optimal, truth, solved)
    found = solve_whole("glpk", data, "cost", EngineOptions(gap_relative=0.02, time_limit_s=30.0))
    assert found.bound <= 0.99 * truth * (1 + 1e-9)
    assert found.value == pytest.approx(truth, rel=1e-6)


def test_a_limit_without_a_bound_leaves_what_the_prices_prove(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tiny_fleet(0)
    said(monkeypatch, TerminationCondition.maxTimeLimit, -np.inf, solved)
    found = solve_whole("cbc", data, "cost", EXACT)
    assert found.proof == "dual prices"
    assert found.bound == found.cases.bound


def test_no_plan_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    said(monkeypatch, TerminationCondition.maxTimeLimit, -np.inf, nothing)
    with pytest.raises(SolverError, match=r"CBC found no plan.*maxTimeLimit.*--time-limit"):
        solve_whole("cbc", tiny_fleet(0), "cost", EXACT)


def test_a_solver_that_breaks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(program: Any) -> list[int]:
        raise RuntimeError("no licence")

    said(monkeypatch, TerminationCondition.error, -np.inf, broken)
    with pytest.raises(SolverError, match="Gurobi failed: no licence"):
        solve_whole("gurobi", tiny_fleet(0), "cost", EXACT)


def test_values_that_are_not_whole_are_no_plan() -> None:
    """CBC hands over its relaxation where it has nothing else."""
    data = tiny_fleet(0)
    program = build_program(data)
    set_objective(program, "cost")
    pyo.TransformationFactory("core.relax_integer_vars").apply_to(program)
    optimum(program, "cost")
    assert solution_of(program, FleetIndex.build(data)) is None
