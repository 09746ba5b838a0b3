"""`tiny` under 200 random changes: the engine equals the whole Pyomo program solved by HiGHS."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.fleet.program import build_program
from planner.api import load
from planner.candidates import build_candidates
from planner.instance.changes import with_changes
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions
from tests.models.fleet.solving import optimum

TINY = load(Path(__file__).resolve().parents[3] / "instances" / "tiny")
FACTORS = st.sampled_from([0.5, 0.7, 0.9, 1.1, 1.4, 2.0])
OBJECTIVES = st.sampled_from(["cost", "carbon", "qoe-loss"])


@pytest.mark.slow
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(prices=FACTORS, demand=FACTORS, carbon=FACTORS, objective=OBJECTIVES)
def test_the_engine_finds_the_optimum_of_every_variant_of_tiny(
    prices: float, demand: float, carbon: float, objective: str
) -> None:
    changes = [f"prices.l4*={prices}", f"demand.chat*={demand}", f"carbon.*={carbon}"]
    facts = with_changes(TINY, changes)
    truth = optimum(build_program(build_candidates(facts, prune=False).data), objective)
    found = minimize(build_candidates(facts).data, objective, EngineOptions(1e-5, 20.0))
    scale = 1e-6 * max(abs(truth), 1e-6)
    assert found.bound <= truth + scale
    assert found.value >= truth - scale
    assert found.value <= truth * (1.0 + 2e-5) + scale
