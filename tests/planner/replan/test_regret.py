"""The regret interval under attack: prices move at random, the truth comes from another road.

The truth is the whole program of the check's own instance, solved by HiGHS through Pyomo: once with
all that was decided held, once with everything free. `small` with two of its workloads, because the
whole program of all four takes HiGHS alone many minutes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyomo.contrib import appsi

from models.fleet.program import build_program, minimize
from planner.api import Request, answer, load, with_request
from planner.candidates import build_candidates
from planner.replan.check import Ask, run_check
from planner.replan.search import KEEP
from planner.runs import read_run, write_run
from tests.planner.replan.examples import SMALL, random_factor, with_prices, with_workloads

WORKLOADS = ("code-completion", "document-questions")
TRUTH_GAP = 1e-6
SLACK = 1e-6
"""Relative: HiGHS's own tolerances."""
ATTACKS = 200


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two workloads of small, planned."""
    folder = tmp_path_factory.mktemp("held")
    instance = with_workloads(SMALL, folder / "instance", WORKLOADS)
    return write_run(folder / "run", answer(instance, Request(gap=0.01, time_limit_s=5.0)))


def truth(run: Path, *, keeps: bool) -> tuple[float, float]:
    """(least cost, most cost) that the true optimum has: both ends of HiGHS's own interval."""
    asked = read_run(run).request
    changes = (*asked.changes, KEEP) if keeps else asked.changes
    request = Request(asked.minimize, asked.caps, asked.floors, changes=changes)
    program = build_program(build_candidates(with_request(load(run / "instance"), request)).data)
    minimize(program, "cost")
    solver = appsi.solvers.Highs()
    solver.config.load_solution = False
    solver.config.mip_gap = TRUTH_GAP
    solver.highs_options = {"threads": 1}
    found = solver.solve(program)
    assert found.termination_condition == appsi.base.TerminationCondition.optimal
    return float(found.best_objective_bound), float(found.best_feasible_objective)


def attack(held: Path, folder: Path, seed: int) -> str:
    """The decision, after the interval held against the truth."""
    instance = with_prices(held / "instance", folder / "moved", random_factor(seed))
    limit_s = float(np.random.default_rng(seed).choice([2.0, 5.0, 10.0]))
    made = run_check(
        instance, held, None, Ask(gap=0.005, time_limit_s=limit_s, threads=1), output=folder / "run"
    )
    kept, free = (truth(made.run_folder, keeps=keeps) for keeps in (True, False))
    decision = made.decision
    assert decision.kept.proved is not None
    assert decision.regret is not None
    slack = SLACK * kept[1]
    assert decision.kept.proved.bound <= kept[1] + slack
    assert decision.kept.proved.value >= kept[0] - slack
    assert decision.proposed.bound <= free[1] + slack
    assert decision.proposed.value >= free[0] - slack
    assert decision.regret.low <= kept[1] - free[0] + slack
    assert decision.regret.high >= kept[0] - free[1] - slack
    return decision.decision


@pytest.mark.parametrize("seed", range(2))
def test_the_true_regret_lies_in_the_interval(held: Path, tmp_path: Path, seed: int) -> None:
    attack(held, tmp_path, seed)


@pytest.mark.slow
def test_two_hundred_price_changes_leave_the_true_regret_in_the_interval(
    held: Path, tmp_path: Path
) -> None:
    decisions = [attack(held, tmp_path / str(seed), seed) for seed in range(ATTACKS)]
    assert {"keep", "move"} <= set(decisions), "the attack must reach both sides of the rule"
